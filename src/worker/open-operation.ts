/** Operations that a thread has opened and that nothing has resolved yet: derived from its history alone. */

import type { CommandSpec, Event, RecordedStep, Step } from '../core/history.js';
import type { ProducedCommand } from '../replay/instance.js';

export type OpenOperation =
  | {
      readonly kind: 'activity';
      readonly spec: CommandSpec['activity'];
      readonly name: string;
      hasTask: boolean;
      /** A bound one: it waits for its retry or for an answer from outside, and its thread may be parked meanwhile. */
      rests: boolean;
    }
  | { readonly kind: 'timer' }
  | { readonly kind: 'wait'; readonly timeoutMs: number | null }
  | { readonly kind: 'child'; readonly awaited: boolean }
  /** `failed`: its failure is here, to be delivered, so nothing waits in the database any more. */
  | { readonly kind: 'hook'; readonly awaited: boolean; failed: boolean }
  | { readonly kind: 'signal' }
  /** A scope that the code cancelled, and what was pending in it. */
  | { readonly kind: 'cancel'; readonly ops: readonly number[] }
  | { readonly kind: 'terminate' }
  | { readonly kind: 'marker' }
  | { readonly kind: 'search' | 'entity' }
  | { readonly kind: 'retry' };

/** By number, in the order in which they were opened. A Map, or what behaves like one: see core/small-map.ts. */
export interface OpenOperations extends Iterable<[number, OpenOperation]> {
  readonly size: number;
  get(op: number): OpenOperation | undefined;
  has(op: number): boolean;
  set(op: number, operation: OpenOperation): unknown;
  delete(op: number): boolean;
  clear(): void;
  keys(): Iterable<number>;
  values(): Iterable<OpenOperation>;
}

/** The operation a command opens. */
export function openedBy({ command }: ProducedCommand): OpenOperation | null {
  switch (command.kind) {
    case 'activity':
      return { kind: 'activity', spec: command.spec, name: command.name, hasTask: false, rests: false };
    case 'wait':
      return { kind: 'wait', timeoutMs: command.spec.timeoutMs };
    case 'child':
      return { kind: 'child', awaited: command.spec.awaited };
    case 'hook':
      return { kind: 'hook', awaited: command.spec.signalId !== null, failed: false };
    case 'cancel':
      return { kind: 'cancel', ops: command.spec.ops };
    case 'timer':
    case 'signal':
    case 'terminate':
    case 'marker':
    case 'search':
    case 'entity':
    case 'retry':
      return { kind: command.kind };
    default:
      return null;
  }
}

/** The operations an event resolves. */
export function resolvedBy(event: Event): readonly number[] {
  if (event.kind === 'cancel') return event.ops;
  if (event.kind === 'cancelled') return [event.op, ...event.ops];
  return 'op' in event ? [event.op] : [];
}

/** Takes recorded steps into account, in order. */
export function replayOpen(open: OpenOperations, steps: readonly RecordedStep[]): void {
  for (const step of steps) {
    for (const op of resolvedBy(step.event)) open.delete(op);
    for (const command of step.commands) {
      const operation = openedBy(command);
      if (operation !== null && command.op !== null) open.set(command.op, operation);
    }
  }
}

/** How often the function of a thread has failed: its attempts, less the one that runs or is due. */
export function failedAttempts(steps: readonly (RecordedStep | Step)[]): number {
  return steps.reduce((count, step) => count + step.commands.filter((c) => kindOf(c) === 'retry').length, 0);
}

function kindOf(command: RecordedStep['commands'][number] | Step['commands'][number]): string {
  return 'command' in command ? command.command.kind : command.kind;
}
