import { describe, expect, it } from 'vitest';
import { loadHistory } from '../../src/postgres/protocol/threads.js';
import { takeOver } from '../../src/postgres/protocol/workers.js';
import {
  block,
  claim,
  claimOnly,
  commitOne,
  die,
  entry,
  expireLease,
  finish,
  keepHouse,
  onEveryDatabase,
  outcomeOf,
  park,
  queue,
  reapDead,
  register,
  release,
  renew,
  retire,
  running,
  setClock,
  signal,
  start,
  step,
  takeTasks,
  task,
  taskItem,
  terminate,
  wait,
  waiting,
} from '../support/protocol.js';
import { failureOf, SCHEMA } from '../support/protocol-session.js';
import { stateOf } from '../support/protocol-state.js';

const LEASE_LOST = 'PD002';

onEveryDatabase('a worker', (session) => {
  const workers = async () => (await stateOf(session())).workers;

  it('that registers again by its key is the same one, with more services and a new lease', async () => {
    const first = await register(session(), 'w', { leaseMs: 1_000 });
    const more = [{ kind: 'workflow' as const, taskQueue: 'queue', name: 'another' }];
    const second = await register(session(), 'w', { services: more });
    expect(second.no).toBe(first.no);
    expect(second.services).toHaveLength(1);
    const [row] = await session().sql<{ services: string; lasts: boolean }>(
      `select services::text, lease_until > clock_timestamp() + interval '1 minute' as lasts from ${SCHEMA}.worker`,
    );
    expect(row?.lasts).toBe(true);
    expect(row?.services).toBe(`{${[...first.services, ...second.services].sort((a, b) => a - b).join(',')}}`);
  });

  it('gets the number of a service in the order it asked', async () => {
    const kinds = [
      { kind: 'workflow' as const, taskQueue: 'q', name: 'b' },
      { kind: 'activity' as const, taskQueue: 'q', name: '' },
      { kind: 'workflow' as const, taskQueue: 'q', name: 'a' },
    ];
    const first = await register(session(), 'one', { services: kinds });
    const second = await register(session(), 'two', { services: [...kinds].reverse() });
    expect(new Set(second.services)).toEqual(new Set(first.services));
  });

  it('keeps all it owns as long as it renews its lease', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await setClock(session(), '59 minutes');
    expect(await renew(session(), worker)).toBe(true);
    await setClock(session(), '118 minutes');
    await reapDead(session());
    expect(await commitOne(session(), thread, entry(thread))).toMatchObject({ status: 'done' });
  });

  it('whose lease ran out may still renew it, if nobody noticed', async () => {
    const worker = await register(session());
    await expireLease(session(), worker);
    expect(await renew(session(), worker)).toBe(true);
    await reapDead(session());
    expect(await workers()).toEqual([{ worker: 'worker', dead: false, released: false }]);
  });

  it('that was declared dead cannot renew its lease, nor come back under its key', async () => {
    const worker = await register(session());
    await die(session(), worker);
    expect(await renew(session(), worker)).toBe(false);
    expect(await failureOf(register(session()))).toBe(LEASE_LOST);
    expect((await register(session(), 'anew')).no).not.toBe(worker.no);
  });

  it.each([
    ['whose lease ran out', expireLease],
    ['that was declared dead', die],
  ] as const)('%s can do nothing any more', async (_, end) => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 3, effects: [wait(0, 'go'), task(1)] });
    const [taken] = await takeTasks(session(), worker);
    await start(session(), 'b');
    await end(session(), worker);
    const before = await stateOf(session());
    const calls = {
      claim: () => claim(session(), worker),
      commit: () => commitOne(session(), thread, entry(thread)),
      park: () => park(session(), thread, [0, 1]),
      release: () => release(session(), thread),
      block: () => block(session(), thread),
      claimTasks: () => takeTasks(session(), worker),
      finishTasks: () => finish(session(), worker, [outcomeOf(taken!, 'done')]),
      queueTasks: () => queue(session(), worker, [taskItem(thread, 2)]),
    };
    for (const [name, call] of Object.entries(calls)) expect(await failureOf(call()), name).toBe(LEASE_LOST);
    expect(await stateOf(session())).toEqual(before);
  });

  it('that never was is refused like a dead one', async () => {
    const worker = { key: 'x', no: 99_999, services: [] };
    expect(await failureOf(claim(session(), worker))).toBe(LEASE_LOST);
  });

  it('that stops in order gives back what it still owns at once', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    await running(session(), worker, 'a');
    await retire(session(), worker);
    expect(await workers()).toMatchObject([{ worker: 'other' }, { worker: 'worker', dead: true, released: true }]);
    await claimOnly(session(), other, 'a');
    await retire(session(), worker);
  });
});

onEveryDatabase('whoever takes over an embedded database', (session) => {
  it('declares all earlier workers dead at once', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await takeOver(session(), SCHEMA);
    expect(await failureOf(commitOne(session(), thread, entry(thread)))).toBe(LEASE_LOST);
    await claimOnly(session(), await register(session(), 'new'), 'a');
  });
});

onEveryDatabase('the reaper', (session) => {
  it('gives the threads of the dead to others, and tells their queues', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { body: '"before"' });
    await expireLease(session(), worker);
    expect(await reapDead(session())).toBe(`q${thread.service_no}`);
    const next = await claimOnly(session(), other, 'a');
    expect(next).toMatchObject({ epoch: 2, last_seq: 0, last_commit_no: thread.lastCommitNo });
    await step(session(), next, { body: '"after"' });
    expect((await loadHistory(session(), SCHEMA, thread.thread_no)).map(({ body }) => body)).toEqual([
      '"before"',
      '"after"',
    ]);
  });

  it('gives the tasks of the dead to others, and counts them as lost', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const thread = await running(session(), other, 'a');
    await step(session(), thread, { opens: 2, effects: [task(0), task(1)] });
    await takeTasks(session(), worker, { limit: 1 });
    await die(session(), worker);
    const taken = await takeTasks(session(), other);
    expect(taken.map(({ op, attempt, losses }) => [op, attempt, losses]).sort()).toEqual([
      [0, 1, 1],
      [1, 1, 0],
    ]);
    expect(await stateOf(session())).toMatchObject({ threads: [{ state: 'owned', owner: 'other' }] });
  });

  it('leaves the living alone, and the parked and blocked', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'parked', 'go');
    expect(await block(session(), await running(session(), worker, 'blocked'))).toBe('blocked');
    await running(session(), worker, 'running');
    const before = await stateOf(session());
    expect(await reapDead(session(), worker)).toBe('');
    expect(await stateOf(session())).toEqual(before);
  });

  it('comes twice without harm', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    await running(session(), worker, 'a');
    await die(session(), worker);
    await claimOnly(session(), other, 'a');
    const before = await stateOf(session());
    expect(await reapDead(session())).toBe('');
    expect(await stateOf(session())).toEqual(before);
  });

  it('leaves mail that came meanwhile to the next owner', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1, effects: [wait(0, 'go')] });
    await expireLease(session(), worker);
    await signal(session(), 'go', { payload: '1' });
    await reapDead(session());
    const next = await claimOnly(session(), other, 'a');
    expect(JSON.parse(next.mail ?? '')).toMatchObject([[expect.any(Number), 'signal', 0, '1']]);
  });

  it('keeps the rows of the dead for a day', async () => {
    const worker = await register(session());
    await die(session(), worker);
    await setClock(session(), '23 hours');
    await keepHouse(session());
    expect((await stateOf(session())).workers).toHaveLength(1);
    await setClock(session(), '25 hours');
    await keepHouse(session());
    expect((await stateOf(session())).workers).toHaveLength(0);
  });
});

onEveryDatabase('a thread that a worker cannot run', (session) => {
  const only = async () => (await stateOf(session())).threads?.[0];

  it('is offered to every other worker that serves it, once each, and then blocked, saying why', async () => {
    const [one, two] = [await register(session(), 'one'), await register(session(), 'two')];
    await register(session(), 'elsewhere', { services: [{ kind: 'workflow', taskQueue: 'other', name: 'flow' }] });
    const dead = await register(session(), 'dead');
    await die(session(), dead);
    expect(await block(session(), await running(session(), one, 'a'), 'one differs')).toBe('ready');
    expect(await only()).toMatchObject({ state: 'ready', claimable: true });
    const thread = await claimOnly(session(), two, 'a');
    expect(await block(session(), thread, 'two differs')).toBe('blocked');
    expect(await only()).toMatchObject({ state: 'blocked', claimable: false, reason: 'two differs', owner: null });
    expect(await claim(session(), one)).toEqual([]);
    expect(await claim(session(), two)).toEqual([]);
  });

  it('is tried by each newly started worker', async () => {
    const worker = await register(session());
    expect(await block(session(), await running(session(), worker, 'a'))).toBe('blocked');
    const fixed = await register(session(), 'fixed');
    const thread = await claimOnly(session(), fixed, 'a');
    await step(session(), thread);
    expect(await only()).toMatchObject({ state: 'owned', owner: 'fixed', reason: null });
  });

  it('is offered by the reaper to a worker that has not tried it', async () => {
    const worker = await register(session());
    const other = await register(session(), 'other', {
      services: [{ kind: 'activity', taskQueue: 'queue', name: '' }],
    });
    await block(session(), await running(session(), worker, 'a'));
    await session().sql(
      `update ${SCHEMA}.worker set services = (select services from ${SCHEMA}.worker where worker_no = $1::int)`,
      worker.no,
    );
    await reapDead(session(), worker);
    expect(await only()).toMatchObject({ state: 'blocked' });
    await reapDead(session(), other);
    expect(await only()).toMatchObject({ state: 'ready', claimable: true });
  });

  it('is blocked by the reaper when the others that could try it are gone', async () => {
    const [one, two] = [await register(session(), 'one'), await register(session(), 'two')];
    expect(await block(session(), await running(session(), one, 'a'), 'one differs')).toBe('ready');
    await expireLease(session(), two);
    await reapDead(session(), one);
    expect(await only()).toMatchObject({ state: 'blocked', claimable: false, reason: 'one differs' });
  });

  it('is not tried again by a worker that registers again under its key', async () => {
    const worker = await register(session());
    await block(session(), await running(session(), worker, 'a'));
    await register(session());
    expect(await claim(session(), worker)).toEqual([]);
    expect(await only()).toMatchObject({ state: 'blocked' });
  });

  it('keeps its history, its mail and its timers', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, { opens: 1, effects: [wait(0, 'go')] });
    await block(session(), thread);
    expect(await signal(session(), 'go', { payload: '1' })).toBe('delivered');
    expect(await only()).toMatchObject({ state: 'blocked' });
    const next = await claimOnly(session(), await register(session(), 'fixed'), 'a');
    expect(next).toMatchObject({ last_seq: 0 });
    expect(JSON.parse(next.mail ?? '')).toMatchObject([[expect.any(Number), 'signal', 0, '1']]);
  });

  it('is left alone by a worker that does not own it', async () => {
    const [worker, other] = [await register(session()), await register(session(), 'other')];
    const thread = await running(session(), worker, 'a');
    expect(await block(session(), { ...thread, worker: other })).toBeNull();
    expect(await block(session(), { ...thread, epoch: 9 })).toBeNull();
    expect(await only()).toMatchObject({ state: 'owned' });
  });

  describe('and is blocked', () => {
    it('may be terminated', async () => {
      const worker = await register(session());
      await block(session(), await running(session(), worker, 'a'));
      expect(await terminate(session(), 'a')).toBe('terminated');
      expect(await only()).toMatchObject({ state: 'done', reason: null });
    });
  });
});
