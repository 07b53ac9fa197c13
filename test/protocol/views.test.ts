/** The views that people and reports read: what they show, joined with a table of the user's own, and who may. */

import { expect, it } from 'vitest';
import {
  block,
  onEveryDatabase,
  onServer,
  pause,
  register,
  running,
  signal,
  start,
  step,
  task,
  terms,
  timer,
  wait,
} from '../support/protocol.js';
import { failureOf, SCHEMA } from '../support/protocol-session.js';

onEveryDatabase('the views', (session) => {
  const rows = (text: string) => session().sql(text);

  it('show workflows, each by its newest run, beside the rows of an application', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'order-1', { entity: 'order', search: '{"customer":"c-1"}' });
    await step(session(), thread, { closing: 'continued', result: '[]' });
    await start(session(), 'order-2');
    await pause(session(), ['order-2']);
    await start(session(), 'order-3', { terms: terms({ pendingMs: 60_000 }) });
    await rows('create temp table orders as select n as id from generate_series(1, 4) n');
    expect(
      await rows(`select o.id, w.status, w.run, w.search ->> 'customer' as customer, w.entity, w.pause_reason, w.workflow_name
        from orders o left join ${SCHEMA}.workflows w on w.workflow_id = 'order-' || o.id order by o.id`),
    ).toEqual([
      { id: 1, status: 'open', run: 1, customer: 'c-1', entity: 'order', pause_reason: null, workflow_name: 'flow' },
      {
        id: 2,
        status: 'open',
        run: 0,
        customer: null,
        entity: null,
        pause_reason: 'maintenance',
        workflow_name: 'flow',
      },
      { id: 3, status: 'pending', run: 0, customer: null, entity: null, pause_reason: null, workflow_name: 'flow' },
      { id: 4, status: null, run: null, customer: null, entity: null, pause_reason: null, workflow_name: null },
    ]);
    expect(
      await rows(`select run, status, cause from ${SCHEMA}.runs where workflow_id = 'order-1' order by run`),
    ).toEqual([
      { run: 0, status: 'continued', cause: 'start' },
      { run: 1, status: 'open', cause: 'continued' },
    ]);
    await rows('drop table orders');
  });

  it('show what workflows wait for, and who works', async () => {
    const worker = await register(session());
    const thread = await running(session(), worker, 'a');
    await step(session(), thread, {
      opens: 3,
      effects: [wait(0, 'go'), timer(0, 60_000), task(1, 'charge'), timer(2, 1_000)],
    });
    await signal(session(), 'early');
    await signal(session(), 'early', { workflowId: 'a' });
    expect(
      await rows(`select workflow_id, signal_id, times_out_at is not null as limited from ${SCHEMA}.signals_waiting`),
    ).toEqual([{ workflow_id: 'a', signal_id: 'go', limited: true }]);
    expect(await rows(`select signal_id, workflow_id from ${SCHEMA}.signals_kept order by signal_no`)).toEqual([
      { signal_id: 'early', workflow_id: null },
      { signal_id: 'early', workflow_id: 'a' },
    ]);
    expect(await rows(`select workflow_id, activity, status, attempt, task_queue from ${SCHEMA}.activities`)).toEqual([
      { workflow_id: 'a', activity: 'charge', status: 'waiting', attempt: 1, task_queue: 'queue' },
    ]);
    expect(await rows(`select op from ${SCHEMA}.timers order by op`)).toEqual([{ op: 0 }, { op: 2 }]);
    expect(await rows(`select workflow_id, hook, state, worker from ${SCHEMA}.threads`)).toEqual([
      { workflow_id: 'a', hook: null, state: 'owned', worker: worker.no },
    ]);
    expect(
      await rows(`select alive, task_queue, serves, workflow_name from ${SCHEMA}.workers order by serves`),
    ).toEqual([
      { alive: true, task_queue: 'queue', serves: 'activity', workflow_name: null },
      { alive: true, task_queue: 'queue', serves: 'workflow', workflow_name: 'flow' },
    ]);
    await block(session(), thread, 'the code differs');
    expect(await rows(`select state, blocked_reason from ${SCHEMA}.threads`)).toEqual([
      { state: 'blocked', blocked_reason: 'the code differs' },
    ]);
  });
});

onServer('a role that may read the views', (session) => {
  it('reads them, and can read and change nothing else', async () => {
    await start(session(), 'a');
    const role = `reporting_${Math.random().toString(36).slice(2)}`;
    await session().sql(`create role ${role}`);
    try {
      await session().sql(`select ${SCHEMA}.grant_views('${role}')`);
      await session().sql(`set role ${role}`);
      for (const view of [
        'runs',
        'workflows',
        'threads',
        'activities',
        'timers',
        'signals_waiting',
        'signals_kept',
        'workers',
      ])
        await session().sql(`select * from ${SCHEMA}.${view}`);
      expect(await session().sql(`select workflow_id from ${SCHEMA}.workflows`)).toEqual([{ workflow_id: 'a' }]);
      for (const refused of [
        `select * from ${SCHEMA}.execution`,
        `select * from ${SCHEMA}.history`,
        `update ${SCHEMA}.execution set state = 'open'`,
        `delete from ${SCHEMA}.signals_kept`,
        `select ${SCHEMA}.explain('a')`,
        `select ${SCHEMA}.grant_views('${role}')`,
      ])
        expect(await failureOf(session().sql(refused)), refused).toBe('42501');
    } finally {
      await session().sql('reset role');
      await session().sql(`drop owned by ${role}`);
      await session().sql(`drop role ${role}`);
    }
  });
});
