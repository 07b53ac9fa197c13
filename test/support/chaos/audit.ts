/**
 * Holds what happened in the world (the ledger), what was acknowledged (the journals) and what the database says against each other
 * and against what each program gives in plain JavaScript.
 */
import { isDeepStrictEqual } from 'node:util';
import { chaosProgram, faultsOf, type LedgerLine, outcomeOf } from '../../fixtures/programs.mjs';
import { readLines } from './processes.js';
import type { Scene } from './scene.js';

type WorldLine = { readonly at: number; readonly pid: number } & (LedgerLine | { readonly ended: string });

interface JournalLine {
  readonly at: number;
  readonly asked?: number;
  readonly started?: number;
  readonly signalled?: readonly [number, string];
  readonly ended?: number;
  readonly value?: unknown;
  readonly nonces?: readonly string[];
  readonly error?: string;
  readonly gaveUp?: string;
  readonly paused?: number;
  /** A call of many could not do it to one. */
  readonly refused?: string;
}

/** A run of an activity, by which process, and when it began. */
export type Effect = LedgerLine & { readonly at: number; readonly pid: number };

export interface Audit {
  readonly done: number;
  readonly effects: number;
  /** Runs of an activity beside the one that was recorded, failed attempts aside: each is explained by a death. */
  readonly repeats: number;
  /** Workflows that ended with something else than their program gives, or whose effects do not fit what they recorded. */
  readonly wrong: readonly string[];
  /** Effects beyond "at least once until recorded". */
  readonly duplicates: readonly string[];
  /** Acknowledged, and not there. */
  readonly lost: readonly string[];
  /** There, and not ended. */
  readonly stuck: readonly string[];
  readonly violations: readonly string[];
  /** Calls after which a client heard nothing for 30 s, and made them again. */
  readonly gaveUp: number;
  /** How often a workflow was paused by a call of many. */
  readonly paused: number;
}

export async function auditOf(scene: Scene): Promise<Audit> {
  const world = readLines<WorldLine>(scene.dir, 'ledger-');
  const effects = world.filter((line): line is Effect => 'key' in line);
  const journals = scene.clients.map((_, n) => ({
    name: `c${n}`,
    lines: readLines<JournalLine>(scene.dir, `journal-c${n}.`),
  }));
  const ended = journals.flatMap(({ name, lines }) =>
    lines.filter((line) => line.ended !== undefined).map((line) => ({ ...line, name, n: line.ended as number })),
  );
  const known = await scene.cluster.sql<{ workflow_id: string; open: boolean }>(
    `select workflow_id, bool_or(state in ('open', 'pending')) as open from execution group by 1`,
  );
  const open = new Map(known.map((row) => [row.workflow_id, row.open]));
  const ids = new Set(ended.map(({ name, n }) => `${name}-${n}`));
  const acknowledged = journals.flatMap(({ name, lines }) =>
    lines.filter((line) => line.started !== undefined).map((line) => `${name}-${line.started}`),
  );
  const lines = journals.flatMap((journal) => journal.lines);
  const violations = await scene.cluster.sql<{ name: string; what: string }>('select * from violations()');
  return {
    done: ids.size,
    effects: effects.length,
    repeats: effects.length - new Set(effects.map(({ key, attempt }) => `${key} ${attempt}`)).size,
    wrong: [
      ...ended.flatMap((line) => wrongOutcome(scene.options.seed, line)),
      ...lines.flatMap(({ refused }) => refused ?? []),
      ...faultsOf(effects, ended.filter((line) => line.error === undefined) as never),
    ],
    duplicates: duplicatesOf(effects, await recordedAt(scene), await deathsByPid(scene)),
    lost: [...new Set(acknowledged)].filter((id) => !open.has(id)),
    stuck: [...open].filter(([id, isOpen]) => isOpen || (/^c\d+-\d+$/.test(id) && !ids.has(id))).map(([id]) => id),
    violations: violations.map(({ name, what }) => `${name}: ${what}`),
    gaveUp: lines.filter((line) => line.gaveUp !== undefined).length,
    paused: lines.reduce((total, { paused }) => total + (paused ?? 0), 0),
  };
}

function wrongOutcome(seed: number, line: { name: string; n: number; value?: unknown; error?: string }): string[] {
  const id = `${line.name}-${line.n}`;
  if (line.error !== undefined) return [`${id} failed: ${line.error}`];
  const expected: unknown = JSON.parse(JSON.stringify(outcomeOf(chaosProgram(seed, line.name, line.n))));
  if (isDeepStrictEqual(line.value, expected)) return [];
  return [`${id} gave ${JSON.stringify(line.value)} instead of ${JSON.stringify(expected)}`];
}

/**
 * I14: nothing runs after its result was recorded. I16: nothing runs again unless the process that ran it was declared dead, or had retired,
 * in between.
 *
 * @param recorded When each nonce first stood in a history, and `deaths` when the workers of a process did: true times, ms.
 */
export function duplicatesOf(
  effects: readonly Effect[],
  recorded: ReadonlyMap<string, number>,
  deaths: ReadonlyMap<number, readonly number[]>,
): string[] {
  const found: string[] = [];
  for (const runs of grouped(effects).values()) {
    runs.sort((a, b) => a.at - b.at);
    const at = Math.min(...runs.map(({ nonce }) => recorded.get(nonce) ?? Number.POSITIVE_INFINITY));
    for (const [index, run] of runs.entries()) {
      const what = `${run.tag} (${run.key})`;
      if (run.at > at + CLOCKS_AGREE_WITHIN_MS)
        found.push(`${what} ran ${run.at - at} ms after its result was recorded`);
      const before = runs.slice(0, index).findLast(({ attempt }) => attempt === run.attempt);
      if (before === undefined) continue;
      const died = (deaths.get(before.pid) ?? []).some(
        (death) => death >= before.at - CLOCKS_AGREE_WITHIN_MS && death <= run.at + CLOCKS_AGREE_WITHIN_MS,
      );
      if (!died)
        found.push(
          `${what} ran at ${before.at} in ${before.pid}, whose deaths are [${deaths.get(before.pid) ?? ''}], and again ${run.at - before.at} ms later in ${run.pid}`,
        );
    }
  }
  return found;
}

/** Of one machine, but the one is read in whole ms. */
const CLOCKS_AGREE_WITHIN_MS = 2;

/** When each nonce first stood in a history: true time, ms. */
async function recordedAt(scene: Scene): Promise<Map<string, number>> {
  const rows = await scene.cluster.sql<{ nonce: string; at: number }>(
    `select m[1] as nonce, min(extract(epoch from at) * 1000)::float8 as at
     from history h, regexp_matches(h::text, '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}', 'g') m group by 1`,
  );
  return new Map(rows.map(({ nonce, at }) => [nonce, scene.trueTime(at)]));
}

async function deathsByPid(scene: Scene): Promise<Map<number, number[]>> {
  const rows = await scene.cluster.sql<{ description: string; at: number }>(
    'select description, (extract(epoch from died_at) * 1000)::float8 as at from worker where died_at is not null',
  );
  const deaths = new Map<number, number[]>();
  for (const { description, at } of rows) {
    const pid = Number(description.slice(description.lastIndexOf('/') + 1));
    deaths.set(pid, [...(deaths.get(pid) ?? []), scene.trueTime(at)]);
  }
  return deaths;
}

function grouped(effects: readonly Effect[]): Map<string, Effect[]> {
  const groups = new Map<string, Effect[]>();
  for (const effect of effects) {
    const group = groups.get(effect.key);
    if (group === undefined) groups.set(effect.key, [effect]);
    else group.push(effect);
  }
  return groups;
}
