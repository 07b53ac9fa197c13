/** Where a durable call stands: the keys by which exports name it. */

import { dimensionOf, type Operation } from './recorded-operations.js';

/** `-{kind}{dimension}-{index}-`, and `{secondary}-` for the calls of a session. */
export interface Position {
  readonly kind: string;
  readonly index: number;
  readonly secondary?: number;
}

/** The call's own place; null for what has none: the end of the function, its retries, the cancelling of a scope. */
export function positionOf({ command }: Operation): Position | null {
  const index = command.counter;
  switch (command.kind) {
    case 'activity':
      return { kind: 'proxy', index };
    case 'timer':
      return { kind: 'sleep', index };
    case 'child':
      return { kind: command.spec.awaited ? 'child' : 'start', index };
    case 'terminate':
      return { kind: 'interrupt', index };
    case 'marker':
      return { kind: command.name, index };
    case 'search':
    case 'entity':
      return { kind: command.kind, index, secondary: command.spec.n - 1 };
    case 'wait':
    case 'hook':
    case 'signal':
    case 'emit':
    case 'trace':
    case 'patch':
      return { kind: command.kind, index };
    default:
      return null;
  }
}

/** Where an operation waits: its own place, but of an awaited hook, which is two calls, the second. */
export function waitPositionOf(operation: Operation): Position | null {
  const position = positionOf(operation);
  return position?.kind === 'hook' ? { kind: 'wait', index: position.index + 1 } : position;
}

export function keyOf({ thread, command }: Operation, { kind, index, secondary }: Position): string {
  const place = `-${kind}${dimensionOf(thread)}-`;
  if (command.kind === 'patch') return `${place}${command.name}-`;
  return secondary === undefined ? `${place}${index}-` : `${place}${index}-${secondary}-`;
}
