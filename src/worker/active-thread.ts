/**
 * A thread that this process owns: its live instance, what waits to be delivered, what waits to be committed.
 *
 * The worker's turn, in stages: deliver (an event) -> [the function runs one macrotask turn] -> collect (its commands)
 * -> commit (one entry) -> settle (start eager activities, arm timers, take what the database decided) -> next.
 *
 * Owns: the order of events and commands of one thread. Does not own: connections, leases, slots (host.ts).
 *
 * Invariants:
 * 1. One stage at a time. Nothing is delivered while a commit of this thread is in flight.
 * 2. What the database decided about a commit opens the next activation, which holds all of it: for whoever goes on after a
 *    crash only the decisions about the last entry are there.
 * 3. Commands that came outside any delivery stand in an entry of their own, before whatever is delivered next.
 * 4. After a refusal nothing of the instance goes on. `fenced`: the thread is given back, and whoever claims it reloads.
 *    `stale` (a signal came before what ends the wait for it): it is read anew here, since outcomes that stand nowhere else, and
 *    attempts under way, would be lost with it.
 */

import { decodeOutcome } from '../codec/entry-text.js';
import { registeredSeal, type Seal } from '../codec/payload-codec.js';
import type { Failure } from '../core/failure.js';
import type { Event, RecordedStep, TraceAttributes } from '../core/history.js';
import { SmallMap } from '../core/small-map.js';
import type { Caller } from '../postgres/batcher.js';
import type { CommitAnswer, CommitItem } from '../postgres/protocol/commit.js';
import type { ClaimedThread, HistoryRow, Mail } from '../postgres/protocol/threads.js';
import type { ExecutionInfo, Instance, ProducedCommand } from '../replay/instance.js';
import { Recording } from '../replay/recording.js';
import { replay } from '../replay/replay.js';
import type { TracedStart } from '../telemetry/spans.js';
import { type ChildTraces, type EagerChoice, EntryDraft } from './entry-draft.js';
import { type Delivery, Mailbox } from './mailbox.js';
import type { OpenOperation, OpenOperations } from './open-operation.js';
import { nodeReplayPort } from './replay-port.js';
import { decisions, eventOf, readHistory, type ThreadHistory } from './thread-history.js';
import type { Turning, TurnLoop } from './turn-loop.js';

/** What a thread needs of the process it runs in. */
export interface ThreadPort {
  readonly turns: TurnLoop;
  readonly lateCommandMs: number;
  /** Monotonic, ms. */
  monotonic(): number;
  /** The database's clock as this process estimates it, ms since the epoch. */
  clock(): number;
  commit(item: CommitItem, thread: ActiveThread): void;
  loadHistory(threadNo: number): Promise<HistoryRow[]>;
  makeInstance(thread: ActiveThread, attempt: number, recording: Recording | null): Instance;
  chooseEager: (thread: ActiveThread) => EagerChoice;
  startEager(thread: ActiveThread, op: number): void;
  /** A bound activity's retry is due, or somebody changed its row. */
  resumeStep(thread: ActiveThread, op: number): void;
  /** The function begins anew: its bound activities go on. */
  resumeSteps(thread: ActiveThread): void;
  armTimer(thread: ActiveThread, op: number, ms: number): void;
  /** Operations that this process runs and nobody waits for any more. */
  abortActivities(thread: ActiveThread, ops: readonly number[] | 'all'): void;
  /** Spans that a durable entry holds. */
  trace(thread: ActiveThread, spans: readonly TraceAttributes[]): void;
  /** Its run is paused: it takes nothing more, and is to be given up when nothing of it is under way. */
  pausing(thread: ActiveThread): void;
  becameIdle(thread: ActiveThread): void;
  becameBusy(thread: ActiveThread): void;
  /** A workflow that the thread starts, with the commit under way: its span, where somebody traces. */
  beginChild(
    thread: ActiveThread,
    child: { workflowId: string; workflowName: string; taskQueue: string },
  ): TracedStart | null;
  /** @param failure What it failed with. */
  closed(thread: ActiveThread, item: CommitItem, failure: Failure | null): void;
  /** Its first entry is durable. */
  began(thread: ActiveThread): void;
  /** Its function failed and will be retried. */
  attemptFailed(thread: ActiveThread, attempt: number, failure: Failure | null, delayMs: number): void;
  /** Resolves when all that was delivered to threads of this process before the call is here. */
  freshMail(): Promise<void>;
  /** Dropped after a refusal: give it back. */
  refused(thread: ActiveThread): void;
  blocked(thread: ActiveThread, reason: Error): void;
  reclaim(thread: ActiveThread): void;
  failed(thread: ActiveThread, error: unknown): void;
}

/** Work on the thread's rows that must not meet a commit of the same thread. */
export type Chore = () => Promise<void>;

type Stage = 'idle' | 'turning' | 'committing' | 'loading' | 'parking' | 'parked' | 'gone';

export class ActiveThread implements Turning, Caller<CommitAnswer> {
  readonly row: ClaimedThread;
  readonly info: Omit<ExecutionInfo, 'attempt'>;
  /** The codec that its payloads pass. */
  readonly seal: Seal;
  epoch: number;
  claimNo: number;
  /** Inbox rows that are here and not consumed yet. */
  readonly knownMail = new Set<number>();
  readonly open: OpenOperations = new SmallMap<number, OpenOperation>();
  /** When its timers are due, by the monotonic clock. */
  readonly dueAt = new Map<number, number>();
  idleSince = 0;
  #port: ThreadPort;
  readonly #chooseEager: EagerChoice;
  readonly #traces: ChildTraces;
  #stage: Stage = 'loading';
  readonly #mailbox = new Mailbox(this.open);
  readonly #expected = new Set<number>();
  #chores: Chore[] = [];
  #instance: Instance | null = null;
  #deliveredTo: Instance | null = null;
  #draft: EntryDraft;
  /** The commit under way. */
  #sent: { readonly draft: EntryDraft; readonly item: CommitItem } | null = null;
  #current: Delivery | null = null;
  #produced: readonly ProducedCommand[] = [];
  #seq: number;
  #lastCommitNo: number | null;
  #opened = 0;
  #attempt = 1;
  #lastDelivery = 0;
  #now = 0;
  #pausing = false;

  constructor(
    row: ClaimedThread,
    claimNo: number,
    info: Omit<ExecutionInfo, 'attempt'>,
    port: ThreadPort,
    seal: Seal = registeredSeal,
  ) {
    this.seal = seal;
    this.row = row;
    this.info = info;
    this.epoch = row.epoch;
    this.claimNo = claimNo;
    this.#port = port;
    this.#chooseEager = port.chooseEager(this);
    this.#traces = { own: info.trace, begin: (child) => this.#port.beginChild(this, child) };
    this.#seq = row.last_seq === null ? 0 : row.last_seq + 1;
    this.#lastCommitNo = row.last_commit_no;
    this.#draft = this.#newDraft();
  }

  get threadNo(): number {
    return this.row.thread_no;
  }

  get stage(): Stage {
    return this.#stage;
  }

  get lastCommitNo(): number | null {
    return this.#lastCommitNo;
  }

  get instance(): Instance | null {
    return this.#instance;
  }

  /** Its run is paused: what is under way is finished, nothing else begins. */
  get pausing(): boolean {
    return this.#pausing;
  }

  get quiet(): boolean {
    return this.#stage === 'idle' && this.#mailbox.empty && this.#chores.length === 0;
  }

  /** Whether something is here that stands nowhere else and would be lost with it: an outcome, a row that is to be made. */
  get holdsUnstored(): boolean {
    return this.#mailbox.holdsOutcome || this.#chores.length > 0;
  }

  /** Whether everything it waits for can wake it by itself, from the database: then it may be parked. */
  get hasSources(): boolean {
    for (const operation of this.open.values()) {
      if (operation.kind !== 'activity') continue;
      if (operation.spec.bound ? !operation.rests : !operation.hasTask) return false;
    }
    return this.open.size > 0;
  }

  // ---- coming to life

  /** A thread without history: its first event is its start. */
  begin(): void {
    this.#instance = this.#port.makeInstance(this, 1, null);
    this.#stage = 'idle';
    this.post({ event: { kind: 'start' }, inboxNo: null });
  }

  /** A thread with history: replays it. @returns what the database decided about the last entry, to be delivered first. */
  async recover(tasks: readonly number[]): Promise<void> {
    await this.#revive(await this.#load(), tasks);
  }

  async #revive(history: ThreadHistory, tasks: readonly number[]): Promise<void> {
    const retryPending = [...this.open.values()].some((operation) => operation.kind === 'retry');
    if (!retryPending) await this.#replay(history.steps);
    if (this.#isGone()) return;
    this.#haveTasks(tasks);
    this.#stage = 'idle';
    // Before what came while the history was read.
    this.#mailbox.addFirst(...history.decided.map((event) => ({ event, inboxNo: null })));
    this.#notice();
  }

  /** Claimed again while its instance is still in the cache. */
  resume(row: ClaimedThread, claimNo: number): void {
    this.epoch = row.epoch;
    this.claimNo = claimNo;
    this.#stage = 'idle';
    this.#notice();
  }

  /** Being parked: whatever comes waits for the answer. */
  suspend(): void {
    this.#stage = 'parking';
  }

  /** Not parked after all. */
  unsuspend(): void {
    if (this.#stage !== 'parking') return;
    this.#rest();
    this.#resumeWaiting();
  }

  /** Parked: kept in the cache, owned by nobody. @returns whether something came meanwhile that needs it back. */
  park(): boolean {
    this.#stage = 'parked';
    this.dueAt.clear();
    this.#mailbox.keepUnstored();
    this.knownMail.clear();
    this.#expected.clear();
    this.#resumeWaiting();
    return !this.#mailbox.empty || this.#chores.length > 0 || (this.#instance?.hasCommands ?? false);
  }

  readonly #waiting: { op: number; parked: () => void; here: () => void }[] = [];

  /** Deals with an outcome of `op`: `here` now, or, while the thread is being parked, one of the two when that is decided. */
  afterSuspension(op: number, parked: () => void, here: () => void): void {
    if (this.#stage === 'parking') this.#waiting.push({ op, parked, here });
    else if (this.#stage === 'parked') parked();
    else here();
  }

  #resumeWaiting(): void {
    for (const { parked, here } of this.#waiting.splice(0)) (this.#stage === 'parked' ? parked : here)();
  }

  /** The earliest timer, by the monotonic clock. */
  get nextDue(): number {
    let next = Infinity;
    for (const [op, dueAt] of this.dueAt) {
      if (this.open.has(op)) next = Math.min(next, dueAt);
      else this.dueAt.delete(op);
    }
    return next;
  }

  /** The operations for which something is here, or known to come. */
  get opsWithMail(): ReadonlySet<number> {
    const ops = this.#mailbox.ops;
    for (const op of this.#expected) ops.add(op);
    return ops;
  }

  /** Something for the operation lies in the inbox, and has not been fetched yet. */
  expectMail(op: number | null): void {
    if (op !== null) this.#expected.add(op);
  }

  /** Whether an outcome of the operation is here that is not durable yet: its row stands until it is. */
  settles(op: number): boolean {
    const { event } = this.#current ?? {};
    return (
      this.#mailbox.has(op) ||
      (event !== undefined && 'op' in event && event.op === op) ||
      this.#draft.resolves(op) ||
      (this.#sent?.draft.resolves(op) ?? false) ||
      this.#waiting.some((waiting) => waiting.op === op)
    );
  }

  /** Dropped: promises never settle, nothing is recorded any more. */
  drop(): void {
    this.#stage = 'gone';
    this.#instance?.dispose();
    this.#instance = null;
    this.#mailbox.clear();
    this.#chores = [];
  }

  // ---- what others put in

  post(delivery: Delivery): void {
    if (this.#stage === 'gone') return;
    this.#mailbox.add(delivery);
    this.#notice();
  }

  postMail(mail: Mail): void {
    if (this.knownMail.has(mail.inbox_no)) return;
    this.knownMail.add(mail.inbox_no);
    if (mail.op !== null) this.#expected.delete(mail.op);
    if (mail.kind === 'again') {
      // Nothing that the function sees: the row of a bound activity was changed by somebody else.
      this.#consume(mail.inbox_no);
      this.#port.resumeStep(this, mail.op ?? -1);
      return;
    }
    if (mail.kind === 'pause') {
      this.#pausing = true;
      this.#port.pausing(this);
      return;
    }
    let event: Event;
    try {
      event = eventOf(mail, this.seal);
    } catch (error) {
      this.#port.failed(this, error);
      return;
    }
    this.post({ event, inboxNo: mail.inbox_no });
  }

  /** Runs `chore` when no commit of this thread is in flight. */
  postChore(chore: Chore): void {
    if (this.#stage === 'gone') return;
    this.#chores.push(chore);
    this.#notice();
  }

  /** A timer of this thread is due. */
  fire(op: number): void {
    const operation = this.open.get(op);
    if (operation?.kind === 'activity') {
      this.#port.resumeStep(this, op);
      return;
    }
    if (operation === undefined || this.#mailbox.hasTimer(op)) return;
    this.post({ event: { kind: operation.kind === 'retry' ? 'retry' : 'fire', op }, inboxNo: null });
  }

  /** The code called something outside any delivery. */
  lateCommand(): void {
    if (this.#stage === 'idle') this.#notice(true);
    else if (this.#stage === 'parked') this.#port.reclaim(this);
  }

  // ---- the turn

  deliver(): boolean {
    if (this.#stage !== 'turning') return false;
    this.#takeLate();
    if (this.#holdsBack()) {
      this.#commitOrRest();
      return false;
    }
    for (let next = this.#takeMail(); next !== undefined; next = this.#takeMail()) {
      const event = this.#mailbox.rejecting(next.event);
      if ('op' in event && !this.open.has(event.op)) {
        // Settled meanwhile (cancelled, timed out): the row is taken in, nobody is told.
        this.#draft.skip(next);
        continue;
      }
      if (event.kind === 'retry') {
        if (this.#draft.empty) void this.#retry(next);
        else this.#putBackAndCommit(next);
        return false;
      }
      if (event.kind === 'cancel' && this.#draft.opens) {
        // It resolves what is pending, and an operation is resolved by a later entry than the one that opened it.
        this.#putBackAndCommit(next);
        return false;
      }
      if (next.inboxNo !== null) {
        this.#consume(next.inboxNo);
        // Answered by task token, or timed out by the database: an attempt that runs here is for nothing.
        if (event.kind === 'done' || event.kind === 'fail') this.#port.abortActivities(this, [event.op]);
      }
      this.#current = this.#hand(event === next.event ? next : { event, inboxNo: null });
      return true;
    }
    this.#commitOrRest();
    return false;
  }

  /**
   * Paused: what the database holds stays there. An outcome that stands nowhere else is still taken in, and so are decisions when
   * an entry has been begun (invariant 2).
   */
  #holdsBack(): boolean {
    return this.#pausing && !this.#mailbox.holdsOutcome && !this.#mustGoOn;
  }

  /** The entry that has been begun would be the last one, and decisions about the one before are still to be delivered. */
  get #mustGoOn(): boolean {
    return this.#mailbox.beginsWithDecision && !this.#draft.empty;
  }

  #takeMail(): Delivery | undefined {
    return this.#mailbox.take(this.#instance === null);
  }

  collect(): boolean {
    if (this.#stage !== 'turning') return false;
    const delivery = this.#current;
    this.#current = null;
    if (delivery !== null) this.#draft.add(delivery.event, this.#now, this.#produced, delivery);
    this.#produced = [];
    this.#takeLate();
    if (this.#instance?.failure) {
      this.#block(this.#instance.failure);
      return false;
    }
    if (this.#draft.closes || this.#mailbox.empty || (this.#draft.full && !this.#mustGoOn)) {
      this.#commitOrRest();
      return false;
    }
    return true;
  }

  #hand(delivery: Delivery): Delivery {
    this.#now = Math.max(this.#now, Math.round(this.#port.clock()));
    this.#lastDelivery = this.#port.monotonic();
    const instance = this.#instance;
    this.#deliveredTo = instance;
    const ops = instance?.deliver(delivery.event, this.#now);
    if (delivery.event.kind === 'cancelled') this.#port.abortActivities(this, delivery.event.ops);
    if (delivery.event.kind !== 'cancel') return delivery;
    this.#port.abortActivities(this, ops ?? []);
    return { ...delivery, event: { kind: 'cancel', ops: ops ?? [] } };
  }

  /**
   * What the delivery itself brings about comes in its microtasks. A file or an import that ends in the same turn by
   * chance would end elsewhere in a replay: its commands are late.
   */
  drained(): void {
    const instance = this.#deliveredTo;
    this.#deliveredTo = null;
    if (instance === null) return;
    instance.endTurn();
    if (this.#instance === instance) this.#produced = instance.takeCommands();
  }

  #takeLate(): void {
    const commands = this.#instance?.takeCommands() ?? [];
    if (commands.length === 0) return;
    this.#now = Math.max(this.#now, Math.round(this.#port.clock()));
    const delayMs = this.#port.monotonic() - this.#lastDelivery;
    this.#draft.add({ kind: 'late', delayMs }, this.#now, commands);
  }

  #consume(inboxNo: number): void {
    this.#draft.consume(inboxNo);
  }

  #putBackAndCommit(delivery: Delivery): void {
    this.#mailbox.addFirst(delivery);
    this.#commitOrRest();
  }

  /** The function failed before and is due again: a fresh instance behind the same history. */
  async #retry(delivery: Delivery): Promise<void> {
    this.#stage = 'loading';
    try {
      const history = await this.#load();
      if (!(await this.#replay(history.steps)) || this.#isGone()) return;
      this.#stage = 'turning';
      this.#port.resumeSteps(this);
      this.#now = Math.max(this.#now, Math.round(this.#port.clock()));
      this.#lastDelivery = this.#port.monotonic();
      this.#instance?.deliver(delivery.event, this.#now);
      this.#instance?.endTurn();
      // What the fresh attempt did beyond its recorded history belongs to this event.
      this.#draft.add(delivery.event, this.#now, this.#instance?.takeCommands() ?? [], delivery);
      this.#commitOrRest();
    } catch (error) {
      this.#port.failed(this, error);
    }
  }

  #isGone(): boolean {
    return this.#stage === 'gone';
  }

  #commitOrRest(): void {
    if (this.#chores.length > 0 && this.#draft.empty) {
      void this.#doChores();
    } else if (this.#draft.empty) {
      this.#rest();
    } else {
      this.#commit();
    }
  }

  async #doChores(): Promise<void> {
    this.#stage = 'committing';
    try {
      for (let chore = this.#chores.shift(); chore !== undefined; chore = this.#chores.shift()) await chore();
    } catch (error) {
      this.#port.failed(this, error);
      return;
    }
    if (!this.#isGone() && this.#stage === 'committing') this.#rest();
  }

  #rest(): void {
    this.#stage = 'idle';
    this.#port.becameIdle(this);
    this.#notice();
  }

  // ---- commit and settle

  #commit(): void {
    const draft = this.#draft;
    let item: CommitItem;
    try {
      item = draft.item(
        {
          threadNo: this.threadNo,
          epoch: this.epoch,
          seq: this.#seq,
          lastCommitNo: this.#lastCommitNo,
          isHook: this.info.hookNo !== null,
        },
        this.info,
      );
    } catch (error) {
      this.#port.failed(this, error);
      return;
    }
    this.#draft = this.#newDraft();
    this.#stage = 'committing';
    this.#sent = { draft, item };
    this.#port.commit(item, this);
  }

  /** What the database says to the commit that is under way. */
  answered(answer: CommitAnswer): void {
    const sent = this.#sent;
    if (sent === null) return;
    if (answer.status === 'early') {
      setTimeout(() => this.#port.commit(sent.item, this), Math.ceil(Math.max(1, answer.waitMs)));
      return;
    }
    this.#sent = null;
    if (this.#stage === 'gone') return;
    try {
      if (answer.status === 'done') this.#settle(sent.draft, sent.item, answer.outcome);
      else if (answer.status === 'stale') void this.#reload(sent.draft);
      else this.#port.refused(this);
    } catch (error) {
      this.#port.failed(this, error);
    }
  }

  failed(error: unknown): void {
    this.#port.failed(this, error);
  }

  #settle(draft: EntryDraft, item: CommitItem, outcome: string | null): void {
    this.#seq++;
    this.#lastCommitNo = item.commitNo;
    for (const inboxNo of item.consumed) this.knownMail.delete(inboxNo);
    if (draft.spans.length > 0) this.#port.trace(this, draft.spans);
    if (draft.begun.length > 0) this.#endSpans(draft, outcome);
    if (item.seq === 0) this.#port.began(this);
    if (draft.closes) {
      this.#port.closed(this, item, draft.failed);
      return;
    }
    if (draft.attemptFailed) {
      this.#port.attemptFailed(this, this.#attempt, draft.failed, draft.retryInMs);
      this.#instance?.dispose();
      this.#instance = null;
      this.#attempt++;
    }
    if (outcome !== null || draft.decided.length > 0) {
      const decided = decodeOutcome(outcome, this.seal);
      for (const { what } of decided.values()) {
        if (what !== 'ended') continue;
        this.#port.closed(this, item, null); // the code terminated its own run
        return;
      }
      const events = decisions([...draft.decided, ...decided.keys()], decided);
      this.#mailbox.addFirst(...events.map((event) => ({ event, inboxNo: null })));
    }
    for (const { op, ms } of draft.timers) this.#port.armTimer(this, op, ms);
    if (this.#pausing)
      this.#port.abortActivities(this, draft.eager); // never begun: they begin with whoever goes on
    else for (const op of draft.eager) this.#port.startEager(this, op);
    this.#rest();
  }

  /** Refused because a signal came before what would have ended the wait for it: what the entry held comes again, behind that. */
  async #reload(refused: EntryDraft): Promise<void> {
    this.#stage = 'loading';
    this.#instance?.dispose();
    this.#instance = null;
    try {
      this.#port.abortActivities(this, refused.eager); // none has begun
      const { deliveries, consumed } = refused.putBack(this.seal);
      this.#mailbox.addFirst(...deliveries);
      for (const inboxNo of consumed) this.#consume(inboxNo);
      await this.#port.freshMail();
      if (this.#isGone()) return;
      const seq = this.#seq;
      const history = await this.#load();
      if (this.#isGone()) return;
      if (history.seq !== seq) {
        this.#port.refused(this); // who does not own it is told the same, and reads nothing
        return;
      }
      await this.#revive(history, refused.withoutTask);
      if (this.#isGone()) return;
      this.#port.resumeSteps(this);
      if (this.stage === 'idle') this.#port.becameIdle(this);
    } catch (error) {
      this.#port.failed(this, error);
    }
  }

  #newDraft(): EntryDraft {
    return new EntryDraft(this.open, this.#chooseEager, this.seal, this.#traces);
  }

  #endSpans({ begun }: EntryDraft, outcome: string | null): void {
    const decided = decodeOutcome(outcome, this.seal);
    for (const { op, span } of begun) span.end(decided.get(op)?.what === 'duplicate' ? 'DuplicateJobError' : undefined);
  }

  /** Something may have to be done: asks for a turn when none is under way. */
  #notice(late = false): void {
    if (this.#stage !== 'idle') return;
    if (!late && (this.#mailbox.empty || this.#holdsBack()) && this.#chores.length === 0) {
      if (!(this.#instance?.hasCommands ?? false)) return;
    }
    this.#stage = 'turning';
    this.#port.becameBusy(this);
    this.#port.turns.add(this);
  }

  // ---- history

  async #load(): Promise<ThreadHistory> {
    const history = readHistory(this.info, await this.#port.loadHistory(this.threadNo), this.seal);
    for (const [op, operation] of history.open) {
      const known = this.open.get(op);
      if (operation.kind !== 'activity' || known?.kind !== 'activity') continue;
      operation.hasTask = known.hasTask;
      operation.rests = known.rests;
    }
    this.open.clear();
    for (const [op, operation] of history.open) this.open.set(op, operation);
    this.#opened = history.opened;
    this.#seq = history.seq;
    this.#lastCommitNo = history.lastCommitNo;
    this.#attempt = history.attempt;
    this.#now = history.now;
    return history;
  }

  #haveTasks(ops: readonly number[]): void {
    for (const op of ops) {
      const operation = this.open.get(op);
      if (operation?.kind === 'activity') operation.hasTask = true;
    }
  }

  /** @returns false when the code does not fit the history: then the thread is blocked. */
  async #replay(steps: readonly RecordedStep[]): Promise<boolean> {
    const recording = new Recording(steps);
    const instance = this.#port.makeInstance(this, this.#attempt, recording);
    instance.opened = this.#opened;
    this.#instance = instance;
    try {
      await replay(instance, recording, nodeReplayPort, this.#port.lateCommandMs);
    } catch (error) {
      if (this.#isGone()) return false;
      this.#block(error instanceof Error ? error : new Error(String(error)));
      return false;
    }
    this.#draft.repeat(instance.takeRepeated());
    this.#lastDelivery = this.#port.monotonic();
    return true;
  }

  #block(reason: Error): void {
    this.#port.blocked(this, reason);
  }
}
