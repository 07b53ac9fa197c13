/**
 * The events of a workflow, as exports show them. Pure: what its history says goes in, events come out, with running numbers.
 *
 * Invariants, whatever the history:
 * 1. Ids are 1, 2, ... in the order of the events, and their times never go back.
 * 2. An end refers to its start, which has a lower id; each start has at most one end.
 */

import type { Failure } from '../core/failure.js';
import type { CommandSpec } from '../core/history.js';
import type {
  ExecutionExportOptions,
  ExportedFailure,
  WorkflowEventAttributes,
  WorkflowEventCategory,
  WorkflowExecutionEvent,
  WorkflowExecutionSummary,
} from './export-types.js';
import { keyOf, waitPositionOf } from './positions.js';
import type { Happening, Operation, Outcome } from './recorded-operations.js';

/** Attributes before it is said where the history holds them. */
type Unplaced<A = WorkflowEventAttributes> = A extends { entry: number } ? Omit<A, 'entry'> : never;

interface Place {
  readonly timeline_key: string;
  readonly execution_index: number;
}

type Ending = Extract<Happening, { what: 'ended' }>;

interface Start {
  readonly id: number;
  readonly at: number;
  readonly place: Place;
}

export class ExecutionEvents {
  readonly #options: ExecutionExportOptions;
  readonly #starts = new WeakMap<Operation, Start>();
  readonly #counts = {
    activities: { total: 0, completed: 0, failed: 0, system: 0, user: 0 },
    child_workflows: { total: 0, completed: 0, failed: 0 },
    timers: 0,
    signals: 0,
  };
  #last = 0;
  #startedAt = 0;
  #at = 0;

  constructor(options: ExecutionExportOptions = {}) {
    this.#options = options;
  }

  get summary(): WorkflowExecutionSummary {
    return { total_events: this.#last, ...structuredClone(this.#counts) };
  }

  /** The workflow was started. Comes first. */
  started(at: number, type: { workflowName: string; taskQueue: string }, input: unknown): WorkflowExecutionEvent {
    this.#startedAt = this.#at = Math.floor(at);
    const event = this.#event(at, null, {
      kind: 'workflow_execution_started',
      workflow_type: type.workflowName,
      task_queue: type.taskQueue,
      ...(input !== undefined && !this.#options.omit_results && { input }),
    });
    // A worker can be quicker than the clock's milliseconds; what follows from the start is shown behind it.
    this.#at++;
    return event;
  }

  /** Null for what no event tells of. */
  happened(happening: Happening): WorkflowExecutionEvent | null {
    if (happening.what === 'began') return this.#began(happening.operation);
    if (happening.what === 'ended') return this.#ended(happening);
    return null;
  }

  completed(at: number, result: unknown): WorkflowExecutionEvent {
    const shown = result !== undefined && !this.#options.omit_results;
    return this.#event(at, this.#startedAt, { kind: 'workflow_execution_completed', ...(shown && { result }) });
  }

  failed(at: number, failure: Failure | null): WorkflowExecutionEvent {
    return this.#event(at, this.#startedAt, {
      kind: 'workflow_execution_failed',
      ...(failure !== null && { failure: exportedFailure(failure) }),
    });
  }

  #began(operation: Operation): WorkflowExecutionEvent | null {
    const place = placeOf(operation);
    const attributes = place === null ? null : this.#startOf(operation, place);
    if (place === null || attributes === null) return null;
    const event = this.#event(operation.at, null, { ...attributes, entry: operation.entry });
    this.#starts.set(operation, { id: event.event_id, at: this.#at, place });
    return event;
  }

  #startOf({ command }: Operation, place: Place): Unplaced | null {
    switch (command.kind) {
      case 'activity': {
        const system = isSystem(command.name);
        if (system && this.#options.exclude_system) return null;
        this.#counts.activities.total++;
        this.#counts.activities[system ? 'system' : 'user']++;
        return {
          kind: 'activity_task_scheduled',
          activity_type: command.name,
          ...place,
          ...this.#inputOf(command.spec),
        };
      }
      case 'child':
        this.#counts.child_workflows.total++;
        return {
          kind: 'child_workflow_execution_started',
          child_workflow_id: command.spec.workflowId,
          awaited: command.spec.awaited,
          ...place,
          ...this.#inputOf(command.spec),
        };
      case 'timer':
        this.#counts.timers++;
        return { kind: 'timer_started', duration_ms: command.spec.ms, ...place };
      case 'wait': {
        const { signalId, timeoutMs } = command.spec;
        const timeout = timeoutMs === null ? {} : { timeout_ms: timeoutMs };
        return { kind: 'signal_wait_started', signal_name: signalId, ...timeout, ...place };
      }
      case 'hook':
        if (command.spec.signalId === null) return null;
        return { kind: 'signal_wait_started', signal_name: command.spec.signalId, ...place };
      default:
        return null;
    }
  }

  #ended({ operation, outcome, at, entry }: Ending): WorkflowExecutionEvent | null {
    const start = this.#starts.get(operation);
    if (start === undefined) return null;
    this.#starts.delete(operation);
    const attributes = this.#endOf(operation, outcome, start);
    return attributes === null ? null : this.#event(at, start.at, { ...attributes, entry });
  }

  /** Null where no type of event says how it ended: a sleep or wait that was cancelled, a child that was only started. */
  #endOf({ command }: Operation, outcome: Outcome, { id: startId, place }: Start): Unplaced | null {
    const { activities, child_workflows: children } = this.#counts;
    switch (command.kind) {
      case 'activity': {
        const common = {
          activity_type: command.name,
          ...place,
          ...this.#inputOf(command.spec),
          scheduled_event_id: startId,
        };
        if (outcome.how === 'failed') {
          activities.failed++;
          return { kind: 'activity_task_failed', ...common, failure: exportedFailure(outcome.failure) };
        }
        activities.completed++;
        return { kind: 'activity_task_completed', ...common, ...this.#resultOf(outcome) };
      }
      case 'child': {
        const common = { child_workflow_id: command.spec.workflowId, ...place, initiated_event_id: startId };
        if (outcome.how === 'failed') {
          children.failed++;
          return { kind: 'child_workflow_execution_failed', ...common, failure: exportedFailure(outcome.failure) };
        }
        if (!command.spec.awaited) return null;
        children.completed++;
        return { kind: 'child_workflow_execution_completed', ...common, ...this.#resultOf(outcome) };
      }
      case 'timer':
        return outcome.how === 'fired' ? { kind: 'timer_fired', ...place, initiated_event_id: startId } : null;
      case 'wait':
      case 'hook': {
        const signalName = command.spec.signalId ?? '';
        const common = { signal_name: signalName, ...place, initiated_event_id: startId };
        if (outcome.how === 'fired') return { kind: 'timer_fired', ...common };
        if (outcome.how !== 'signaled') return null;
        this.#counts.signals++;
        const shown = outcome.value !== undefined && !this.#options.omit_results;
        return { kind: 'workflow_execution_signaled', ...common, ...(shown && { input: outcome.value }) };
      }
      default:
        return null;
    }
  }

  #inputOf({ args }: Pick<CommandSpec['activity'], 'args'>): { input?: unknown } {
    return this.#options.enrich_inputs && !this.#options.omit_results ? { input: JSON.parse(args) as unknown } : {};
  }

  #resultOf(outcome: Outcome): { result?: unknown } {
    const shown = outcome.how === 'done' && outcome.value !== undefined && !this.#options.omit_results;
    return shown ? { result: outcome.value } : {};
  }

  #event(at: number, since: number | null, attributes: WorkflowEventAttributes): WorkflowExecutionEvent {
    // Threads have clocks of their own, those of their workers; they differ by milliseconds.
    this.#at = Math.max(this.#at, Math.floor(at));
    return {
      event_id: ++this.#last,
      event_type: attributes.kind,
      category: categoryOf(attributes.kind),
      event_time: new Date(this.#at).toISOString(),
      duration_ms: since === null ? null : this.#at - since,
      is_system: 'activity_type' in attributes && isSystem(attributes.activity_type),
      attributes,
    };
  }
}

function categoryOf(kind: WorkflowEventAttributes['kind']): WorkflowEventCategory {
  if (kind === 'signal_wait_started' || kind === 'workflow_execution_signaled') return 'signal';
  if (kind.startsWith('activity')) return 'activity';
  if (kind.startsWith('child')) return 'child_workflow';
  return kind.startsWith('timer') ? 'timer' : 'workflow';
}

function isSystem(activity: string): boolean {
  return activity.startsWith('lt');
}

/** A call's place, as the timeline of `export()` names it. */
function placeOf(operation: Operation): Place | null {
  const position = waitPositionOf(operation);
  return position && { timeline_key: keyOf(operation, position), execution_index: position.index };
}

/** A stored failure as exports show it. */
export function exportedFailure({ name, message, code, stack, job_id, cause }: Failure): ExportedFailure {
  return {
    name,
    message,
    ...(code !== undefined && { code }),
    ...(stack !== '' && { stack }),
    ...(job_id !== undefined && { job_id }),
    ...(cause !== undefined && { cause: exportedFailure(cause) }),
  };
}
