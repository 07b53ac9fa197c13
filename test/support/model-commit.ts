/** What `commit` does in the model, in the order of sql/functions/{commit, decide_effects, open_hooks}.sql. */

import type { CommitAnswer, CommitItem, Effect } from '../../src/postgres/protocol/commit.js';
import { callDocument } from './document-model.js';
import { cancelRuns, closeThreads, deliverSignals, endRun, waitersOf } from './model-endings.js';
import { type ModelRows, type ModelRun, type ModelThread, taskKey } from './model-rows.js';

interface Placed {
  readonly item: CommitItem;
  readonly effect: Effect;
}

export function commitItems(rows: ModelRows, workerNo: number, items: readonly CommitItem[]): CommitAnswer[] {
  rows.checkLease(workerNo);
  const refusals = items.map((item) => refusalOf(rows, item));
  const accepted = items.filter((item, index) => refusals[index] === null && fits(rows, workerNo, item));
  for (const item of accepted) enter(rows, workerNo, item);
  const effects: Placed[] = accepted.flatMap((item) => item.effects.map((effect) => ({ item, effect })));
  const of = (...kinds: Effect['kind'][]) => effects.filter(({ effect }) => kinds.includes(effect.kind));

  for (const item of accepted) for (const no of item.consumed) consume(rows, item, no);
  for (const one of effects) undo(rows, one);
  for (const { item, effect } of of('timer'))
    rows.thread(item.threadNo).timers.set(effect.op, rows.now + (effect.number ?? 0));
  for (const one of of('task')) makeTask(rows, one);
  cancelRuns(
    rows,
    of('uncall').flatMap(({ item, effect }) => awaited(rows, item.threadNo, effect.op)),
  );
  const facts = new Map<CommitItem, string[]>(accepted.map((item) => [item, []]));
  decide(rows, of, (item, fact) => facts.get(item)?.push(fact));
  const closings = accepted
    .filter(({ closing }) => closing !== null)
    .map(({ threadNo, closing, result }) => ({ thread: threadNo, state: closing as string, result }));
  if (closings.length > 0) closeThreads(rows, closings);
  const onTerms = of('child on terms').sort((a, b) => ((a.effect.key ?? '') < (b.effect.key ?? '') ? -1 : 1));
  for (const one of onTerms) {
    const fact = startChildOnTerms(rows, one);
    if (fact !== null) facts.get(one.item)?.push(fact);
  }
  for (const one of of('terminate')) {
    const fact = terminate(rows, one);
    if (fact !== null) facts.get(one.item)?.push(fact);
  }
  for (const { item, effect } of of('emit'))
    rows.emissions.push({ thread: item.threadNo, topic: effect.key ?? '', payload: effect.value ?? null });

  return items.map((item, index) => {
    const entry = rows.threads.get(item.threadNo)?.history[item.seq];
    if (accepted.includes(item)) {
      const told = facts.get(item) ?? [];
      const outcome = told.length === 0 ? null : `[${told.join(',')}]`;
      if (entry !== undefined) entry.outcome = outcome;
      return { status: 'done', outcome };
    }
    if (entry !== undefined && entry.commit_no === item.commitNo) return { status: 'done', outcome: entry.outcome };
    return (entry === undefined ? refusals[index] : null) ?? { status: 'fenced' };
  });
}

/** What is refused whoever owns the thread: a wait that was answered, a timer that is not due. */
function refusalOf(rows: ModelRows, { threadNo, effects }: CommitItem): CommitAnswer | null {
  if (effects.some(({ kind, op }) => kind === 'unwait' && rows.waitAt(threadNo, op) === null))
    return { status: 'stale' };
  const timers = rows.threads.get(threadNo)?.timers;
  const waits = effects
    .filter(({ kind, op }) => kind === 'fire' && (timers?.get(op) ?? 0) > rows.now)
    .map(({ op }) => (timers?.get(op) as number) - rows.now);
  return waits.length > 0 ? { status: 'early', waitMs: Math.max(...waits) } : null;
}

function fits(rows: ModelRows, workerNo: number, item: CommitItem): boolean {
  const thread = rows.threads.get(item.threadNo);
  const last = thread?.history.at(-1);
  return (
    thread !== undefined &&
    thread.owner === workerNo &&
    thread.epoch === item.epoch &&
    item.seq === thread.history.length &&
    (last?.commit_no ?? null) === item.previousCommitNo &&
    last?.closes !== true
  );
}

/** The entry, and what must hold for any: operations are dense, and resolved once by a later entry than opened them. */
function enter(rows: ModelRows, workerNo: number, item: CommitItem): void {
  const thread = rows.thread(item.threadNo);
  if (item.openedCount > 0 && item.openedFrom !== thread.opened)
    throw new Error(`operations are not dense: ${item.openedFrom} follows ${thread.opened - 1}`);
  for (const op of item.resolved) {
    if (op >= thread.opened) throw new Error(`operation ${op} is resolved but was never opened`);
    if (thread.resolved.has(op)) throw new Error(`operation ${op} is resolved twice`);
    thread.resolved.add(op);
  }
  thread.opened += item.openedCount;
  for (const { kind, op } of item.effects)
    if (op >= thread.opened && kind !== 'emit') throw new Error(`${kind} of operation ${op}, which was never opened`);
  thread.history.push({
    seq: item.seq,
    commit_no: item.commitNo,
    at_ms: rows.now,
    body: item.body,
    outcome: null,
    closes: item.closing !== null,
    result: item.result,
    epoch: item.epoch,
    worker: workerNo,
  });
}

function consume(rows: ModelRows, item: CommitItem, no: number): void {
  if (rows.inbox.get(no)?.thread !== item.threadNo) throw new Error(`inbox row ${no} is consumed but not there`);
  rows.inbox.delete(no);
}

function undo(rows: ModelRows, { item, effect: { kind, op } }: Placed): void {
  const thread = rows.thread(item.threadNo);
  if (kind === 'fire' || kind === 'untimer') thread.timers.delete(op);
  if (kind === 'untask') rows.tasks.delete(taskKey(thread.no, op));
  const wait = kind === 'unwait' ? rows.waitAt(thread.no, op) : null;
  if (wait !== null) rows.waits.delete(wait.no);
}

function makeTask(rows: ModelRows, { item: { threadNo }, effect }: Placed): void {
  rows.tasks.set(taskKey(threadNo, effect.op), {
    thread: threadNo,
    op: effect.op,
    name: effect.extra ?? '',
    input: effect.value ?? '',
    readyAt: rows.now,
    owner: null,
    claimNo: null,
    epoch: 0,
    losses: 0,
  });
}

function awaited(rows: ModelRows, thread: number, op: number): ModelRun[] {
  return [...rows.runs.values()].filter(
    (run) => run.parentThread === thread && run.parentOp === op && run.state === 'open',
  );
}

/** Children first, then hooks, signals, waits, documents. */
function decide(
  rows: ModelRows,
  of: (...kinds: Effect['kind'][]) => Placed[],
  tell: (item: CommitItem, fact: string) => void,
): void {
  startChildren(rows, of('child'), tell);
  const unhooked = new Set<string>();
  const hooks = of('hook').map(({ item, effect }) => {
    const run = effect.key === undefined ? rows.runOf(item.threadNo) : rows.latest(effect.key);
    return { item, effect, run };
  });
  hooks.sort((a, b) => (a.run?.no ?? 0) - (b.run?.no ?? 0)); // numbered run by run
  for (const { item, effect, run } of hooks) {
    const { signalId } = JSON.parse(effect.extra ?? '{}') as { signalId: string | null };
    const opened = openHook(rows, run, {
      opener: item.threadNo,
      op: effect.op,
      request: null,
      args: effect.value ?? '[]',
      ...(JSON.parse(effect.extra ?? '{}') as HookFields),
    });
    if (typeof opened === 'string') {
      tell(item, JSON.stringify([effect.op, 'unhooked', opened]));
      unhooked.add(taskKey(item.threadNo, effect.op));
    } else if (signalId === null) tell(item, JSON.stringify([effect.op, 'hooked', String(opened)]));
  }
  const signals = of('signal');
  const met = new Set(signals.map(({ effect }) => effect.key ?? ''));
  const sent = signals.map(({ effect }) => ({
    id: effect.key ?? '',
    chain: null,
    payload: effect.value ?? null,
    expireMs: effect.number ?? 0,
  }));
  const threads = waitersOf(rows, sent);
  for (const { item } of of('wait', 'unwait', 'untask', 'own')) threads.add(item.threadNo);
  deliverSignals(rows, sent, { met, threads }).forEach((status, index) => {
    const { item, effect } = signals[index] as Placed;
    if (status === 'buffered') tell(item, JSON.stringify([effect.op, 'buffered']));
  });
  const waits = of('wait').filter(({ item, effect }) => !unhooked.has(taskKey(item.threadNo, effect.op)));
  const made = waits.map(({ item, effect }) => {
    const no = rows.next('wait');
    const { chain } = rows.runOf(item.threadNo);
    rows.waits.set(no, { no, thread: item.threadNo, chain, op: effect.op, signalId: effect.key ?? '' });
    return { item, effect, no, chain };
  });
  for (const { item, effect, no, chain } of made) {
    const [kept] = [...rows.signals.values()]
      .filter((signal) => signal.id === effect.key && (signal.chain === null || signal.chain === chain))
      .filter((signal) => signal.expiresAt > rows.now)
      .sort((a, b) => a.no - b.no);
    if (kept === undefined) continue;
    rows.signals.delete(kept.no);
    rows.waits.delete(no);
    tell(item, `[${effect.op},"signal"${kept.payload === null ? '' : `,${kept.payload}`}]`);
  }
  const calls = of('search', 'entity').map((one, n) => ({ ...one, n, run: rows.runOf(one.item.threadNo) }));
  calls.sort(
    (a, b) =>
      a.run.no - b.run.no || (a.effect.kind < b.effect.kind ? -1 : a.effect.kind > b.effect.kind ? 1 : a.n - b.n),
  );
  for (const { item, effect, run } of calls) {
    const decision = callDocument(
      run.documents,
      effect.kind as 'search' | 'entity',
      effect.key ?? '',
      effect.value ?? '[]',
    );
    if (decision.what === 'value')
      tell(
        item,
        JSON.stringify(decision.value === undefined ? [effect.op, 'value'] : [effect.op, 'value', decision.value]),
      );
    if (decision.what === 'refused') tell(item, JSON.stringify([effect.op, 'refused', [decision.why, decision.at]]));
  }
}

interface ChildFields {
  readonly taskQueue: string;
  readonly workflowName: string;
  readonly awaited: boolean;
  readonly config: string | null;
  readonly expire: number | null;
  readonly parentWorkflowId: string;
  readonly originId: string;
  readonly terms?: { readonly onParentClose?: 'terminate' | 'cancel' };
}

function startChildren(rows: ModelRows, children: Placed[], tell: (item: CommitItem, fact: string) => void): void {
  const numbered = children.map((one) => ({ ...one, no: rows.next('run') }));
  const made = new Set<number>();
  const inOrder = [...numbered].sort((a, b) => ((a.effect.key ?? '') < (b.effect.key ?? '') ? -1 : 1));
  for (const one of inOrder) if (startChild(rows, one, one.no)) made.add(one.no);
  for (const { item, effect, no } of numbered)
    if (!made.has(no)) tell(item, JSON.stringify([effect.op, 'duplicate', effect.key]));
}

function startChild(rows: ModelRows, { item, effect }: Placed, no: number): boolean {
  const workflowId = effect.key ?? '';
  if (rows.latest(workflowId) !== null) return false;
  const fields = JSON.parse(effect.extra ?? '{}') as ChildFields;
  const service = rows.service('workflow', fields.taskQueue, fields.workflowName);
  rows.runs.set(no, {
    no,
    chain: no,
    request: -1,
    parentThread: fields.awaited ? item.threadNo : null,
    parentOp: fields.awaited ? effect.op : null,
    parentChain: rows.runOf(item.threadNo).chain,
    run: 0,
    workflowId,
    service,
    cause: 'start',
    args: effect.value ?? '[]',
    config: fields.config,
    expireS: fields.expire,
    parentWorkflowId: fields.parentWorkflowId,
    originId: fields.originId,
    createdMs: rows.now,
    documents: {},
    onParentClose: fields.terms?.onParentClose ?? null,
    state: 'open',
    cancelRequested: false,
    paused: false,
  });
  rows.makeThread(no, no, service, false);
  return true;
}

/** With the usual policies: an id that was ever used is taken. */
function startChildOnTerms(rows: ModelRows, one: Placed): string | null {
  const { effect, item } = one;
  if (rows.latest(effect.key ?? '') !== null) return JSON.stringify([effect.op, 'duplicate', effect.key]);
  startChild(rows, one, rows.next('run'));
  const parent = rows.runOf(item.threadNo);
  if (parent.state !== 'open' && parent.state !== 'continued' && !rows.terminations.has(parent.chain)) {
    const { terms } = JSON.parse(effect.extra ?? '{}') as ChildFields;
    if (terms?.onParentClose !== undefined)
      rows.terminations.set(parent.chain, { chain: parent.chain, whole: false, failure: null });
  }
  return null;
}

export interface HookFields {
  readonly taskQueue: string;
  readonly workflowName: string;
  readonly signalId: string | null;
  readonly config: string | null;
}

/** @returns its thread's number, or why it was refused. */
export function openHook(
  rows: ModelRows,
  run: ModelRun | null,
  asked: HookFields & { opener: number | null; op: number | null; request: number | null; args: string },
): number | string {
  if (run === null) return 'unknown';
  if (run.state !== 'open') return 'inactive';
  const { signalId } = asked;
  const no = rows.next('run');
  const hooks = [...rows.hooks.values()].filter((hook) => hook.run === run.no);
  rows.hooks.set(no, {
    thread: no,
    run: run.no,
    openerThread: signalId === null ? null : asked.opener,
    openerOp: signalId === null ? null : asked.op,
    request: asked.request,
    hookNo: hooks.length,
    args: asked.args,
    signalId,
    config: asked.config,
    state: 'open',
  });
  const service = rows.service('workflow', asked.taskQueue, asked.workflowName);
  const thread: ModelThread = rows.makeThread(no, run.no, service, run.paused);
  const opener = asked.opener === null ? undefined : rows.threads.get(asked.opener);
  const asks = opener !== undefined && opener.run === run.no ? opener.no : run.no;
  if (rows.mailOf(asks).some(({ kind }) => kind === 'cancel')) rows.deliver(thread, 'cancel', null, null);
  return no;
}

function terminate(rows: ModelRows, { item, effect }: Placed): string | null {
  const run = rows.latest(effect.key ?? '');
  if (run === null) return JSON.stringify([effect.op, 'unknown']);
  if (run.state !== 'open') return JSON.stringify([effect.op, 'completed']);
  endRun(rows, run, { commitNo: -1, failure: effect.value ?? null, descend: effect.extra === 'descend' });
  return run.no === rows.thread(item.threadNo).run ? JSON.stringify([effect.op, 'ended']) : null;
}
