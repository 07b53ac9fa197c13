/** Calls `commit`: history entries and their effects, many at a time. See sql/functions/commit.sql. */

import type { Lane } from '../database.js';
import { bigints, boolean, call, doubles, int, ints, texts } from './call.js';

export type EffectKind =
  | 'timer'
  | 'untimer'
  | 'fire'
  | 'wait'
  | 'unwait'
  | 'task'
  | 'limits'
  | 'untask'
  | 'child'
  | 'child on terms'
  | 'uncall'
  | 'hook'
  | 'own'
  | 'signal'
  | 'terminate'
  | 'emit'
  | 'search'
  | 'entity';

export interface Effect {
  readonly kind: EffectKind;
  /** Of an emitted event: 0. */
  readonly op: number;
  readonly key?: string;
  readonly value?: string | null;
  readonly number?: number;
  readonly extra?: string;
}

/** One entry of one thread. `commitNo` is made once per entry, so that a repeated commit is recognised. */
export interface CommitItem {
  readonly threadNo: number;
  readonly epoch: number;
  readonly seq: number;
  readonly commitNo: number;
  readonly previousCommitNo: number | null;
  readonly openedFrom: number;
  readonly openedCount: number;
  readonly resolved: readonly number[];
  readonly body: string;
  readonly closing: 'completed' | 'failed' | 'cancelled' | 'continued' | null;
  readonly result: string | null;
  readonly consumed: readonly number[];
  readonly effects: readonly Effect[];
}

export type CommitAnswer =
  /** Durable. `outcome`: what the database decided, if anything but the usual. */
  | { readonly status: 'done'; readonly outcome: string | null }
  /** A timer of it is not due yet: send it again after `waitMs`. */
  | { readonly status: 'early'; readonly waitMs: number }
  /** Refused: a signal came first, or the thread is not ours in this state. Reload. */
  | { readonly status: 'stale' | 'fenced' };

/** What nearly every item is answered. */
const DONE: CommitAnswer = { status: 'done', outcome: null };

/** @returns the answer for each item, and hints for whoever should look. */
export async function commit(
  lane: Lane,
  schema: string,
  workerNo: number,
  items: readonly CommitItem[],
): Promise<{ answers: CommitAnswer[]; hints: string | null }> {
  const count = items.length;
  const columns = {
    threadNo: new Array<number>(count),
    epoch: new Array<number>(count),
    seq: new Array<number>(count),
    commitNo: new Array<number>(count),
    previousCommitNo: new Array<number | null>(count),
    openedFrom: new Array<number | null>(count),
    openedCount: new Array<number | null>(count),
    resolved: new Array<number | null>(count),
    resolvedMore: new Array<string | null>(count),
    body: new Array<string>(count),
    closing: new Array<string | null>(count),
    result: new Array<string | null>(count),
  };
  const consumed = { item: [] as number[], no: [] as number[] };
  const effects = {
    item: [] as number[],
    kind: [] as string[],
    op: [] as number[],
    key: [] as (string | null)[],
    value: [] as (string | null)[],
    number: [] as (number | null)[],
    extra: [] as (string | null)[],
  };
  // By index, and each item once: iterators over thousands of mostly empty lists are garbage.
  for (let index = 0; index < count; index++) {
    const item = items[index] as CommitItem;
    columns.threadNo[index] = item.threadNo;
    columns.epoch[index] = item.epoch;
    columns.seq[index] = item.seq;
    columns.commitNo[index] = item.commitNo;
    columns.previousCommitNo[index] = item.previousCommitNo;
    columns.openedFrom[index] = item.openedCount === 0 ? null : item.openedFrom;
    columns.openedCount[index] = item.openedCount === 0 ? null : item.openedCount;
    columns.resolved[index] = item.resolved[0] ?? null;
    columns.resolvedMore[index] = item.resolved.length > 1 ? `{${item.resolved.slice(1).join(',')}}` : null;
    columns.body[index] = item.body;
    columns.closing[index] = item.closing;
    columns.result[index] = item.result;
    for (let at = 0; at < item.consumed.length; at++) {
      consumed.item.push(index + 1);
      consumed.no.push(item.consumed[at] as number);
    }
    for (let at = 0; at < item.effects.length; at++) {
      const effect = item.effects[at] as Effect;
      effects.item.push(index + 1);
      effects.kind.push(effect.kind);
      effects.op.push(effect.op);
      effects.key.push(effect.key ?? null);
      effects.value.push(effect.value ?? null);
      effects.number.push(effect.number ?? null);
      effects.extra.push(effect.extra ?? null);
    }
  }
  const rows = await lane.query<{ item: number; status: string; detail: string | null }>(
    call(
      schema,
      'commit',
      [
        int(workerNo),
        boolean(false),
        bigints(columns.threadNo),
        ints(columns.epoch),
        ints(columns.seq),
        bigints(columns.commitNo),
        bigints(columns.previousCommitNo),
        ints(columns.openedFrom),
        ints(columns.openedCount),
        ints(columns.resolved),
        texts(columns.resolvedMore),
        texts(columns.body),
        texts(columns.closing),
        texts(columns.result),
        ints(consumed.item),
        bigints(consumed.no),
        ints(effects.item),
        texts(effects.kind),
        ints(effects.op),
        texts(effects.key),
        texts(effects.value),
        doubles(effects.number),
        texts(effects.extra),
      ],
      { prepare: true },
    ),
  );
  const answers = new Array<CommitAnswer>(count).fill(DONE);
  let hints: string | null = null;
  for (const { item, status, detail } of rows) {
    if (item === 0) hints = detail;
    else if (status === 'again' || status === 'decided') answers[item - 1] = { status: 'done', outcome: detail };
    else if (status === 'early') answers[item - 1] = { status, waitMs: Number(detail) };
    else answers[item - 1] = { status: status as 'stale' | 'fenced' };
  }
  return { answers, hints };
}

/** How many bytes an item adds to a call, roughly. */
export function commitBytes(item: CommitItem): number {
  let bytes = 120 + item.body.length + (item.result?.length ?? 0);
  for (let at = 0; at < item.effects.length; at++) {
    const effect = item.effects[at] as Effect;
    bytes += 40 + (effect.value?.length ?? 0) + (effect.extra?.length ?? 0);
  }
  return bytes;
}

const drawn = new Uint32Array(512);
let used = drawn.length;

/** A number that no other commit or request has: 48 random bits, exact in a double. Drawn in stock: one by one costs 4 % of a worker. */
export function randomNumber(): number {
  if (used === drawn.length) {
    crypto.getRandomValues(drawn);
    used = 0;
  }
  const high = drawn[used++] as number;
  const low = drawn[used++] as number;
  return (high & 0xffff) * 0x100000000 + low;
}
