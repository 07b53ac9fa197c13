/**
 * History entries <-> the text in `history.body`.
 *
 *     [[now, event, command, ...], ...]        an entry: its steps
 *     [kind, ...]                              an event
 *     [kind, name, fingerprint, counter, spec]
 *     ["activity" | "bound", name, fingerprint, counter, args, rest of the spec where it differs from the defaults]
 *
 * Short, since every byte goes to the disk twice. Payloads are valid JSON and stand in it raw, so that one JSON.parse reads an
 * entry and no payload is escaped twice. An entry that was ended from outside is `{}`.
 * Outcomes the database decided are not here but in `history.outcome` of the entry before: [[op, what, value?], ...].
 */

import type {
  ActivityLimits,
  Command,
  CommandKind,
  CommandSpec,
  Decision,
  DocumentRefusal,
  Event,
  HookRefusal,
  RecordedCommand,
  RecordedStep,
  RetrySpec,
  Step,
} from '../core/history.js';
import { opensOperation } from '../core/history.js';
import { mayHoldSealed, registeredSeal, type Seal } from './payload-codec.js';
import { openSteps, type ParsedSteps } from './sealed-steps.js';

/** What an activity's options are unless its command says otherwise: histories hold only what differs. */
export interface ActivityDefaults {
  readonly taskQueue: string;
  readonly retry: RetrySpec;
}

/**
 * The parts of the entry in the making, joined at its end: adding texts up costs half as much again, most of it when the whole is
 * copied. Kept from entry to entry and never emptied, which would give its memory back.
 */
const parts: (string | number)[] = [];
let count = 0;

function put(part: string | number): void {
  parts[count++] = part;
}

export function encodeSteps(steps: readonly Step[], defaults: ActivityDefaults): string {
  count = 0;
  for (let index = 0; index < steps.length; index++) {
    const { now, event, commands } = steps[index] as Step;
    put(index === 0 ? '[[' : ',[');
    put(nowText(now));
    put(',');
    addEvent(event);
    for (let at = 0; at < commands.length; at++) addCommand(commands[at] as Command, defaults);
    put(']');
  }
  if (steps.length === 0) return '[]';
  put(']');
  parts.length = count;
  return parts.join('');
}

let lastNow = 0;
let lastNowText = '0';

/** Hundreds of steps share a millisecond. */
function nowText(now: number): string {
  if (now !== lastNow) {
    lastNow = now;
    lastNowText = String(now);
  }
  return lastNowText;
}

function addEvent(event: Event): void {
  switch (event.kind) {
    case 'done':
    case 'signal':
      put('["');
      put(event.kind);
      put('",');
      put(event.op);
      if (event.text !== null) {
        put(',');
        put(event.text);
      }
      put(']');
      break;
    case 'fail':
      put(`["fail",${event.op},${JSON.stringify(event.failure)}]`);
      break;
    case 'fire':
    case 'retry':
    case 'decided':
      put(`["${event.kind}",${event.op}]`);
      break;
    case 'late':
      put(`["late",${Math.round(event.delayMs)}]`);
      break;
    case 'cancel':
      put(`["cancel",[${event.ops.join()}]]`);
      break;
    case 'cancelled':
      put(`["cancelled",${event.op},[${event.ops.join()}]]`);
      break;
    default:
      put(`["${event.kind}"]`);
  }
}

function addCommand(command: Command, defaults: ActivityDefaults): void {
  const { kind, name, fingerprint, counter } = command;
  const stored = kind === 'activity' && command.spec.bound ? 'bound' : kind;
  put(',["');
  put(stored);
  put('",');
  put(nameText(name));
  put(',');
  put(fingerprint);
  put(',');
  put(counter);
  put(',');
  if (kind === 'activity') {
    put(command.spec.args);
    put(restText(command.spec, defaults));
    put(']');
  } else {
    put(specText(command));
    put(']');
  }
}

const PLAIN_NAME = /^[\w.$-]*$/;

function nameText(name: string): string {
  return PLAIN_NAME.test(name) ? `"${name}"` : JSON.stringify(name);
}

function specText(command: Command): string {
  switch (command.kind) {
    case 'signal':
      return `{"signalId":${JSON.stringify(command.spec.signalId)},"payload":${command.spec.payload ?? 'null'},"expireMs":${command.spec.expireMs}}`;
    case 'child':
    case 'hook': {
      const { args, ...rest } = command.spec;
      return `{"args":${args},${JSON.stringify(rest).slice(1)}`;
    }
    case 'search':
    case 'entity':
      return `{"n":${command.spec.n},"args":${command.spec.args}}`;
    case 'complete':
    case 'continue':
    case 'patch':
    case 'marker':
      return '0'; // the result and the new arguments stand in the row's own column
    case 'emit':
      return JSON.stringify({ topics: command.spec.events.map(({ topic }) => topic) });
    case 'trace':
      return `{"attributes":${command.spec.attributes}}`;
    case 'fail':
      return `{"cancelled":${command.spec.cancelled}}`;
    case 'terminate': {
      const { workflowId, descend } = command.spec; // what whoever waits for it gets stands with that workflow
      return JSON.stringify({ workflowId, descend });
    }
    default:
      return JSON.stringify(command.spec);
  }
}

/** What else an activity's spec holds, where it differs from the defaults; nothing, mostly. */
function restText(spec: CommandSpec['activity'], defaults: ActivityDefaults): string {
  let text = '';
  if (spec.headers !== null) text += `,"headers":${spec.headers}`;
  if (spec.taskQueue !== defaults.taskQueue) text += `,"taskQueue":${JSON.stringify(spec.taskQueue)}`;
  const retry = differences(spec.retry, defaults.retry);
  if (retry !== null) text += `,"retry":${JSON.stringify(retry)}`;
  if (spec.startToCloseMs !== null) text += `,"startToCloseMs":${spec.startToCloseMs}`;
  if (spec.limits !== undefined) text += `,"limits":${JSON.stringify(spec.limits)}`;
  if (spec.transactional) text += ',"transactional":true';
  return text === '' ? '' : `,{${text.slice(1)}}`;
}

const retryFields = [
  'maximumAttempts',
  'backoffCoefficient',
  'initialIntervalMs',
  'maximumIntervalMs',
  'nonRetryableErrorTypes',
] as const;

function differences(retry: RetrySpec, defaults: RetrySpec): Partial<RetrySpec> | null {
  if (retry === defaults) return null;
  let found: Record<string, unknown> | null = null;
  for (const field of retryFields) {
    if (retry[field] === defaults[field]) continue;
    found ??= {};
    found[field] = retry[field];
  }
  return found;
}

/** The input of an activity, as its task row holds it: complete, since any process may run it. */
export function activityText(spec: CommandSpec['activity']): string {
  const { args, headers, ...rest } = spec;
  return `{"args":${args},"headers":${headers ?? 'null'},${JSON.stringify(rest).slice(1)}`;
}

/** What the database keeps of an activity that is a task: its time limits, and retries behind them. Null: none. */
export function limitsText({ startToCloseMs, limits, retry }: CommandSpec['activity']): string | null {
  if (startToCloseMs === null && limits === undefined) return null;
  return JSON.stringify({
    scheduleToClose: limits?.scheduleToCloseMs,
    scheduleToStart: limits?.scheduleToStartMs,
    startToClose: startToCloseMs ?? undefined,
    heartbeat: limits?.heartbeatMs,
    retry: { ...retry, nonRetryableErrorTypes: undefined },
  });
}

export interface ActivityInput {
  readonly args: unknown[];
  readonly headers: Record<string, unknown> | null;
  readonly taskQueue: string;
  readonly retry: CommandSpec['activity']['retry'];
  readonly startToCloseMs: number | null;
  readonly limits?: ActivityLimits;
  readonly transactional?: true;
}

/** @throws {PayloadCodecError} when it cannot be opened. */
export function decodeActivityInput(text: string, seal: Seal = registeredSeal): ActivityInput {
  const input = JSON.parse(text) as ActivityInput;
  if (!mayHoldSealed(text)) return input;
  const args = seal.open(input.args) as ActivityInput['args'];
  return { ...input, args, headers: seal.open(input.headers) as ActivityInput['headers'] };
}

/**
 * The outcomes of an entry by operation.
 *
 * @param reads Large values that reading calls gave, as JSON by operation, of the entries before; those of this one are added.
 *   With them, a value that is stored once stands wherever it was given.
 * @throws {PayloadCodecError} when a signal cannot be opened.
 */
export function decodeOutcome(
  text: string | null,
  seal: Seal = registeredSeal,
  reads?: Map<number, Read>,
): Map<number, Decision> {
  const decisions = new Map<number, Decision>();
  if (text === null) return decisions;
  for (const [op, what, value, digest] of JSON.parse(text) as [number, Decision['what'], unknown, string?][]) {
    if (what === 'duplicate' || what === 'hooked') decisions.set(op, { what, id: value as string });
    else if (what === 'unhooked') decisions.set(op, { what, reason: value as HookRefusal });
    else if (what === 'signal') decisions.set(op, { what, value: seal.open(value) });
    else if (what === 'value') {
      if (digest !== undefined) reads?.set(op, { json: JSON.stringify(value), digest });
      decisions.set(op, { what, value, ...(digest !== undefined && { digest }) }); // plain: SQL made it
    } else if (what === 'same') {
      const read = reads?.get(value as number);
      if (read !== undefined) reads?.set(op, read);
      // Parsed for each: the code may change what it is given.
      decisions.set(
        op,
        read === undefined
          ? { what, as: value as number }
          : { what: 'value', value: JSON.parse(read.json), digest: read.digest },
      );
    } else if (what === 'refused')
      decisions.set(op, { what, ...refusalOf(value as [DocumentRefusal, string[] | null]) });
    else decisions.set(op, { what });
  }
  return decisions;
}

/** A large value that a reading call gave. */
export interface Read {
  readonly json: string;
  readonly digest: string;
}

function refusalOf([why, at]: [DocumentRefusal, string[] | null]): { why: DocumentRefusal; at: string[] } {
  return { why, at: at ?? [] };
}

/**
 * The steps of one entry. `opened` is how many operations the thread had opened before it, `outcome` what the
 * database decided about the entry before. An entry that ended the thread from outside has no steps.
 *
 * @throws {PayloadCodecError} when a payload cannot be opened.
 */
export function decodeSteps(
  entry: number,
  body: string,
  opened: number,
  outcome: ReadonlyMap<number, Decision>,
  defaults: ActivityDefaults,
  seal: Seal = registeredSeal,
): { steps: RecordedStep[]; opened: number } {
  const stored = parseSteps(body);
  if (mayHoldSealed(body)) openSteps(stored, seal);
  let next = opened;
  const steps = stored.map((step) => ({
    entry,
    now: step.t,
    event: readEvent(step.e, outcome),
    commands: step.c.map((c): RecordedCommand => {
      const command = readCommand(c, defaults);
      return { command, op: opensOperation(command.kind) ? next++ : null };
    }),
  }));
  return { steps, opened: next };
}

/** The steps of an entry as they are stored; one that was ended from outside has none. */
export function parseSteps(body: string): ParsedSteps {
  const stored: unknown = JSON.parse(body);
  if (!Array.isArray(stored)) return [];
  return (stored as [number, unknown[], ...unknown[][]][]).map(([t, e, ...c]) => ({ t, e, c: c.map(parsedCommand) }));
}

function parsedCommand(command: unknown[]): unknown[] {
  const [kind, name, fingerprint, counter, args, rest] = command;
  if (kind !== 'activity' && kind !== 'bound') return command;
  return [
    'activity',
    name,
    fingerprint,
    counter,
    { args, ...(rest as object), ...(kind === 'bound' && { bound: true }) },
  ];
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
    case 'cancelled':
      return { kind, op, ops: stored[2] as number[] };
    default:
      return { kind };
  }
}

function readCommand(stored: unknown[], defaults: ActivityDefaults): Command {
  const [kind, name, fingerprint, counter, spec] = stored as [
    CommandKind,
    string,
    number,
    number,
    Record<string, unknown>,
  ];
  return { kind, name, fingerprint, counter, spec: readSpec(kind, spec, defaults) } as unknown as Command;
}

/** Payloads become text again, which is what a command carries. */
function readSpec(kind: CommandKind, spec: Record<string, unknown>, defaults: ActivityDefaults): unknown {
  switch (kind) {
    case 'activity':
      return {
        taskQueue: spec.taskQueue ?? defaults.taskQueue,
        args: JSON.stringify(spec.args),
        headers: spec.headers === undefined ? null : JSON.stringify(spec.headers),
        retry: { ...defaults.retry, ...(spec.retry as object | undefined) },
        startToCloseMs: spec.startToCloseMs ?? null,
        ...(spec.limits !== undefined && { limits: spec.limits }),
        ...(spec.bound === true && { bound: true }),
        ...(spec.transactional === true && { transactional: true }),
      };
    case 'child':
    case 'hook':
    case 'search':
    case 'entity':
      return { ...spec, args: JSON.stringify(spec.args) };
    case 'signal':
      return { ...spec, payload: JSON.stringify(spec.payload) };
    case 'terminate':
      return { ...spec, failure: null, expireS: null };
    case 'trace':
      return { attributes: JSON.stringify(spec.attributes) };
    case 'emit':
      return { events: (spec.topics as string[]).map((topic) => ({ topic, payload: null })) };
    default:
      return spec;
  }
}
