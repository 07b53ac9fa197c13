/** How a workflow stands, as `status()` and `state()` tell it. */

import { decodeFailure } from '../codec/failure-text.js';
import { decodePayload } from '../codec/payload.js';
import type { Seal } from '../codec/payload-codec.js';
import type { Failure } from '../core/failure.js';
import { SCHEMA_VERSION } from '../postgres/migrate.js';
import type { Description } from '../postgres/protocol/executions.js';

/** What {@link WorkflowHandle.state} answers. */
export interface WorkflowState {
  readonly done: boolean;
  readonly response?: unknown;
  readonly $error?: {
    readonly message: string;
    readonly code?: number;
    readonly name: string;
    readonly stack?: string;
  };
  /** Created and updated, compact UTC: `YYYYMMDDHHmmss.mmm`. */
  readonly jc: string;
  readonly ju: string;
  readonly workflowId: string;
}

export interface WorkflowStateMetadata {
  /** The workflow id. */
  readonly jid: string;
  /** A number of its own for each run. */
  readonly gid: string;
  /** The status, as `handle.status()`. */
  readonly js: number;
  /** Created and updated, compact UTC. */
  readonly jc: string;
  readonly ju: string;
  /** The minute it was created in, compact UTC. */
  readonly ts: string;
  /** The namespace. */
  readonly app: string;
  /** The version of the schema's protocol. */
  readonly vrs: string;
  readonly tpc: string;
  readonly aid: 'trigger';
  /** What it failed with, or why it was terminated: name, message and `code`, as JSON. */
  readonly err?: string;
}

/** The number by which `status()` and the finders of `Entity` tell how a workflow stands. */
export function statusOf({ state }: Pick<Description, 'state'>): number {
  if (state === 'pending') return -1;
  if (state === 'open' || state === 'continued') return 1;
  return state === 'terminated' ? -1_000_000_000 : 0;
}

/** What `state()` answers of what the database says. */
export function stateOf(workflowId: string, found: Description, seal: Seal): WorkflowState {
  const jc = compact(found.created_ms);
  const ju = compact(found.updated_ms);
  const done = found.state === 'completed' || found.state === 'failed' || found.state === 'cancelled';
  const failure =
    (found.state === 'failed' || found.state === 'cancelled') && found.result !== null
      ? decodeFailure(found.result, seal)
      : null;
  return {
    done,
    ...(found.state === 'completed' && found.result !== null && { response: decodePayload(found.result, seal) }),
    ...(failure !== null && { $error: essenceOf(failure) }),
    jc,
    ju,
    workflowId,
  };
}

/** What `state(true)` answers beside the data. */
export function metadataOf(
  workflowId: string,
  found: Description,
  namespace: string,
  seal: Seal,
): WorkflowStateMetadata {
  const jc = compact(found.created_ms);
  const failed = found.state === 'failed' || found.state === 'cancelled' || found.state === 'terminated';
  const failure = failed && found.result !== null ? decodeFailure(found.result, seal) : null;
  return {
    jid: workflowId,
    gid: String(found.run_no),
    js: statusOf(found),
    jc,
    ju: compact(found.updated_ms),
    ts: jc.slice(0, 12),
    app: namespace,
    vrs: String(SCHEMA_VERSION),
    tpc: `${namespace}.execute`,
    aid: 'trigger',
    ...(failure !== null && { err: JSON.stringify(essenceOf(failure)) }),
  };
}

function essenceOf({ name, message, stack, code }: Failure) {
  return { name, message, stack, ...(code !== undefined && { code }) };
}

/** Compact UTC: `YYYYMMDDHHmmss.mmm`. */
export function compact(ms: number): string {
  const [date = '', time = ''] = new Date(ms).toISOString().split('T');
  return `${date.replaceAll('-', '')}${time.replaceAll(':', '').replace('Z', '')}`;
}
