/**
 * History entries <-> the text in `history.body`.
 *
 *     {"s":[{"t":<now>,"e":[kind, ...],"c":[[kind, name, fingerprint, counter, spec], ...]}, ...]}
 *
 * Payloads are valid JSON and stand in it raw, so that one JSON.parse reads an entry and no payload is escaped twice.
 * Outcomes the database decided are not here but in `history.outcome` of the entry before: [[op, what, value?], ...].
 */

import type { Command, CommandKind, CommandSpec, Decision, Event, RecordedCommand, RecordedStep, Step } from '../core/history.js';
import { opensOperation } from '../core/history.js';

export function encodeSteps(steps: readonly Step[]): string {
  return `{"s":[${steps.map(stepText).join(',')}]}`;
}

function stepText(step: Step): string {
  return `{"t":${step.now},"e":${eventText(step.event)},"c":[${step.commands.map(commandText).join(',')}]}`;
}

function eventText(event: Event): string {
  switch (event.kind) {
    case 'done':
    case 'signal':
      return event.text === null ? `["${event.kind}",${event.op}]` : `["${event.kind}",${event.op},${event.text}]`;
    case 'fail':
      return `["fail",${event.op},${JSON.stringify(event.failure)}]`;
    case 'fire':
    case 'retry':
    case 'decided':
      return `["${event.kind}",${event.op}]`;
    case 'late':
      return `["late",${Math.round(event.delayMs)}]`;
    case 'cancel':
      return `["cancel",[${event.ops.join(',')}]]`;
    default:
      return `["${event.kind}"]`;
  }
}

function commandText(command: Command): string {
  return `["${command.kind}",${JSON.stringify(command.name)},${command.fingerprint},${command.counter},${specText(command)}]`;
}

function specText(command: Command): string {
  switch (command.kind) {
    case 'activity':
      return activityText(command.spec);
    case 'signal':
      return `{"signalId":${JSON.stringify(command.spec.signalId)},"payload":${command.spec.payload ?? 'null'},"expireMs":${command.spec.expireMs}}`;
    case 'child': {
      const { args, ...rest } = command.spec;
      return `{"args":${args},${JSON.stringify(rest).slice(1)}`;
    }
    case 'complete':
    case 'continue':
    case 'patch':
      return '0'; // the result and the new arguments stand in the row's own column
    case 'fail':
      return `{"cancelled":${command.spec.cancelled}}`;
    default:
      return JSON.stringify(command.spec);
  }
}

/** The input of an activity, as its task row and its history hold it. */
export function activityText(spec: CommandSpec['activity']): string {
  const { args, headers, ...rest } = spec;
  return `{"args":${args},"headers":${headers ?? 'null'},${JSON.stringify(rest).slice(1)}`;
}

export interface ActivityInput {
  readonly args: unknown[];
  readonly headers: Record<string, unknown> | null;
  readonly taskQueue: string;
  readonly retry: CommandSpec['activity']['retry'];
  readonly startToCloseMs: number | null;
}

export function decodeActivityInput(text: string): ActivityInput {
  return JSON.parse(text) as ActivityInput;
}

/** The outcomes of an entry by operation. */
export function decodeOutcome(text: string | null): Map<number, Decision> {
  const decisions = new Map<number, Decision>();
  if (text === null) return decisions;
  for (const [op, what, value] of JSON.parse(text) as [number, Decision['what'], unknown][]) {
    if (what === 'duplicate') decisions.set(op, { what, id: value as string });
    else if (what === 'signal') decisions.set(op, { what, value });
    else decisions.set(op, { what });
  }
  return decisions;
}

/**
 * The steps of one entry. `opened` is how many operations the thread had opened before it, `outcome` what the
 * database decided about the entry before. An entry that ended the thread from outside has no steps.
 */
export function decodeSteps(
  entry: number,
  body: string,
  opened: number,
  outcome: ReadonlyMap<number, Decision>,
): { steps: RecordedStep[]; opened: number } {
  const stored = JSON.parse(body) as { s?: { t: number; e: unknown[]; c: unknown[][] }[] };
  let next = opened;
  const steps = (stored.s ?? []).map((step) => ({
    entry,
    now: step.t,
    event: readEvent(step.e, outcome),
    commands: step.c.map((c): RecordedCommand => {
      const command = readCommand(c);
      return { command, op: opensOperation(command.kind) ? next++ : null };
    }),
  }));
  return { steps, opened: next };
}

function readEvent(stored: unknown[], outcome: ReadonlyMap<number, Decision>): Event {
  const kind = stored[0] as Event['kind'];
  const op = stored[1] as number;
  switch (kind) {
    case 'done':
    case 'signal':
      return { kind, op, value: stored[2], text: null };
    case 'fail':
      return { kind, op, failure: stored[2] as Extract<Event, { kind: 'fail' }>['failure'] };
    case 'fire':
    case 'retry':
      return { kind, op };
    case 'decided':
      return { kind, op, decision: outcome.get(op) ?? { what: 'usual' } };
    case 'late':
      return { kind, delayMs: op };
    case 'cancel':
      return { kind, ops: stored[1] as number[] };
    default:
      return { kind };
  }
}

function readCommand(stored: unknown[]): Command {
  const [kind, name, fingerprint, counter, spec] = stored as [CommandKind, string, number, number, Record<string, unknown>];
  const texts: Record<string, unknown> = { ...spec };
  if (kind === 'activity' || kind === 'child') texts.args = JSON.stringify(spec.args);
  if (kind === 'activity') texts.headers = spec.headers === null ? null : JSON.stringify(spec.headers);
  if (kind === 'signal') texts.payload = JSON.stringify(spec.payload);
  return { kind, name, fingerprint, counter, spec: texts } as unknown as Command;
}
