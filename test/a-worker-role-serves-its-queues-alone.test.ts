/** Worker roles: what is granted works in full, and nothing else does. Real roles, real connections. */

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Durable,
  Errors,
  listWorkerRoles,
  migrationScript,
  provisionWorkerRole,
  registerActivityWorker,
  revokeWorkerRole,
  rotateWorkerPassword,
  uuid,
  Worker,
  type WorkerCredentials,
  type WorkerOptions,
} from '../src/index.js';
import { withCredentials } from '../src/postgres/credentials.js';
import { scramVerifier } from '../src/postgres/scram.js';
import { startPrivateCluster } from './support/private-cluster.js';
import { Engine, Journal, replayed, until } from './support/worker.js';

const { workflow } = Durable;
const journal = new Journal();
const tuning = { ...replayed.tuning, shutdownGrace: 200 };

const activities = {
  async flaky(key: string): Promise<number> {
    journal.note(key);
    if (journal.count(key) === 1) throw new Error('once');
    return journal.count(key);
  },
};
const remote = {
  async charge(amount: number): Promise<string> {
    return `charged ${amount}`;
  },
};

const workflows = {
  async everything(key: string): Promise<unknown[]> {
    const { flaky } = workflow.proxyActivities<typeof activities>({ retry: { initialInterval: 1 } });
    const tries = await flaky(key);
    await workflow.sleep(20);
    const child = await workflow.executeChild({ taskQueue: 'orders', workflowName: 'double', args: [tries] });
    const hooked = await workflow.execHook({
      taskQueue: 'orders',
      workflowName: 'answer',
      args: [3],
      signalId: `${key} hook`,
    });
    await (await workflow.search()).set('seen', 'yes');
    const received = await workflow.condition(`${key} go`);
    return [tries, child, hooked, received];
  },
  async double(n: number): Promise<number> {
    return 2 * n;
  },
  async answer(n: number, { signal }: { signal: string }): Promise<void> {
    await workflow.signal(signal, n + 1);
  },
  async charges(taskQueue: string): Promise<string> {
    const { charge } = workflow.proxyActivities<typeof remote>({ taskQueue });
    return await charge(7);
  },
  async starts(taskQueue: string): Promise<unknown> {
    return await workflow.executeChild({ taskQueue, workflowName: 'double', args: [4] });
  },
  async ends(workflowId: string): Promise<string> {
    return await workflow.terminate(workflowId).then(String, (error: Error) => error.message);
  },
  async sends(signalId: string): Promise<void> {
    await workflow.signal(signalId, 'forged');
  },
  async waits(signalId: string): Promise<unknown> {
    return await workflow.condition(signalId);
  },
};

let engine: Engine;
const workers: Worker[] = [];

beforeAll(async () => {
  engine = await Engine.withoutWorker(replayed);
});

afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  await engine.close();
});

const admin = () => ({ connection: engine.connection });

async function scoped(
  workerCredentials: WorkerCredentials,
  options: Partial<WorkerOptions> & { taskQueue: string },
): Promise<Worker> {
  const worker = await Worker.create({
    ...admin(),
    workerCredentials,
    workflow: workflows,
    options: tuning,
    ...options,
  });
  workers.push(worker);
  return worker;
}

function urlAs({ roleName, password }: { roleName: string; password: string }): string {
  const url = new URL(engine.database.url);
  url.username = roleName;
  url.password = password;
  return url.href;
}

/** A session of the role, beside its workers. */
async function sessionOf(credentials: { roleName: string; password: string }): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: urlAs(credentials) });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Whether the password fits what the server keeps: the test's cluster trusts everybody, and asks nobody for one. */
async function opens({ roleName, password }: { roleName: string; password: string }): Promise<boolean> {
  const [row] = await engine.sql<{ kept: string }>('select rolpassword as kept from pg_authid where rolname = $1', [
    roleName,
  ]);
  const salt = /^SCRAM-SHA-256\$4096:([^$]+)\$/.exec(row?.kept ?? '')?.[1] ?? '';
  return row?.kept === (await scramVerifier(password, Buffer.from(salt, 'base64')));
}

const refusedWith = (code: string) => expect.objectContaining({ code });

describe('a worker role', () => {
  it('runs its workflows and activities, with all that they may call', async () => {
    const credentials = await provisionWorkerRole({ ...admin(), streamNames: ['orders', 'orders-activity'] });
    expect(credentials.roleName).toMatch(/^hmsh_wrk_durable_orders__orders_activity/);
    const worker = await scoped(credentials, { taskQueue: 'orders', activities });
    const key = uuid();
    const handle = await engine.start('everything', [key], { taskQueue: 'orders' });
    await engine.awaitsSignal(handle, `${key} go`);
    await handle.signal(`${key} go`, 'gone');
    expect(await engine.result(handle)).toEqual([2, 4, 4, 'gone']);
    expect(journal.count(key)).toBe(2);
    await worker.stop();
  });

  it('is recovered by others, as any worker is', async () => {
    const credentials = await provisionWorkerRole({ ...admin(), streamNames: ['recover', 'recover-activity'] });
    const session = await sessionOf(credentials);
    const { rows: registered } = await session.query(
      `select worker_no, services from durable.register_worker('k', 'd', 60000, '{workflow}', '{recover}', '{double}')`,
    );
    const handle = await engine.start('double', [4], { taskQueue: 'recover' });
    const { rows: claimed } = await session.query(`select thread_no from durable.claim($1, 1, $2, 10, '{}')`, [
      registered[0].worker_no,
      JSON.parse(registered[0].services),
    ]);
    expect(claimed).toHaveLength(1);
    await session.query('select durable.renew_lease($1, 1)', [registered[0].worker_no]);
    await session.end();
    const worker = await scoped(credentials, { taskQueue: 'recover' });
    expect(await engine.result(handle)).toBe(8);
    await worker.stop();
  });

  it('connects through a Pool with its own credentials', async () => {
    const { roleName: user, password } = await provisionWorkerRole({ ...admin(), streamNames: ['pooled'] });
    const pool = new pg.Pool({ connectionString: engine.database.url, max: 4 });
    const worker = await scoped({ user, password }, { connection: { class: pool }, taskQueue: 'pooled' });
    const handle = await engine.start('double', [5], { taskQueue: 'pooled' });
    expect(await engine.result(handle)).toBe(10);
    expect(pool.totalCount).toBe(0);
    const [row] = await engine.sql<{ role: string }>(`select role from worker where role = $1`, [user]);
    expect(row?.role).toBe(user);
    await worker.stop();
    await pool.end();
  });

  it('may be for workflows alone and for activities alone', async () => {
    const forWorkflows = await provisionWorkerRole({ ...admin(), streamNames: ['apart'] });
    const forActivities = await provisionWorkerRole({ ...admin(), streamNames: ['apart-activity'] });
    await expect(scoped(forWorkflows, { taskQueue: 'apart', activities: remote })).rejects.toThrow(
      Errors.PermissionError,
    );
    await expect(scoped(forActivities, { taskQueue: 'apart' })).rejects.toThrow(
      /may not serve the workflows of "apart"/,
    );
    const runs = await scoped(forWorkflows, { taskQueue: 'apart' });
    const options = { ...admin(), taskQueue: 'apart', options: tuning };
    const acts = await registerActivityWorker({ ...options, workerCredentials: forActivities }, remote);
    expect(await engine.run('charges', ['apart'], { taskQueue: 'apart' })).toBe('charged 7');
    await runs.stop();
    await acts.stop();
  });

  it('starts nothing on queues that it may not call: the workflow waits for a worker that may', async () => {
    const streamNames = ['narrow'];
    const credentials = await provisionWorkerRole({ ...admin(), streamNames });
    const worker = await scoped(credentials, { taskQueue: 'narrow' });
    const child = await engine.start('starts', ['elsewhere'], { taskQueue: 'narrow' });
    const activity = await engine.start('charges', ['elsewhere'], { taskQueue: 'narrow' });
    for (const handle of [child, activity]) {
      await until('it is blocked', async () => {
        const [row] = await engine.sql<{ reason: string | null }>(
          `select t.blocked_reason as reason from thread t join execution e using (run_no) where e.workflow_id = $1 and t.state = 'blocked'`,
          [handle.workflowId],
        );
        return row?.reason?.includes('may not start') ?? false;
      });
    }
    expect(await engine.sql(`select from service where task_queue = 'elsewhere'`)).toEqual([]);
    await worker.stop();
    const wider = await provisionWorkerRole({
      ...admin(),
      streamNames,
      callNames: ['elsewhere', 'elsewhere-activity'],
    });
    expect(wider.roleName).toBe(credentials.roleName);
    const again = await scoped(wider, { taskQueue: 'narrow' });
    const others = await engine.addWorker({ taskQueue: 'elsewhere', workflow: workflows, activities: remote });
    expect(await engine.result(child)).toBe(8);
    expect(await engine.result(activity)).toBe('charged 7');
    await again.stop();
    await others.stop();
  });

  it('reaches no workflow of other queues', async () => {
    const others = await engine.addWorker({ taskQueue: 'victims', workflow: workflows });
    const victim = await engine.start('waits', ['approval'], { taskQueue: 'victims' });
    await engine.awaitsSignal(victim, 'approval');
    const worker = await scoped(await provisionWorkerRole({ ...admin(), streamNames: ['hostile'] }), {
      taskQueue: 'hostile',
    });
    const notThere = await engine.run('ends', ['no such id'], { taskQueue: 'hostile' });
    const foreign = await engine.run<string>('ends', [victim.workflowId], { taskQueue: 'hostile' });
    expect(foreign).toBe(String(notThere).replace('no such id', victim.workflowId));
    const sender = await engine.start('sends', ['approval'], { taskQueue: 'hostile' });
    await until('the sender is blocked', async () => {
      const explanation = await sender.explain();
      return JSON.stringify(explanation).includes('may not signal whoever waits');
    });
    await victim.signal('approval', 'true one');
    expect(await engine.result(victim)).toBe('true one');
    await sender.terminate();
    await worker.stop();
    await others.stop();
  });
});

describe('directly in SQL, a worker role', () => {
  let session: pg.Client;
  let own: { worker_no: number; services: number[] };
  let foreign: { worker_no: number; thread_no: string; services: string };

  beforeAll(async () => {
    session = await sessionOf(await provisionWorkerRole({ ...admin(), streamNames: ['direct', 'direct-activity'] }));
    const { rows } = await session.query(
      `select worker_no, services from durable.register_worker('own', 'd', 60000, '{workflow}', '{direct}', '{f}')`,
    );
    own = { worker_no: rows[0].worker_no, services: JSON.parse(rows[0].services) };
    const [other] = await engine.sql<{ worker_no: number; services: string }>(
      `select * from register_worker('other', 'd', 60000, '{workflow}', '{private}', '{waits}')`,
    );
    await engine.start('waits', ['x'], { taskQueue: 'private' });
    const [claimed] = await engine.sql<{ thread_no: string }>(
      `select thread_no from claim($1, 1, array(select json_array_elements_text($2::json)::int), 1, '{}')`,
      [other?.worker_no, other?.services],
    );
    // what there is to be read: an entry of its history, and mail
    await engine.sql(
      `select * from commit($1, false, array[$2::bigint], '{1}', '{0}', '{76}', '{null}', '{0}', '{1}', '{null}', '{null}', '{secret}', '{null}',
         '{null}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')`,
      [other?.worker_no, claimed?.thread_no],
    );
    await engine.sql(
      `insert into inbox (thread_no, op, worker_no, kind, payload) values ($2, 0, $1, 'done', 'secret')`,
      [other?.worker_no, claimed?.thread_no],
    );
    const read = `select (select count(*)::int from mail($1, '{}')) as mail, (select count(*)::int from load_own_history($1, $2, 0)) as entries`;
    expect(await engine.sql(read, [other?.worker_no, claimed?.thread_no])).toEqual([{ mail: 1, entries: 1 }]);
    foreign = {
      worker_no: other?.worker_no ?? 0,
      services: other?.services ?? '',
      thread_no: claimed?.thread_no ?? '',
    };
  });

  afterAll(async () => {
    await engine.sql('select retire_worker($1)', [foreign.worker_no]);
    await session.end();
  });

  it.each([
    'select * from durable.execution',
    'select * from durable.worker_role',
    'select * from durable.workflows',
    'update durable.thread set owner = null',
    `select nextval('durable.run_number')`,
    'create table durable.mine ()',
    'select * from durable.load_history(1, 0)',
    `select durable.grant_worker_role(session_user::name, '{private}', '{}', true)`,
    'select durable.serve_any_queue()',
    'select durable.lock_lease(1)',
    'select durable.take_over()',
    `set role durable_owner`,
  ])('is refused: %s', async (statement) => {
    await expect(session.query(statement)).rejects.toEqual(refusedWith('42501'));
  });

  it('may execute its functions and no others', async () => {
    const { rows } = await session.query(
      `select distinct p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname = 'durable' and has_function_privilege(p.oid, 'execute')`,
    );
    const listed = await engine.sql<{ name: string }>(
      `select unnest(role_functions('scoped worker')) as name
       intersect select proname from pg_proc where pronamespace = 'durable'::regnamespace`,
    );
    expect(rows.map(({ proname }) => proname).sort()).toEqual(listed.map(({ name }) => name).sort());
    expect(listed.length).toBeGreaterThan(20);
  });

  it('registers for what it was granted only, whatever it calls itself', async () => {
    const register = (queue: string, kind = 'workflow') =>
      session.query(`select * from durable.register_worker($1, 'd', 1000, $2, $3, '{f}')`, [uuid(), [kind], [queue]]);
    await expect(register('private')).rejects.toEqual(refusedWith('42501'));
    await expect(register('private', 'activity')).rejects.toEqual(refusedWith('42501'));
    await expect(register('direct-activity')).rejects.toEqual(refusedWith('42501'));
    // nor as somebody else's process, of no worker role or of another one
    const neighbour = await sessionOf(await provisionWorkerRole({ ...admin(), streamNames: ['neighbour'] }));
    await neighbour.query(
      `select * from durable.register_worker('neighbour', 'd', 60000, '{workflow}', '{neighbour}', '{f}')`,
    );
    for (const key of ['other', 'neighbour']) {
      const other = session.query(`select * from durable.register_worker($1, 'd', 1000, '{}', '{}', '{}')`, [key]);
      await expect(other, key).rejects.toEqual(refusedWith('42501'));
    }
    await neighbour.end();
  });

  it.each([
    'direct ',
    ' direct',
    'Direct',
    'direct\u200b',
    'direct\u202e',
    'd\u0456rect', // Cyrillic
    'direct-Activity',
    'direct-activity-activity',
  ])('does not serve %j, which only looks like its own', async (queue) => {
    const register = (kind: string) =>
      session.query(`select * from durable.register_worker($1, 'd', 1000, $2, $3, '{f}')`, [uuid(), [kind], [queue]]);
    for (const kind of ['workflow', 'activity']) await expect(register(kind)).rejects.toEqual(refusedWith('42501'));
  });

  it('claims nothing else', async () => {
    const claim = (services: number[], wanted: string[] = []) =>
      session.query(`select * from durable.claim($1, 9, $2, 10, $3)`, [own.worker_no, services, wanted]);
    await expect(claim(JSON.parse(foreign.services))).rejects.toEqual(refusedWith('42501'));
    const tasks = session.query('select * from durable.claim_tasks($1, 9, $2, 10)', [
      own.worker_no,
      JSON.parse(foreign.services),
    ]);
    await expect(tasks).rejects.toEqual(refusedWith('42501'));
    await engine.sql(`update thread set state = 'ready', ready_at = now(), owner = null where thread_no = $1`, [
      foreign.thread_no,
    ]);
    expect((await claim(own.services, [foreign.thread_no])).rows.filter(({ thread_no }) => thread_no !== null)).toEqual(
      [],
    );
    await engine.sql(`update thread set state = 'owned', ready_at = null, owner = $2 where thread_no = $1`, [
      foreign.thread_no,
      foreign.worker_no,
    ]);
  });

  it('acts through no other worker: that one is as good as not there', async () => {
    const { thread_no } = foreign;
    const refusal = (worker: number) =>
      session
        .query('select * from durable.release($1, false, $2, $3)', [worker, [thread_no], [1]])
        .then(() => 'released', String);
    const [theirs, nobodys] = [await refusal(foreign.worker_no), await refusal(999_999)];
    expect(theirs).toBe(nobodys.replace('999999', String(foreign.worker_no)));
    for (const [call, values] of [
      ['durable.mail($1, $2)', [foreign.worker_no, []]],
      ['durable.load_own_history($1, $2, 0)', [foreign.worker_no, thread_no]],
      ['durable.load_own_history($1, $2, 0)', [own.worker_no, thread_no]],
      ['durable.rest_of_mail($1, $2, 0, $3)', [foreign.worker_no, thread_no, []]],
      ['durable.rest_of_mail($1, $2, 0, $3)', [own.worker_no, thread_no, []]],
      ['durable.unserved($1)', [foreign.worker_no]],
      ['durable.changed_runs($1)', [[thread_no]]],
    ] as const) {
      expect((await session.query(`select * from ${call}`, [...values])).rows).toEqual([]);
    }
    expect(await engine.sql('select workflow_id from changed_runs($1)', [[thread_no]])).toHaveLength(1);
    expect((await session.query('select durable.renew_lease($1, 1)', [foreign.worker_no])).rows[0].renew_lease).toBe(
      false,
    );
    await session.query('select durable.retire_worker($1)', [foreign.worker_no]);
    expect(
      await engine.sql('select from worker where worker_no = $1 and died_at is not null', [foreign.worker_no]),
    ).toEqual([]);
  });

  it('commits what it owns, and nothing beside that', async () => {
    const commit = async (
      effects: { kind: string; key?: string; extra?: string }[],
      more: { keys?: string; thread?: string } = {},
    ) => {
      await engine.start('f', [], { taskQueue: 'direct' });
      const { rows } = await session.query(
        `select thread_no, epoch from durable.claim($1, $2, $3, 1, '{}') where thread_no is not null`,
        [own.worker_no, Math.floor(Math.random() * 1e12), own.services],
      );
      const of = (field: 'kind' | 'key' | 'extra') => effects.map((effect) => effect[field] ?? null);
      const answer = session.query(
        `select * from durable.commit($1, false, $2, $3, '{0}', '{77}', '{null}', '{0}', '{1}', '{null}', '{null}', '{x}', '{null}', '{null}',
           '{}', '{}', $4, $5, $6, $7, $8, $9, $10)`,
        [
          own.worker_no,
          [more.thread ?? rows[0].thread_no],
          [rows[0].epoch],
          effects.map(() => 1),
          of('kind'),
          effects.map((_, op) => op),
          more.keys ?? of('key'),
          effects.map(() => '[]'),
          effects.map(() => null),
          of('extra'),
        ],
      );
      return await answer.then(
        ({ rows: answers }) => answers,
        (error: { code: string }) => error.code,
      );
    };
    const child = (taskQueue: string) => ({ taskQueue, workflowName: 'f', awaited: true });
    const extra = (value: object) => JSON.stringify(value);
    expect(await commit([{ kind: 'emit', key: 'topic' }])).toMatchObject([{ status: 'hints' }]);
    expect(await commit([], { thread: foreign.thread_no })).toMatchObject([{ status: 'fenced' }]);
    expect(await commit([{ kind: 'task', key: 'private', extra: 'charge' }])).toBe('42501');
    expect(await commit([{ kind: 'child', key: uuid(), extra: extra(child('private')) }])).toBe('42501');
    expect(await commit([{ kind: 'hook', extra: extra(child('private')) }])).toBe('42501');
    expect(await commit([{ kind: 'signal', key: 'x' }])).toBe('42501');
    // what is checked by subscript and done by position
    const shifted = [{ kind: 'task', extra: 'charge' }, { kind: 'emit' }];
    expect(await commit(shifted, { keys: '[0:1]={private,direct}' })).toBe('PD003');
    // what would fail later, in everybody's housekeeping
    const poison = { ...child('direct'), expire: 'NaN' };
    expect(await commit([{ kind: 'child', key: uuid(), extra: extra(poison) }])).toBe('PD003');
    const retry = { maximumAttempts: 3, initialIntervalMs: 1, backoffCoefficient: -1, maximumIntervalMs: 9 };
    const limited = [
      { kind: 'task', key: 'direct', extra: 'charge' },
      { kind: 'limits', extra: extra({ startToClose: 1, retry }) },
    ];
    expect(await commit(limited)).toBe('PD003');
    expect(await engine.sql(`select from service where task_queue = 'private' and kind = 'activity'`)).toEqual([]);
    await session.query('select durable.retire_worker($1)', [own.worker_no]);
    const { rows } = await session.query(
      `select worker_no, services from durable.register_worker('again', 'd', 60000, '{workflow}', '{direct}', '{f}')`,
    );
    own = { worker_no: rows[0].worker_no, services: JSON.parse(rows[0].services) };
  });

  it('gives its members nothing, neither as themselves nor by SET ROLE', async () => {
    const name = `member_${uuid().slice(0, 8)}`;
    const [row] = (await session.query('select session_user as role')).rows;
    await engine.sql(`create role ${name} login`);
    await engine.sql(`grant ${row.role} to ${name}`);
    const member = await sessionOf({ roleName: name, password: 'any' });
    for (const become of ['reset role', `set role ${row.role}`]) {
      await member.query(become);
      const registers = member.query(
        `select * from durable.register_worker('member', 'd', 1000, '{workflow}', '{direct}', '{f}')`,
      );
      await expect(registers, become).rejects.toEqual(refusedWith('42501'));
      await expect(member.query('select durable.my_grants()'), become).rejects.toEqual(refusedWith('42501'));
      const claims = member.query(`select * from durable.claim($1, 9, $2, 10, '{}')`, [own.worker_no, own.services]);
      await expect(claims, become).rejects.toEqual(refusedWith('PD002'));
      expect((await member.query('select durable.renew_lease($1, 1)', [own.worker_no])).rows).toEqual([
        { renew_lease: false },
      ]);
    }
    await member.end();
    await engine.sql(`drop role ${name}`);
  });

  it('hands nobody more than can be read', async () => {
    const large = `repeat('x', 33554433)`; // made there, so that no library refuses it
    const { rows } = await session.query(
      `select worker_no, services from durable.register_worker('large', 'd', 60000, '{workflow,activity}', '{direct,direct}', '{f,""}')`,
    );
    await engine.start('f', [], { taskQueue: 'direct' });
    const claim = `select thread_no, epoch from durable.claim($1, 1, $2, 1, '{}') where thread_no is not null`;
    const [{ worker_no, services }] = rows;
    const [thread] = (await session.query(claim, [worker_no, JSON.parse(services)])).rows;
    const commit = ([body, result, value]: string[]) =>
      `select * from durable.commit($1, false, $2, $3, '{0}', '{79}', '{null}', '{0}', '{1}', '{null}', '{null}', array[${body}],
         '{null}', array[${result}], '{}', '{}', '{1}', '{task}', '{0}', '{direct}', array[${value}], '{null}', '{charge}')`;
    const ofThread = [worker_no, [thread.thread_no], [thread.epoch]];
    for (const values of [
      [large, `'x'`, `'x'`],
      [`'x'`, large, `'x'`],
      [`'x'`, `'x'`, large],
    ])
      await expect(session.query(commit(values), ofThread)).rejects.toEqual(refusedWith('PD004'));
    await session.query(commit([`'x'`, 'null', `'x'`]), ofThread);
    const finish = ([payload, details]: string[]) =>
      `select durable.finish_tasks($1, false, $2, '{0}', $3, '{done}', array[${payload}], '{0}', array[${details}])`;
    for (const values of [
      [large, 'null'],
      ['null', large],
    ])
      await expect(session.query(finish(values), ofThread)).rejects.toEqual(refusedWith('PD004'));
    const queue = `select durable.queue_tasks($1, false, 7, $2, $3, '{0}', '{direct}', '{charge}', array[${large}], '{1}', '{0}', '{null}',
      '{null}', '{null}', '{null}', '{false}')`;
    await expect(session.query(queue, ofThread)).rejects.toEqual(refusedWith('PD004'));
    await session.query('select durable.retire_worker($1)', [worker_no]);
  });

  it('holds no locks on what is not its own', async () => {
    await session.query('begin');
    const { thread_no } = foreign;
    const { worker_no } = own;
    await session.query('select * from durable.release($1, false, $2, $3)', [worker_no, [thread_no], [1]]);
    await session.query('select * from durable.park($1, false, $2, $3, $4)', [worker_no, [thread_no], [1], ['{}']]);
    await session.query('select durable.block($1, false, $2, 1, $3)', [worker_no, thread_no, 'r']);
    await session.query(
      `select durable.finish_tasks($1, false, $2, '{1}', '{1}', '{done}', '{null}', '{0}', '{null}')`,
      [worker_no, [thread_no]],
    );
    expect(await engine.sql('select from thread where thread_no = $1 for update nowait', [thread_no])).toHaveLength(1);
    await session.query('rollback');
  });
});

describe('whoever administers worker roles', () => {
  it('lists them, without secrets', async () => {
    const { roleName, password } = await provisionWorkerRole({ ...admin(), streamNames: ['listed'] });
    const listed = (await listWorkerRoles(admin())).find((role) => role.roleName === roleName);
    expect(listed).toEqual({
      id: expect.any(Number),
      roleName,
      streamNames: ['listed'],
      callNames: [],
      signals: false,
      createdAt: expect.any(Date),
      revokedAt: null,
      lastRotatedAt: null,
    });
    expect(JSON.stringify(listed)).not.toContain(password);
  });

  it('gives names that no two lists of queues share', async () => {
    const long = ['a', 'b'].map((end) => `${'q'.repeat(80)}${end}`);
    const lists = [['fold-ed'], ['fold_ed'], [long[0] as string], [long[1] as string]];
    const roles = [];
    for (const streamNames of lists) roles.push((await provisionWorkerRole({ ...admin(), streamNames })).roleName);
    expect(new Set(roles).size).toBe(4);
    for (const role of roles) expect(Buffer.byteLength(role)).toBeLessThanOrEqual(63);
    const again = [];
    for (const streamNames of lists) again.push((await provisionWorkerRole({ ...admin(), streamNames })).roleName);
    expect(again).toEqual(roles);
  });

  it('rotates a password: the old one is good for nothing, sessions go on', async () => {
    const old = await provisionWorkerRole({ ...admin(), streamNames: ['rotated'], password: 'first password' });
    const session = await sessionOf(old);
    expect(await opens(old)).toBe(true);
    const { password } = await rotateWorkerPassword({ ...admin(), roleName: old.roleName });
    expect(await opens(old)).toBe(false);
    expect(await opens({ ...old, password })).toBe(true);
    await session.query('select durable.my_grants()');
    await session.end();
    const listed = (await listWorkerRoles(admin())).find((role) => role.roleName === old.roleName);
    expect(listed?.lastRotatedAt).toBeInstanceOf(Date);
  });

  it('revokes a role: sessions end, work goes to others, and it may be provisioned again', async () => {
    const streamNames = ['revoked', 'revoked-activity'];
    const credentials = await provisionWorkerRole({ ...admin(), streamNames });
    const { roleName } = credentials;
    const session = await sessionOf(credentials);
    const worker = await scoped(credentials, { taskQueue: 'revoked', activities });
    const handle = await engine.start('waits', ['after'], { taskQueue: 'revoked' });
    await engine.awaitsSignal(handle, 'after');
    await revokeWorkerRole({ ...admin(), roleName });
    await expect(session.query('select 1')).rejects.toThrow();
    await expect(sessionOf(credentials)).rejects.toMatchObject({ code: '28000' });
    expect(await engine.sql('select from worker where role = $1 and died_at is null', [roleName])).toEqual([]);
    expect((await listWorkerRoles(admin())).find((role) => role.roleName === roleName)?.revokedAt).toBeInstanceOf(Date);
    await expect(rotateWorkerPassword({ ...admin(), roleName })).rejects.toThrow('was revoked');
    await revokeWorkerRole({ ...admin(), roleName });
    await worker.stop();
    await handle.signal('after', 'on');
    const again = await provisionWorkerRole({ ...admin(), streamNames });
    expect(again.roleName).toBe(roleName);
    await (await sessionOf(again)).end();
    const next = await scoped(again, { taskQueue: 'revoked', activities });
    expect(await engine.result(handle)).toBe('on');
    await next.stop();
  });

  it('revokes it in the middle of a commit: that did not happen, and nothing later does', async () => {
    const credentials = await provisionWorkerRole({ ...admin(), streamNames: ['midway'] });
    const session = await sessionOf(credentials);
    await engine.start('f', [], { taskQueue: 'midway', workflowId: 'midway' });
    const { rows: registered } = await session.query(
      `select worker_no, services from durable.register_worker('midway', 'd', 60000, '{workflow}', '{midway}', '{f}')`,
    );
    const { worker_no, services } = registered[0];
    const claim = `select thread_no, epoch from durable.claim($1, 1, $2, 1, '{}') where thread_no is not null`;
    const { rows: claimed } = await session.query(claim, [worker_no, JSON.parse(services)]);
    await session.query('begin');
    const commit = `select * from durable.commit($1, false, $2, $3, '{0}', '{78}', '{null}', '{null}', '{null}', '{null}', '{null}', '{x}',
      '{completed}', '{1}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')`;
    await session.query(commit, [worker_no, [claimed[0].thread_no], [claimed[0].epoch]]);
    await revokeWorkerRole({ ...admin(), roleName: credentials.roleName });
    await expect(session.query('commit')).rejects.toThrow();
    const [thread] = await engine.sql<{ state: string; entries: number }>(
      `select t.state, (select count(*)::int from history h where h.thread_no = t.thread_no) as entries
       from thread t where t.thread_no = $1`,
      [claimed[0].thread_no],
    );
    expect(thread).toEqual({ state: 'ready', entries: 0 });
  });

  it.each([
    [{ streamNames: [] }, 'streamNames must be a list of at least one stream name'],
    [{ streamNames: ['x'.repeat(600)] }, 'streamNames[0] must be'],
    [{ streamNames: ['q'], password: 'short' }, 'password must be text of 8 to 200'],
    [{ streamNames: ['q'], password: 'contraseña muy larga' }, 'password must be text of 8 to 200'],
    [{ streamNames: ['q'], stream: 1 }, 'unknown option'],
  ])('is told what is wrong: %j', async (options, message) => {
    const failure = await provisionWorkerRole({ ...admin(), ...options } as never).catch((error: Error) => error);
    expect(failure).toBeInstanceOf(Errors.InvalidArgumentError);
    expect((failure as Error).message).toContain(message);
    expect((failure as Error).message).not.toContain('contraseña');
  });

  it.each([
    [{ user: 'u' }, 'workerCredentials.password must be text'],
    [{ user: 'u', password: 4711 }, 'workerCredentials.password must be text; got'],
    [{ password: 'se cret' }, 'workerCredentials must have either user or roleName; got neither'],
    [
      { user: 'u', roleName: 'u', password: 'se cret' },
      'workerCredentials must have either user or roleName; got both',
    ],
    [{ name: 'u', password: 'se cret' }, 'unknown option "workerCredentials.name"'],
    ['se cret', 'workerCredentials must be'],
  ])('is told what is wrong with credentials, and no password: %j', async (workerCredentials, message) => {
    const made = scoped(workerCredentials as never, { taskQueue: 'q' }).catch((error: Error) => error);
    expect(await made).toBeInstanceOf(Errors.InvalidArgumentError);
    expect(String(await made)).toContain(message);
    expect(String(await made)).not.toMatch(/se cret|4711/);
  });

  it('may do so on PGlite, whose one session takes no credentials', async () => {
    const db = new PGlite();
    const connection = { class: db };
    await db.exec(migrationScript('durable'));
    const credentials = await provisionWorkerRole({ connection, streamNames: ['q'] });
    const { roleName } = credentials;
    await rotateWorkerPassword({ connection, roleName });
    await expect(scoped(credentials, { connection, taskQueue: 'q' })).rejects.toThrow('cannot be used with PGlite');
    const claims = async () => {
      await db.exec(`set session authorization ${roleName}`);
      return await db
        .query(`select * from durable.register_worker('k', 'd', 1000, '{workflow}', '{q}', '{f}')`)
        .then(({ rows }) => rows.length, String)
        .finally(() => db.exec('set session authorization postgres'));
    };
    expect(await claims()).toBe(1);
    await revokeWorkerRole({ connection, roleName });
    expect(await claims()).toMatch('permission denied');
    expect(await listWorkerRoles({ connection })).toMatchObject([{ roleName, revokedAt: expect.any(Date) }]);
    await db.close();
  });

  it('cannot touch a role that is none of the namespace’s', async () => {
    const roleName = 'postgres';
    await expect(rotateWorkerPassword({ ...admin(), roleName })).rejects.toThrow('must be a worker role');
    await expect(revokeWorkerRole({ ...admin(), roleName })).rejects.toThrow('must be a worker role');
  });

  it('need be no superuser', async () => {
    const name = `deployer_${uuid().slice(0, 8)}`;
    await engine.sql(`create role ${name} login createrole`);
    await engine.sql(`grant durable_owner, pg_signal_backend to ${name}`);
    const connection = {
      class: pg.Client,
      options: { connectionString: urlAs({ roleName: name, password: 'any' }) },
    };
    const made = await provisionWorkerRole({ connection, streamNames: ['made by a deployer'] });
    const session = await sessionOf(made);
    await rotateWorkerPassword({ connection, roleName: made.roleName });
    await revokeWorkerRole({ connection, roleName: made.roleName });
    await expect(session.query('select 1')).rejects.toThrow();
    expect((await listWorkerRoles({ connection })).at(-1)?.revokedAt).toBeInstanceOf(Date);
  });

  it('must have the rights for it', async () => {
    const connection = {
      class: pg.Client,
      options: { connectionString: urlAs(await provisionWorkerRole({ ...admin(), streamNames: ['climbs'] })) },
    };
    await expect(provisionWorkerRole({ connection, streamNames: ['private'] })).rejects.toThrow(Errors.PermissionError);
  });
});

it('a password never leaves the process that made it: a server that asks for it keeps, logs and shows none', async () => {
  const cluster = await startPrivateCluster({ settings: { log_statement: 'all', log_min_error_statement: 'debug1' } });
  const connection = { class: pg.Client, options: { connectionString: cluster.url } };
  const superuser = new pg.Client(connection.options);
  await superuser.connect();
  await superuser.query(migrationScript('durable'));
  const streamNames = ['orders'];
  const first = await provisionWorkerRole({ connection, streamNames, password: 'first $secret\\ \'"' });
  const second = await rotateWorkerPassword({ connection, roleName: first.roleName });
  const third = await provisionWorkerRole({ connection, streamNames });

  const hba = ['host all postgres 127.0.0.1/32 trust', 'host all all 127.0.0.1/32 scram-sha-256'].join('\n');
  writeFileSync(join(dirname(cluster.logFile), 'data', 'pg_hba.conf'), `${hba}\n`);
  await superuser.query('select pg_reload_conf()');
  const login = (password: string) => {
    return withCredentials('test', connection, { user: first.roleName, password });
  };
  await until('the server asks for passwords', async () => {
    const client = new pg.Client(login('wrong').options);
    return await client.connect().then(
      () => client.end().then(() => false),
      (error: { code?: string }) => error.code === '28P01',
    );
  });
  const client = new pg.Client(login(third.password).options);
  await client.connect();
  await client.query('select durable.my_grants()');
  await client.end();

  const shown = JSON.stringify((await superuser.query('select * from pg_stat_activity')).rows);
  const kept = JSON.stringify((await superuser.query('select * from pg_authid')).rows);
  await superuser.end();
  const log = readFileSync(cluster.logFile, 'utf8');
  expect(log).toContain('alter role "hmsh_wrk_durable_orders"');
  for (const { password } of [first, second, third]) {
    for (const place of [log, shown, kept]) expect(place).not.toContain(password);
  }
});
