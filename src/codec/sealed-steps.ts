/**
 * Steps with their payloads sealed, as history and effects hold them, and opened again.
 *
 * The one place that says which parts of commands and events are payloads of users. Everything before (workflow calls,
 * replay, open operations) and everything behind (entry texts, effects) is the same with and without a codec.
 */

import type { Failure } from '../core/failure.js';
import { fingerprint } from '../core/fingerprint.js';
import type { Command, CommandKind, CommandSpec, Event } from '../core/history.js';
import { isSealed, type Seal } from './payload-codec.js';

/** Fields of each kind's spec that are payload texts or failures; what SQL or replay reads stays plain. */
const payloadFields: { readonly [K in CommandKind]: readonly (keyof CommandSpec[K])[] } = {
  activity: ['args', 'headers'],
  timer: [],
  wait: [],
  child: ['args'],
  hook: ['args'],
  signal: ['payload'],
  cancel: [],
  terminate: ['failure'],
  marker: [],
  search: [], // SQL computes on them
  entity: [],
  patch: [],
  // History holds no more than the topics; payloads are sealed as the events are emitted.
  emit: [],
  trace: ['attributes'],
  retry: ['failure'],
  complete: ['result'],
  fail: ['failure'],
  continue: ['args'],
};

/**
 * A command as it is stored. The fingerprint of sealed arguments (or attributes) is left out: 32 bits are enough to confirm a guess. It is
 * computed anew when they are opened.
 *
 * @throws {PayloadCodecError} when the codec fails.
 */
export function sealCommand(command: Command, seal: Seal): Command {
  if (!seal.active || payloadFields[command.kind].length === 0) return command;
  const spec = sealSpec(command.kind, command.spec, seal);
  const hidden = 'args' in spec || 'attributes' in spec;
  return { ...command, spec, ...(hidden && { fingerprint: 0 }) } as Command;
}

/** What a command carries, as it is stored. @throws {PayloadCodecError} when the codec fails. */
export function sealSpec<K extends CommandKind>(kind: K, spec: CommandSpec[K], seal: Seal): CommandSpec[K] {
  if (!seal.active) return spec;
  const sealed: Record<string, unknown> = { ...spec };
  for (const field of payloadFields[kind] as readonly string[]) sealed[field] = sealField(sealed[field], seal);
  return sealed as unknown as CommandSpec[K];
}

/** An event as it is stored. @throws {PayloadCodecError} when the codec fails. */
export function sealEvent(event: Event, seal: Seal): Event {
  if ('text' in event) return { ...event, text: seal.seal(event.text) };
  if ('failure' in event) return { ...event, failure: sealField(event.failure, seal) as Failure };
  return event;
}

/** Texts stay texts; a failure, which is written as JSON among other fields, becomes what stands in its place. */
function sealField(value: unknown, seal: Seal): unknown {
  if (typeof value === 'string') return seal.seal(value);
  return value === null || value === undefined ? value : JSON.parse(seal.seal(JSON.stringify(value)));
}

/** Steps as they are parsed from an entry's text; see entry-text.ts. */
export type ParsedSteps = { t: number; e: unknown[]; c: unknown[][] }[];

/** Opens, in place, what is sealed in the steps of an entry. @throws {PayloadCodecError} when something cannot be opened. */
export function openSteps(steps: ParsedSteps, seal: Seal): void {
  for (const { e, c } of steps) {
    for (let i = 1; i < e.length; i++) e[i] = seal.open(e[i]);
    for (const command of c) {
      const spec = command[4];
      if (typeof spec !== 'object' || spec === null) continue;
      for (const [field, value] of Object.entries(spec)) {
        if (!isSealed(value)) continue;
        const opened = seal.unsealed(value);
        (spec as Record<string, unknown>)[field] = opened;
        if (field === 'args' || field === 'attributes') command[2] = fingerprint(JSON.stringify(opened));
      }
    }
  }
}
