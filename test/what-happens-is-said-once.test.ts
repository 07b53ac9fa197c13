/** What a worker says of itself, and what workflows and activities write through it. */

import { describe, expect, it } from 'vitest';
import { Client, Durable, Errors, registerActivityWorker, Worker, workflow } from '../src/index.js';
import { watchLines } from './support/log.js';
import { sealingCodec } from './support/sealing-codec.js';
import { describeInBothTempos, Engine, retryAtOnce, until } from './support/worker.js';

const activities = {
  async charge(fails: number) {
    const { log, attempt } = Durable.activity.getContext();
    log.info({ amount: 7 }, 'charging');
    if (attempt <= fails) throw new TypeError('declined: secret');
    return 'paid';
  },
};
const { charge } = workflow.proxyActivities<typeof activities>({ retry: { maximumAttempts: 1, ...retryAtOnce } });

async function order(fails: number) {
  const { log } = workflow;
  log.info('begun');
  const paid = await charge(fails);
  log.debug({ paid }, 'charged %s times', 1);
  await workflow.condition('go');
  log.warn({ workflowId: `not ${workflow.workflowInfo().workflowId}` });
  log.error(new RangeError('odd'));
  await workflow.execHook({ taskQueue: 'test', workflowName: 'aside', args: [] });
  return paid;
}

async function aside({ signal }: { signal: string }) {
  workflow.log.trace('aside');
  await workflow.signal(signal);
}

async function flaky() {
  workflow.log.info({ attempt: workflow.workflowInfo().attempt }, 'tries');
  await charge(0);
  if (workflow.workflowInfo().attempt === 1) throw new TypeError('flaky: secret');
  throw new Errors.DurableFatalError('gave up: secret');
}

const watched = watchLines();
const { lines } = watched;
const of = (workflowId: string) => lines.filter(({ fields }) => fields.workflowId === workflowId);
const ownLines = (workflowId: string) =>
  of(workflowId).filter(({ fields, message }) => fields.activityName === undefined && !message?.startsWith('a '));

describeInBothTempos(
  'what is said',
  { workflow: { order, aside, flaky }, activities, logger: watched.logger, options: { logLevel: 'trace' } },
  (engine) => {
    it('by a workflow comes once for each line, with who it is, also when the workflow is replayed', async () => {
      const handle = await engine().start('order', [0]);
      await engine().awaitsSignal(handle, 'go');
      await handle.signal('go');
      expect(await engine().result(handle)).toBe('paid');
      const runNo = of(handle.workflowId)[0]?.fields.runNo;
      const who = { workflowId: handle.workflowId, runNo, workflowName: 'order', taskQueue: 'test' };
      expect(runNo).toBeTypeOf('number');
      expect(
        [...ownLines(handle.workflowId), ...of(`not ${handle.workflowId}`)].filter(
          ({ fields }) => fields.runNo === runNo,
        ),
      ).toEqual([
        { level: 'info', message: 'begun', fields: who },
        { level: 'debug', message: 'charged %s times', fields: { ...who, paid: 'paid' } },
        { level: 'error', message: 'odd', fields: { ...who, err: expect.any(RangeError) } },
        { level: 'trace', message: 'aside', fields: { ...who, workflowName: 'aside', hookNo: 0 } },
        { level: 'warn', message: undefined, fields: { ...who, workflowId: `not ${handle.workflowId}` } },
      ]);
    });

    it('by an activity names its call and attempt; its failures are said by their names', async () => {
      const handle = await engine().start('order', [2]);
      await engine().failure(handle);
      const call = { activityName: 'charge', workflowId: handle.workflowId, workflowName: 'order', taskQueue: 'test' };
      const failed = { errorName: 'TypeError', errorMessage: 'declined: secret' };
      expect(of(handle.workflowId).filter(({ fields }) => fields.activityName !== undefined)).toEqual([
        { level: 'info', message: 'charging', fields: { ...call, attempt: 1, amount: 7 } },
        {
          level: 'info',
          message: 'an activity failed and is tried again',
          fields: { ...call, attempt: 1, retryInMs: 1, ...failed },
        },
        { level: 'info', message: 'charging', fields: { ...call, attempt: 2, amount: 7 } },
        { level: 'warn', message: 'an activity failed for good', fields: { ...call, attempt: 2, ...failed } },
      ]);
      expect(of(handle.workflowId).at(-1)).toMatchObject({
        level: 'error',
        message: 'a workflow failed for good',
        fields: { workflowName: 'order', errorName: 'DurableFatalError', errorCode: 598 },
      });
    });

    it('when a workflow is tried again: its lines up to there do not come again', async () => {
      const handle = await engine().start('flaky', [], { config: retryAtOnce });
      await engine().failure(handle);
      const said = of(handle.workflowId).filter(({ fields }) => fields.activityName === undefined);
      expect(said.map(({ level, message }) => `${level} ${message}`)).toEqual([
        'info tries',
        'warn a workflow failed and is tried again',
        'error a workflow failed for good',
      ]);
      expect(said[1]?.fields).toMatchObject({ attempt: 1, retryInMs: 1, errorName: 'TypeError' });
    });
  },
);

describe('a worker', () => {
  it('says when it starts and stops, what is dead, and what nobody serves; never what a codec hides', async () => {
    const { logger, lines, said } = watchLines();
    const engine = await Engine.withoutWorker();
    const connection = { ...engine.connection, codec: sealingCodec('k1') };
    const options = { logLevel: 'debug', shutdownGrace: 100 };
    const worker = await Worker.create({
      connection,
      taskQueue: 'test',
      workflow: { flaky },
      activities,
      logger,
      options,
    });
    const pool = await registerActivityWorker(
      { connection, taskQueue: 'pool', logger, options },
      { charge: async () => {} },
    );
    const fields = { namespace: 'durable', taskQueue: 'test', workerNo: 1 };
    expect(said('a worker has started')).toEqual([
      {
        level: 'info',
        message: 'a worker has started',
        fields: { ...fields, workflows: ['flaky'], activities: ['charge'] },
      },
      {
        level: 'info',
        message: 'a worker has started',
        fields: { ...fields, taskQueue: 'pool', workflows: [], activities: ['charge'] },
      },
    ]);

    const client = new Client({ connection });
    await client.workflow.start({ taskQueue: 'test', workflowName: 'flkay', args: ['secret'] });
    const handle = await client.workflow.start({
      taskQueue: 'test',
      workflowName: 'flaky',
      args: ['secret'],
      config: retryAtOnce,
    });
    await engine.failure(handle);
    expect(said('a workflow failed for good')[0]?.fields).toEqual({
      workflowId: handle.workflowId,
      runNo: expect.any(Number),
      workflowName: 'flaky',
      taskQueue: 'test',
      errorName: 'DurableFatalError',
      errorCode: 598,
    });
    await engine.sql(
      `insert into worker (worker_key, description, registered_at, lease_until) values ('k', 'host/77', now(), now() - interval '1 s')`,
    );
    await until('the dead one is named', () => said(/^a worker is dead/).length > 0);
    expect(said(/^a worker is dead/)).toMatchObject([{ level: 'warn', fields: { description: 'host/77' } }]);
    await until('what waits is named', () => said(/no live worker serves/).length > 0);
    expect(said(/no live worker serves/)).toMatchObject([
      { level: 'warn', fields: { taskQueue: 'test', workflowName: 'flkay', waiting: 1 } },
    ]);

    await engine.sql('update worker set died_at = now()');
    await until('the loss is said', () => said(/^the lease was lost/).length > 0);
    expect(said(/^the lease was lost/)[0]).toMatchObject({ level: 'warn', fields: { workerNo: 1 } });
    await worker.stop();
    await pool.stop();
    expect(said('a worker has stopped').map(({ fields: { taskQueue } }) => taskQueue)).toEqual(['test', 'pool']);
    expect(JSON.stringify(lines)).not.toContain('secret');
    await client.close();
    await engine.close();
  });

  it('says why a workflow is blocked', async () => {
    const { logger, said } = watchLines();
    const engine = await Engine.withoutWorker();
    const options = { parkAfter: 0, maxCachedWorkflows: 0, shutdownGrace: 0 };
    const first = await engine.addWorker({ workflow: { changes: () => workflow.condition('go') }, options });
    const handle = await engine.start('changes');
    await engine.waits(handle);
    await until(
      'it is parked',
      async () => (await engine.sql("select from thread where state = 'parked'")).length === 1,
    );
    await first.stop();
    await engine.addWorker({
      workflow: { changes: () => workflow.sleep(600_000) },
      logger,
      options: { ...options, logLevel: 'warn' },
    });
    await handle.signal('go');
    await until('it is said', () => said(/^a workflow is blocked/).length > 0);
    expect(said(/^a workflow is blocked/)[0]).toMatchObject({
      level: 'error',
      fields: { workflowId: handle.workflowId, workflowName: 'changes', errorName: 'NondeterminismError' },
    });
    await engine.close();
  });

  it('takes its level into account, and works on when its logger throws', async () => {
    const heard: string[] = [];
    const throws = (level: string) => () => {
      heard.push(level);
      throw new Error('disk full');
    };
    const logger = {
      trace: throws('trace'),
      debug: throws('debug'),
      info: throws('info'),
      warn: throws('warn'),
      error: throws('error'),
    };
    const engine = await Engine.withoutWorker();
    await engine.addWorker({ workflow: { order, aside, flaky }, activities, logger, options: { logLevel: 'warn' } });
    const handle = await engine.start('flaky', [], { config: retryAtOnce });
    expect((await engine.failure(handle)).message).toBe('gave up: secret');
    expect(heard).toEqual(['warn', 'error']);
    await engine.close();
  });
});

describe('outside a workflow', () => {
  it('workflow.log has nobody to speak for', () => {
    expect(() => workflow.log.info('hello')).toThrow(Errors.WorkflowContextError);
  });
});
