import { traceIdsOf } from '../telemetry/carrier.js';
import { contextOf, homeHere } from './context.js';

/** What a workflow may know about itself; see {@link workflowInfo}. */
export interface WorkflowInfo {
  readonly workflowId: string;
  readonly workflowName: string;
  /** `"{taskQueue}-{workflowName}"` */
  readonly workflowTopic: string;
  readonly taskQueue: string;
  readonly namespace: string;
  /** Which thread it is: `''` on the main one, `',0,0'`, `',0,1'` ... on hooks. */
  readonly workflowDimension: string;
  /** The run within the workflow id: 0, and one more with each `continueAsNew`. */
  readonly run: number;
  /** 1, and one more each time the function itself was retried. */
  readonly attempt: number;
  readonly startedAt: Date;
  /** The workflow that started this one as a child; null on a root. */
  readonly parentWorkflowId: string | null;
  /** The root of the tree; undefined on a root. */
  readonly originJobId: string | undefined;
  /** Seconds the workflow stays readable once finished; null: the default. */
  readonly expire: number | null;
  /** Ids of the OpenTelemetry trace and span it was started in; undefined where nobody traces. */
  readonly workflowTrace: string | undefined;
  readonly workflowSpan: string | undefined;
  readonly canRetry: boolean;
  /** How many durable calls came before. */
  readonly counter: number;
  /** Whether the code runs behind its history. For logging only: code must not depend on it. */
  readonly isReplaying: boolean;
  /** As {@link counter}, but it goes on counting. Like all that follow it is not enumerable: facts may be returned or stored. */
  readonly COUNTER: { readonly counter: number };
  /** The worker's `connection`, as it was given. */
  readonly connection: unknown;
  /** What asked for the workflow, as far as there is such a message here. */
  readonly raw: { readonly data: { readonly workflowId: string; readonly workflowTopic: string } };
  /** Where a workflow is suspended by throwing and run again, these say how far it came: here nothing, always. */
  readonly replay: Readonly<Record<string, never>>;
  readonly cursor: '';
  readonly interruptionRegistry: readonly never[];
}

type EngineParts = Pick<WorkflowInfo, 'COUNTER' | 'connection' | 'raw' | 'replay' | 'cursor' | 'interruptionRegistry'>;

/** Facts about the running workflow. Free: not recorded. */
export function workflowInfo(): WorkflowInfo {
  const { instance } = contextOf('workflowInfo');
  const { info } = instance;
  const trace = traceIdsOf(info.trace);
  const workflowTopic = `${info.taskQueue}-${info.workflowName}`;
  const facts: Omit<WorkflowInfo, keyof EngineParts> = {
    workflowId: info.workflowId,
    workflowName: info.workflowName,
    workflowTopic,
    taskQueue: info.taskQueue,
    namespace: info.namespace,
    workflowDimension: info.hookNo === null ? '' : `,0,${info.hookNo}`,
    run: info.run,
    attempt: info.attempt,
    startedAt: new Date(info.createdMs),
    parentWorkflowId: info.parentWorkflowId,
    originJobId: info.originId ?? undefined,
    expire: info.expireS,
    workflowTrace: trace?.traceId,
    workflowSpan: trace?.spanId,
    canRetry: info.attempt <= info.retry.maximumAttempts,
    counter: instance.counter,
    isReplaying: instance.replaying,
  };
  const parts: EngineParts = {
    COUNTER: {
      get counter() {
        return instance.counter;
      },
    },
    connection: homeHere()?.connection,
    raw: { data: { workflowId: info.workflowId, workflowTopic } },
    replay: {},
    cursor: '',
    interruptionRegistry: [],
  };
  const hidden = Object.entries(parts).map(([name, value]) => [name, { value }] as const);
  return Object.defineProperties(facts, Object.fromEntries(hidden)) as WorkflowInfo;
}
