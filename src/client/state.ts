/** How a workflow stands, as `status()` and `state()` tell it. */

import { decodeFailure } from '../codec/failure-text.js';
import { decodePayload } from '../codec/payload.js';
import type { Seal } from '../codec/payload-codec.js';
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
  readonly jid: string;
  readonly js: number;
  readonly jc: string;
  readonly ju: string;
  readonly app: string;
  readonly tpc: string;
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
    ...(failure !== null && {
      $error: {
        name: failure.name,
        message: failure.message,
        stack: failure.stack,
        ...(failure.code !== undefined && { code: failure.code }),
      },
    }),
    jc,
    ju,
    workflowId,
  };
}

/** Compact UTC: `YYYYMMDDHHmmss.mmm`. */
export function compact(ms: number): string {
  const [date = '', time = ''] = new Date(ms).toISOString().split('T');
  return `${date.replaceAll('-', '')}${time.replaceAll(':', '').replace('Z', '')}`;
}
