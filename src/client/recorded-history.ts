/**
 * Reads what is recorded of a workflow, a page at a time: its runs one after the other, the threads of a run side by side, in
 * the order of their steps' times.
 *
 * Holds one page of each thread of one run, however long the histories are; the more threads, the smaller their pages. Reads up to where they went when the reading
 * began, so that what comes out is what stood at one moment.
 */

import { decodeOutcome, decodeSteps, type Read } from '../codec/entry-text.js';
import type { Seal } from '../codec/payload-codec.js';
import { GetStateError } from '../core/errors.js';
import { type Decision, decidedAtCommit, type RecordedStep } from '../core/history.js';
import { defaultRetryPolicy } from '../core/retry-policy.js';
import type { HistoryPageSize, RecordedEntryRow, RecordedThreadRow } from '../postgres/protocol/exports.js';
import type { RecordedThread } from './recorded-operations.js';

/** Of each thread at a time. */
const PAGE: HistoryPageSize = { entries: 200, bytes: 262_144 };
/** What the pages of all threads of a run may hold together, but for an entry each that is larger than its share. */
const MOST_BYTES = 16_777_216;
/** Hooks whose first pages are read together. */
const MOST_AT_ONCE = 100;

export interface RecordedMoment {
  readonly thread: RecordedThread;
  readonly step: RecordedStep;
  /** When the entry that holds it was durable, by the database's clock. */
  readonly durableAt: number;
}

/** Where histories are read from. */
export interface HistorySource {
  readonly link: {
    readHistories(
      from: readonly { readonly threadNo: number; readonly seq: number }[],
      page: HistoryPageSize,
    ): Promise<RecordedEntryRow[]>;
  };
  readonly seal: Seal;
}

/**
 * The steps of all threads of a workflow. Runs that it was continued from and that are pruned meanwhile end where they are.
 *
 * @throws {GetStateError} when its newest run was pruned meanwhile.
 * @throws {PayloadCodecError} when a payload cannot be opened here.
 */
export async function* readSteps(
  workflowId: string,
  rows: readonly RecordedThreadRow[],
  source: HistorySource,
): AsyncGenerator<RecordedMoment> {
  const newest = rows.at(-1)?.run_no;
  for (const run of runsOf(rows)) {
    const cursors = run.map((row) => new Cursor(workflowId, row, row.run_no === newest, source.seal));
    const unread = cursors.filter((cursor) => !cursor.ended);
    const page = { ...PAGE, bytes: Math.min(PAGE.bytes, Math.ceil(MOST_BYTES / unread.length)) };
    for (let at = 0; at < unread.length; at += MOST_AT_ONCE)
      await turnPages(unread.slice(at, at + MOST_AT_ONCE), page, source);
    // A thread that was ended before it began has an entry without steps.
    let reading = unread.filter((cursor) => !cursor.ended);
    while (reading.length > 0) {
      const cursor = reading.reduce((first, other) => (other.next.step.now < first.next.step.now ? other : first));
      yield cursor.next;
      cursor.advance();
      if (cursor.needsPage) await turnPages([cursor], page, source);
      if (cursor.ended) reading = reading.filter((other) => other !== cursor);
    }
  }
}

function runsOf(rows: readonly RecordedThreadRow[]): RecordedThreadRow[][] {
  const runs: RecordedThreadRow[][] = [];
  for (const row of rows) {
    const last = runs.at(-1);
    if (last?.[0]?.run_no === row.run_no) last.push(row);
    else runs.push([row]);
  }
  return runs;
}

/** Until each has a step, or has ended: entries may hold none. */
async function turnPages(cursors: readonly Cursor[], size: HistoryPageSize, { link }: HistorySource): Promise<void> {
  for (let left = cursors; left.length > 0; left = left.filter((cursor) => cursor.needsPage)) {
    const from = left.map(({ threadNo, seq }) => ({ threadNo, seq }));
    const byThread = new Map<number, RecordedEntryRow[]>();
    for (const row of await link.readHistories(from, size)) {
      const page = byThread.get(row.thread_no);
      if (page === undefined) byThread.set(row.thread_no, [row]);
      else page.push(row);
    }
    for (const cursor of left) cursor.take(byThread.get(cursor.threadNo) ?? []);
  }
}

/** A place in the history of one thread. */
class Cursor {
  readonly thread: RecordedThread;
  /** The entry behind the page. */
  seq = 0;
  readonly #workflowId: string;
  readonly #mustBeThere: boolean;
  #entries: number;
  readonly #defaults: Parameters<typeof decodeSteps>[4];
  readonly #seal: Seal;
  #page: RecordedMoment[] = [];
  #at = 0;
  #opened = 0;
  #outcome: ReadonlyMap<number, Decision> = new Map();
  readonly #reads = new Map<number, Read>();

  constructor(workflowId: string, row: RecordedThreadRow, mustBeThere: boolean, seal: Seal) {
    this.thread = {
      threadNo: row.thread_no,
      generation: row.generation,
      hookNo: row.hook_no,
      workflowName: row.workflow_name,
    };
    this.#workflowId = workflowId;
    this.#mustBeThere = mustBeThere;
    this.#entries = row.entries;
    this.#defaults = { taskQueue: row.task_queue, retry: defaultRetryPolicy };
    this.#seal = seal;
  }

  get threadNo(): number {
    return this.thread.threadNo;
  }

  get next(): RecordedMoment {
    return this.#page[this.#at] as RecordedMoment;
  }

  get needsPage(): boolean {
    return this.#at === this.#page.length && this.seq < this.#entries;
  }

  get ended(): boolean {
    return this.#at === this.#page.length && this.seq >= this.#entries;
  }

  advance(): void {
    this.#at++;
  }

  take(rows: readonly RecordedEntryRow[]): void {
    this.#page = [];
    this.#at = 0;
    if (rows[0]?.seq !== this.seq) {
      if (this.#mustBeThere) throw new GetStateError(this.#workflowId);
      this.#entries = this.seq;
    }
    for (const row of rows) {
      if (row.seq === this.#entries) break; // written since
      const read = decodeSteps(row.seq, row.body, this.#opened, this.#outcome, this.#defaults, this.#seal);
      this.#opened = read.opened;
      this.#outcome = decodeOutcome(row.outcome, this.#seal, this.#reads);
      this.seq = row.seq + 1;
      for (const step of read.steps) this.#page.push({ thread: this.thread, step, durableAt: row.at_ms });
      if (this.seq === this.#entries) this.#page.push(...this.#undelivered(read.steps, row));
    }
  }

  /** What the database decided about the last entry: it has happened, though the code has not learned of it. */
  #undelivered(steps: readonly RecordedStep[], { seq, at_ms }: RecordedEntryRow): RecordedMoment[] {
    const asked = steps.flatMap((step) => step.commands).filter(({ command }) => decidedAtCommit(command));
    const ops = new Set([...asked.map(({ op }) => op as number), ...this.#outcome.keys()]);
    return [...ops].map((op) => {
      const decision = this.#outcome.get(op) ?? { what: 'usual' as const };
      const step: RecordedStep = { entry: seq, event: { kind: 'decided', op, decision }, now: at_ms, commands: [] };
      return { thread: this.thread, step, durableAt: at_ms };
    });
  }
}
