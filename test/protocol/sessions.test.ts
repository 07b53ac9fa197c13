/**
 * A connection may come from a user's pool, or the call from inside the user's transaction: whatever was set there, the
 * functions do the same, or say clearly that they cannot.
 */

import { describe, expect, it } from 'vitest';
import { functions } from '../../src/postgres/embedded-sql.js';
import { createEntityIndex } from '../../src/postgres/protocol/documents.js';
import { describeWorkflow, fetchResults } from '../../src/postgres/protocol/executions.js';
import { retireWorkersOf } from '../../src/postgres/protocol/roles.js';
import { loadHistory } from '../../src/postgres/protocol/threads.js';
import { createSearchIndex } from '../../src/postgres/protocol/visibility.js';
import { takeOver } from '../../src/postgres/protocol/workers.js';
import {
  answer,
  answerItem,
  archive,
  beat,
  block,
  cancel,
  child,
  claim,
  claimOnly,
  commitOne,
  complete,
  empty,
  endDue,
  endGeneration,
  entry,
  expire,
  expireOlder,
  finish,
  hookAll,
  hookItem,
  keepHouse,
  mailOf,
  onEveryDatabase,
  onServer,
  outcomeOf,
  park,
  pause,
  prunedArchived,
  pruneSome,
  queue,
  reapDead,
  register,
  release,
  renew,
  reset,
  resume,
  retire,
  running,
  send,
  signal,
  start,
  startAll,
  startItem,
  step,
  take,
  takeDue,
  takeTasks,
  task,
  taskItem,
  terminate,
  terms,
  timer,
  tryNext,
  wait,
} from '../support/protocol.js';
import { failureOf, SCHEMA, type Session } from '../support/protocol-session.js';
import { type State, stateOf } from '../support/protocol-state.js';

/** A bit of every call. */
async function scenario(session: Session): Promise<{ answers: unknown[]; state: State }> {
  const answers: unknown[] = [];
  const worker = await register(session);
  const given = { search: '{"n":1.50,"at":"2024-01-02"}', entity: '{"z":1,"a":2}', expireS: 0.1 };
  const thread = await running(session, worker, 'a', given);
  await signal(session, 'kept', { payload: '"\\u0000 ü 日本"', expireMs: 0.5e9 });
  const effects = [
    wait(0, 'kept'),
    wait(1, 'go'),
    timer(2, 86_400_000),
    task(3),
    child(4, 'kid'),
    child(5, 'a'),
    send(6, 's'),
  ];
  answers.push(await step(session, thread, { opens: 7, resolves: [], effects }));
  answers.push(
    await commitOne(session, thread, entry(thread, { resolves: [2], effects: [{ kind: 'fire', op: 2 }] })).then(
      ({ status }) => status,
    ),
  );
  answers.push(await park(session, thread, [1, 2, 3, 4, 6]));
  const [taken] = await takeTasks(session, worker);
  answers.push(await finish(session, worker, [outcomeOf(taken!, 'retry', '"x"', 3_600_000)]));
  answers.push(await signal(session, 'go', { workflowId: 'a', payload: '1e400' }));
  const woken = await claim(session, worker);
  answers.push(woken.map(({ workflow_id, mail, expire_s, tasks }) => [workflow_id, mail, expire_s, tasks]));
  const kid = woken.find(({ workflow_id }) => workflow_id === 'kid')!;
  await step(session, kid, { closing: 'continued', result: '["again"]' });
  await complete(session, await claimOnly(session, worker, 'kid'), '1.0');
  answers.push((await mailOf(session, worker)).map(({ kind, op, payload }) => [kind, op, payload]));
  answers.push(await startAll(session, [startItem('later', { terms: terms({ pendingMs: 1_000 }) }), startItem('a')]));
  answers.push(await cancel(session, 'a'), await terminate(session, 'a'));
  answers.push(await block(session, await running(session, worker, 'b')));
  answers.push(
    await fetchResults(session, SCHEMA, [thread.chain_no]),
    await loadHistory(session, SCHEMA, thread.thread_no).then((rows) => rows.length),
  );
  const { search, entity, state, created_ms, updated_ms } = (await describeWorkflow(session, SCHEMA, 'a', null))!;
  answers.push({
    search,
    entity,
    state,
    isNow: Math.abs(created_ms - Date.now()) < 600_000 && updated_ms >= created_ms,
  });
  await keepHouse(session);
  await retire(session, worker);
  // What is looked up here is not what is tested: with operators of one's own it would find anything.
  await session.sql('set search_path to pg_catalog');
  return { answers, state: await stateOf(session) };
}

const SETTINGS: Record<string, string> = {
  'another search_path': 'set search_path to public, pg_temp, pg_catalog',
  'no search_path': `set search_path to ''`,
  'another time zone': `set time zone 'Pacific/Chatham'`,
  'a time zone ahead by hours': `set time zone interval '+14:00' hour to minute`,
  'other date and interval styles': `set datestyle to 'German, DMY'; set intervalstyle to 'sql_standard'`,
  'fewer digits': 'set extra_float_digits to 0',
  'comparison with null': 'set transform_null_equals to on',
  'old string escapes':
    'set standard_conforming_strings to off; set backslash_quote to on; set escape_string_warning to off',
  'quoted identifiers': 'set quote_all_identifiers to on',
  'another bytea and xml style': `set bytea_output to 'escape'; set xmloption to document`,
  'plans without indexes': 'set enable_indexscan to off; set enable_indexonlyscan to off; set enable_bitmapscan to off',
  'generic plans': 'set plan_cache_mode to force_generic_plan',
  'plans made anew': 'set plan_cache_mode to force_custom_plan',
  'no collapsing of joins': 'set join_collapse_limit to 1; set from_collapse_limit to 1',
  'little memory': `set work_mem to '64kB'`,
  'a short lock_timeout': `set lock_timeout to '1ms'`,
  'a generous statement_timeout': `set statement_timeout to '60s'`,
  'serializable only when it says so': `set default_transaction_deferrable to on`,
  'tables of the same names': `create temp table thread (thread_no text); create temp table execution (x int); create temp table history (x int);
    create temp table wait (x int); create temp table worker (x int)`,
  'functions of the same names': `create function pg_temp.clock() returns timestamptz language sql as 'select ''-infinity''::timestamptz';
    create function public.begin_write(boolean) returns void language sql as 'select 1/0'; set search_path to pg_temp, public`,
  'operators of the same names': `create function public.always(int, int) returns boolean language sql as 'select true';
    create operator public.= (leftarg = int, rightarg = int, function = public.always); set search_path to public, pg_catalog`,
};

async function expectSame(session: Session, settings: string): Promise<void> {
  const expected = await scenario(session);
  expect(new Set(expected.answers[0] as unknown[])).toEqual(
    new Set([
      [0, 'signal', '\u0000 ü 日本'],
      [5, 'duplicate', 'a'],
      [6, 'buffered'],
    ]),
  );
  await empty(session);
  await session.sql('begin');
  try {
    for (const setting of settings.split(';')) await session.sql(setting);
    const seen = await scenario(session);
    expect(seen).toEqual(expected);
  } finally {
    await session.sql('rollback');
    await session.sql('reset search_path');
  }
}

// PGlite sends arrays as text, in which this setting makes a null a word.
onServer('a session on a server', (session) => {
  it('with arrays without nulls sees the same', () => expectSame(session(), 'set array_nulls to off'));
});

onEveryDatabase('a session', (session) => {
  it.each(Object.entries(SETTINGS))('with %s sees the same', (_, settings) => expectSame(session(), settings));
  it('that is read-only is told so, and nothing happens', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    const before = await stateOf(session());
    await session().sql('set default_transaction_read_only to on');
    try {
      const calls = [
        () => start(session(), 'b'),
        () => signal(session(), 'go'),
        () => claim(session(), worker),
        () => commitOne(session(), thread, entry(thread)),
        () => cancel(session(), 'a'),
        () => renew(session(), worker),
        () => reapDead(session()),
      ];
      for (const call of calls) expect(await failureOf(call())).toBe('25006');
      expect((await loadHistory(session(), SCHEMA, thread.thread_no)).length).toBe(0);
      expect(await describeWorkflow(session(), SCHEMA, 'a', null)).toMatchObject({ state: 'open' });
    } finally {
      await session().sql('set default_transaction_read_only to off');
    }
    expect(await stateOf(session())).toEqual(before);
  });

  it('that commits without waiting for the disk waits for it here', async () => {
    await session().sql('begin');
    await session().sql('set local synchronous_commit to off');
    await start(session(), 'a');
    const [row] = await session().sql(`select current_setting('synchronous_commit') as setting`);
    await session().sql('rollback');
    expect(row).toEqual({ setting: 'on' });
  });

  it('that asks for more than the disk keeps what it asked for', async () => {
    await session().sql('begin');
    await session().sql('set local synchronous_commit to remote_apply');
    await start(session(), 'a');
    const [row] = await session().sql(`select current_setting('synchronous_commit') as setting`);
    await session().sql('rollback');
    expect(row).toEqual({ setting: 'remote_apply' });
  });
});

onEveryDatabase('a transaction that is not read committed', (session) => {
  describe.each(['repeatable read', 'serializable'])('but %s', (level) => {
    it('is refused by every function that writes, and nothing happens', async () => {
      const worker = await register(session());
      const thread = await running(session(), worker, 'a');
      await step(session(), thread, { opens: 2, effects: [wait(0, 'go'), task(1)] });
      const [taken] = await takeTasks(session(), worker);
      const calls: Record<string, () => Promise<unknown>> = {
        start: () => start(session(), 'b'),
        signal: () => signal(session(), 'go'),
        hook: () => hookAll(session(), [hookItem('a')]),
        cancel: () => cancel(session(), 'a'),
        terminate: () => terminate(session(), 'a'),
        pause: () => pause(session(), ['a']),
        resume: () => resume(session(), ['a']),
        reset: () => reset(session(), thread.run_no),
        descend: () => endGeneration(session()),
        claim: () => claim(session(), worker),
        commit: () => commitOne(session(), thread, entry(thread)),
        park: () => park(session(), thread, [0, 1]),
        release: () => release(session(), thread),
        block: () => block(session(), thread),
        claim_tasks: () => takeTasks(session(), worker),
        finish_tasks: () => finish(session(), worker, [outcomeOf(taken!, 'done')]),
        heartbeat_tasks: () => beat(session(), worker, taken!),
        expire_tasks: () => expire(session()),
        expire_runs: () => endDue(session()),
        take_step: () => take(session(), thread, 1),
        answer_task: () => answer(session(), answerItem(thread, 1)),
        queue_tasks: () => queue(session(), worker, [taskItem(thread, 1)]),
        register_worker: () => register(session(), 'new'),
        renew_lease: () => renew(session(), worker),
        retire_worker: () => retire(session(), worker),
        take_over: () => takeOver(session(), SCHEMA),
        reap: () => reapDead(session()),
        tidy: () => keepHouse(session()),
        try_suspect: () => tryNext(session(), worker),
        declare_workflow: () => session().sql(`select ${SCHEMA}.declare_workflow('flow', 'queue')`),
        prune: () => pruneSome(session()),
        take_due_runs: () => takeDue(session()),
        prune_archived: () => prunedArchived(session(), [thread.run_no]),
        set_archiving: () => archive(session(), true),
        make_due: () => expireOlder(session(), 0),
        create_entity_index: () => createEntityIndex(session(), SCHEMA, 'state'),
        create_search_index: () => createSearchIndex(session(), SCHEMA, 'state'),
        grant_worker_role: () => session().sql(`select ${SCHEMA}.grant_worker_role(session_user, '{q}', '{}', false)`),
        revoke_worker_role: () => session().sql(`select ${SCHEMA}.revoke_worker_role(session_user)`),
        note_rotation: () => session().sql(`select ${SCHEMA}.note_rotation(session_user)`),
        retire_workers_of: () => retireWorkersOf(session(), SCHEMA, 'nobody'),
      };
      const writing = functions.filter(({ sql }) => sql.includes('perform begin_write(')).map(({ name }) => name);
      expect(Object.keys(calls).sort()).toEqual(writing.sort());
      const before = await stateOf(session());
      for (const [name, call] of Object.entries(calls)) {
        await session().sql(`begin isolation level ${level}`);
        const failure = await failureOf(call());
        await session().sql('rollback');
        expect(failure, name).toBe('PD001');
      }
      expect(await stateOf(session())).toEqual(before);
    });
  });
});
