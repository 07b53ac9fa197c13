/**
 * The store of one workflow thread, in memory and in virtual time: what `commit`, `claim`, `park` and their like do to the
 * rows of one thread, in the order of sql/functions/commit.sql. What Postgres would raise as a violation is thrown here.
 *
 * Owns: history, timers, tasks, waits, children, signals and the inbox of the thread. Does not own: who runs it
 * (simulated-worker.ts), when anything happens (whoever holds the store).
 */

import type { Failure } from '../../src/core/failure.js';
import type { Decision } from '../../src/core/history.js';
import type { CommitAnswer, CommitItem, Effect } from '../../src/postgres/protocol/commit.js';
import type { ClaimedThread, HistoryRow, Mail } from '../../src/postgres/protocol/threads.js';
import { callDocument, type ModelDocuments } from './document-model.js';

export const THREAD_NO = 7;
export const STARTED_AT = 1_700_000_000_000;

export interface StoredTask {
  readonly name: string;
  readonly input: string;
}

export interface StoredChild {
  readonly workflowId: string;
  readonly name: string;
  readonly args: string;
  readonly awaited: boolean;
  cancelRequested: boolean;
}

/** What the store would decide about an operation, where a test wants to say so itself. */
export type DecisionScript = (op: number, kind: Effect['kind']) => Decision | null;

export class SimulatedStore {
  /** The database's clock. */
  now = STARTED_AT;
  epoch = 0;
  readonly rows: HistoryRow[] = [];
  readonly timers = new Map<number, number>();
  readonly tasks = new Map<number, StoredTask>();
  /** In the order in which they began to wait. */
  readonly waits = new Map<number, string>();
  readonly children = new Map<number, StoredChild>();
  readonly inbox = new Map<number, Mail>();
  readonly takenIds = new Set<string>();
  readonly buffered: { readonly id: string; readonly payload: string | null }[] = [];
  /** What it asked of other workflows. */
  readonly terminations: { failure: unknown; number: number | undefined; extra: string | undefined }[] = [];
  closing: { readonly state: string; readonly result: string | null } | null = null;
  /** Search fields and the entity document. */
  readonly documents: ModelDocuments = {};
  /** Answers of `commit` by status: what a random run has really met. */
  readonly answered = { done: 0, again: 0, early: 0, stale: 0, fenced: 0 };
  decide: DecisionScript = () => null;
  readonly #resolved = new Set<number>();
  readonly #args: string;
  readonly #config: string | null;
  #opened = 0;
  #nextInboxNo = 1;
  #returnedSignals: string[] = [];

  constructor({ args = '[]', config = null }: { args?: string; config?: string | null } = {}) {
    this.#args = args;
    this.#config = config;
  }

  /** What one call of `claim` answers; from here on commits of earlier owners are fenced. */
  claim(): ClaimedThread {
    this.epoch++;
    const last = this.rows.at(-1);
    return {
      thread_no: THREAD_NO,
      run_no: 11,
      chain_no: 5,
      request_no: 123_456_789,
      epoch: this.epoch,
      service_no: 1,
      last_seq: last?.seq ?? null,
      last_commit_no: last?.commit_no ?? null,
      created_ms: STARTED_AT,
      clock_ms: this.now,
      workflow_id: 'w-1',
      run: 0,
      args: this.#args,
      config: this.#config,
      expire_s: null,
      cancel_requested: false,
      parent_workflow_id: null,
      origin_id: null,
      trace: null,
      lineage: null,
      hook_no: null,
      hook_signal: null,
      timers: JSON.stringify([...this.timers].map(([op, dueAt]) => [op, dueAt - this.now])),
      tasks: JSON.stringify([...this.tasks.keys()]),
      mail: JSON.stringify([...this.inbox.values()].map((m) => [m.inbox_no, m.kind, m.op, m.payload])),
    };
  }

  /** How many operations were opened durably. */
  get opened(): number {
    return this.#opened;
  }

  get closed(): boolean {
    return this.closing !== null;
  }

  /** When the next timer is due. */
  get nextDue(): number {
    return Math.min(Infinity, ...this.timers.values());
  }

  // ---- what others do

  finishTask(op: number, outcome: { ok: true; text: string | null } | { ok: false; failure: Failure }): void {
    if (!this.tasks.delete(op)) return;
    if (outcome.ok) this.#deliver('done', op, outcome.text);
    else this.#deliver('fail', op, JSON.stringify(outcome.failure));
  }

  endChild(op: number, outcome: { ok: true; text: string | null } | { ok: false; failure: Failure }): void {
    const child = this.children.get(op);
    this.children.delete(op);
    if (child === undefined || !child.awaited) return;
    if (outcome.ok) this.#deliver('done', op, outcome.text);
    else this.#deliver('fail', op, JSON.stringify(outcome.failure));
  }

  /** As `handle.signal` and `workflow.signal` do: the longest waiter gets it, or it is kept. */
  signal(id: string, payload: string | null): 'delivered' | 'buffered' {
    if (this.closed) return 'buffered';
    for (const [op, waitsFor] of this.waits) {
      if (waitsFor !== id) continue;
      this.waits.delete(op);
      this.#deliver('signal', op, payload);
      return 'delivered';
    }
    this.buffered.push({ id, payload });
    return 'buffered';
  }

  /** A signal that finds its waiter under whatever id. */
  signalTo(op: number, payload: string | null): void {
    if (!this.waits.delete(op)) throw new Error(`operation ${op} does not wait for a signal`);
    this.#deliver('signal', op, payload);
  }

  cancel(): void {
    this.#deliver('cancel', null, null);
  }

  /** Mail that the owner does not know yet. */
  mail(known: ReadonlySet<number>): Mail[] {
    return [...this.inbox.values()].filter((mail) => !known.has(mail.inbox_no));
  }

  #deliver(kind: Mail['kind'], op: number | null, payload: string | null): void {
    if (this.closed) return;
    const inbox_no = this.#nextInboxNo++;
    this.inbox.set(inbox_no, { thread_no: THREAD_NO, inbox_no, kind, op, payload });
  }

  // ---- the worker's calls

  /** @returns 'mail' when it cannot be parked. */
  park(epoch: number): 'parked' | 'mail' | 'fenced' {
    if (this.epoch !== epoch || this.closed) return 'fenced';
    return this.inbox.size > 0 ? 'mail' : 'parked';
  }

  commit(item: CommitItem): CommitAnswer {
    const answer = this.#commit(item);
    this.answered[answer.status]++;
    return answer;
  }

  #commit(item: CommitItem): CommitAnswer {
    const present = this.rows[item.seq];
    if (present?.commit_no === item.commitNo) return { status: 'done', outcome: present.outcome };
    const previous = this.rows.at(-1);
    const fits =
      item.threadNo === THREAD_NO &&
      item.epoch === this.epoch &&
      item.seq === this.rows.length &&
      item.previousCommitNo === (previous?.commit_no ?? null) &&
      !this.closed;
    if (!fits) return { status: 'fenced' };
    if (item.effects.some(({ kind, op }) => kind === 'unwait' && !this.waits.has(op))) return { status: 'stale' };
    const early = item.effects
      .filter(({ kind, op }) => kind === 'fire' && (this.timers.get(op) ?? 0) > this.now)
      .map(({ op }) => (this.timers.get(op) as number) - this.now);
    if (early.length > 0) return { status: 'early', waitMs: Math.max(...early) };
    this.#check(item);
    for (const no of item.consumed) this.inbox.delete(no);
    for (const effect of item.effects) this.#undo(effect);
    for (const effect of item.effects) this.#do(effect);
    const outcome = this.#decideEffects(item.effects);
    this.rows.push({
      seq: item.seq,
      commit_no: item.commitNo,
      at_ms: this.now,
      body: item.body,
      outcome,
      closes: item.closing !== null,
    });
    if (item.closing !== null) this.#close({ state: item.closing, result: item.result });
    return { status: 'done', outcome };
  }

  /** I2, I3, and that operations are numbered densely. */
  #check(item: CommitItem): void {
    if (item.openedCount > 0 && item.openedFrom !== this.#opened)
      throw new Error(`operations are not dense: ${item.openedFrom} follows ${this.#opened - 1}`);
    this.#opened += item.openedCount;
    for (const op of item.resolved) {
      if (op >= this.#opened) throw new Error(`operation ${op} is resolved but was never opened`);
      if (this.#resolved.has(op)) throw new Error(`operation ${op} is resolved twice`);
      this.#resolved.add(op);
    }
    for (const no of item.consumed)
      if (!this.inbox.has(no)) throw new Error(`inbox row ${no} is consumed but not there`);
    for (const effect of item.effects) {
      const made = effect.kind === 'fire' || effect.kind === 'untimer' ? this.timers.has(effect.op) : true;
      if (!made) throw new Error(`${effect.kind} of operation ${effect.op}, which has no timer`);
      if (effect.op >= this.#opened)
        throw new Error(`${effect.kind} of operation ${effect.op}, which was never opened`);
    }
  }

  #undo({ kind, op }: Effect): void {
    if (kind === 'fire' || kind === 'untimer') this.timers.delete(op);
    if (kind === 'untask') this.tasks.delete(op);
    if (kind === 'unwait') this.waits.delete(op);
  }

  #do(effect: Effect): void {
    const { kind, op } = effect;
    if (kind === 'timer') this.timers.set(op, this.now + (effect.number ?? 0));
    if (kind === 'task') this.tasks.set(op, { name: effect.extra ?? '', input: effect.value ?? '' });
    const child = this.children.get(op);
    if (kind === 'uncall' && child !== undefined) child.cancelRequested = true;
  }

  /** Children first, then signals, waits and documents: as decide_effects.sql does. */
  #decideEffects(effects: readonly Effect[]): string | null {
    const facts: string[] = [];
    const decided = (kind: Effect['kind'], run: (effect: Effect) => Decision) => {
      for (const effect of effects) {
        if (effect.kind !== kind) continue;
        const decision = this.decide(effect.op, kind) ?? run(effect);
        const fact = factOf(effect.op, decision);
        if (fact !== null) facts.push(fact);
      }
    };
    decided('child', (effect) => this.#startChild(effect));
    decided('signal', ({ key = '', value = null }) => ({
      what: this.signal(key, value) === 'buffered' ? 'buffered' : 'usual',
    }));
    decided('terminate', ({ value = null, number, extra }) => {
      this.terminations.push({ failure: value === null ? null : JSON.parse(value), number, extra });
      return { what: 'usual' };
    });
    decided('wait', ({ op, key = '' }) => {
      const index = this.buffered.findIndex(({ id }) => id === key);
      if (index < 0) {
        this.waits.set(op, key);
        return { what: 'usual' };
      }
      const payload = this.buffered.splice(index, 1)[0]?.payload ?? null;
      return { what: 'signal', value: payload === null ? undefined : JSON.parse(payload) };
    });
    for (const kind of ['search', 'entity'] as const)
      decided(kind, ({ key = '', value }) => callDocument(this.documents, kind, key, value ?? '[]'));
    return facts.length === 0 ? null : `[${facts.join(',')}]`;
  }

  #startChild({ op, key = '', value, extra }: Effect): Decision {
    if (this.takenIds.has(key)) return { what: 'duplicate', id: key };
    this.takenIds.add(key);
    const { workflowName, awaited } = JSON.parse(extra ?? '{}') as { workflowName: string; awaited: boolean };
    this.children.set(op, {
      workflowId: key,
      name: workflowName,
      args: value ?? '[]',
      awaited,
      cancelRequested: false,
    });
    return { what: 'usual' };
  }

  #close(closing: { state: string; result: string | null }): void {
    this.closing = closing;
    for (const mail of this.inbox.values())
      if (mail.kind === 'signal') this.#returnedSignals.push(mail.payload ?? 'null');
    this.inbox.clear();
    this.timers.clear();
    this.tasks.clear();
    this.waits.clear();
    this.children.clear();
  }
}

function factOf(op: number, decision: Decision): string | null {
  switch (decision.what) {
    case 'usual':
      return null;
    case 'duplicate':
      return JSON.stringify([op, 'duplicate', decision.id]);
    case 'signal':
      return JSON.stringify(decision.value === undefined ? [op, 'signal'] : [op, 'signal', decision.value]);
    case 'value':
      return JSON.stringify(decision.value === undefined ? [op, 'value'] : [op, 'value', decision.value]);
    case 'refused':
      return JSON.stringify([op, 'refused', [decision.why, decision.at]]);
    default:
      return JSON.stringify([op, decision.what]);
  }
}
