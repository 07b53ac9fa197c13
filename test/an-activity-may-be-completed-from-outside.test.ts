import { expect, it } from 'vitest';
import { type ActivityOptions, Durable, Errors, type RetryOptions, workflow } from '../src/index.js';
import { describeInBothTempos, Engine, Journal, kept, replayed, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();

const activities = {
  /** Gives out its token and ends. */
  async ask(id: string) {
    const { taskToken, attempt, heartbeatDetails } = Durable.activity.getContext();
    journal.note(id, { taskToken, attempt, heartbeatDetails });
    throw new Durable.activity.CompleteAsyncError();
  },
  /** Gives out its token and waits to be told, as one does that polls. */
  async stays(id: string) {
    const { taskToken, signal } = Durable.activity.getContext();
    journal.note(id, { taskToken });
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    journal.note(`${id} aborted`, signal.reason);
    return 'its own';
  },
  /** Gives out its token and has a result of its own. */
  async both(id: string) {
    journal.note(id, { taskToken: Durable.activity.getContext().taskToken });
    return 'its own';
  },
};

async function call(name: keyof typeof activities, id: string, options: ActivityOptions = {}) {
  try {
    const proxy = workflow.proxyActivities({ retry: retryAtOnce, ...options } as ActivityOptions<
      Record<string, (id: string) => unknown>
    >);
    return await proxy[name]?.(id);
  } catch (error) {
    const { name: errorName, message, cause, timeoutType } = error as Errors.DurableTimeoutError;
    return {
      name: errorName,
      message,
      cause: (cause as Error | undefined)?.name,
      timeoutType,
      cancelled: Durable.workflow.isCancellation(error),
    };
  }
}

async function bound(name: keyof typeof activities, id: string, options: ActivityOptions = {}) {
  return await call(name, id, { ...options, activities });
}

const workflows = { call, bound };

interface Asked {
  readonly taskToken: string;
  readonly attempt: number;
  readonly heartbeatDetails: unknown;
}

async function asked(id: string, times = 1): Promise<Asked> {
  await until(`${id} is asked ${times} times`, () => journal.count(id) >= times);
  return journal.of(id)[times - 1] as Asked;
}

const kinds = ['call', 'bound'] as const;

describeInBothTempos(
  'an activity that is completed from outside',
  { workflow: workflows, activities },
  (engine, tempo) => {
    const idOf = (name: string) => `${tempo.name} ${name}`;
    const client = () => engine().client.activity;

    it.each(kinds)('gives the result that was sent under its token (%s)', async (kind) => {
      const id = idOf(`asked ${kind}`);
      const handle = await engine().start(kind, ['ask', id]);
      const { taskToken } = await asked(id);
      await client().complete(taskToken, { answer: 42 });
      expect(await engine().result(handle)).toEqual({ answer: 42 });
      expect(journal.count(id)).toBe(1);
    });

    it.each(kinds)('may be answered much later, when its workflow is parked (%s)', async (kind) => {
      const id = idOf(`later ${kind}`);
      const handle = await engine().start(kind, ['ask', id]);
      const { taskToken } = await asked(id);
      await until('its function has ended', async () => {
        const rows = await engine().sql(
          'select from activity_task a join execution e on e.run_no = a.thread_no where e.workflow_id = $1 and a.outside',
          [handle.workflowId],
        );
        return rows.length === 1;
      });
      await engine().waits(handle);
      await client().complete(taskToken);
      expect(await engine().result(handle)).toBeUndefined();
      expect(journal.count(id)).toBe(1);
    });

    it.each(kinds)('may be answered while its function still runs, which is told (%s)', async (kind) => {
      const id = idOf(`stays ${kind}`);
      const handle = await engine().start(kind, ['stays', id]);
      await client().complete((await asked(id)).taskToken, 'from outside');
      expect(await engine().result(handle)).toBe('from outside');
      await until('it is told', () => journal.count(`${id} aborted`) === 1);
      expect(journal.of(`${id} aborted`)[0]).toBeInstanceOf(Errors.CancelledFailure);
    });

    it.each(kinds)('has one outcome when its function has one too (%s)', async (kind) => {
      for (let n = 0; n < 10; n++) {
        const id = idOf(`both ${kind} ${n}`);
        const handle = await engine().start(kind, ['both', id]);
        const { taskToken } = await asked(id);
        const answered = await client()
          .complete(taskToken, 'from outside')
          .then(
            () => 'from outside',
            (error: unknown) => {
              expect(error).toBeInstanceOf(Errors.ActivityNotFoundError);
              return 'its own';
            },
          );
        expect(await engine().result(handle)).toBe(answered);
      }
    });

    it.each(kinds)('is retried when it fails outside, as its policy says (%s)', async (kind) => {
      const id = idOf(`fails ${kind}`);
      const handle = await engine().start(kind, ['ask', id]);
      const first = await asked(id);
      await client().fail(first.taskToken, new Error('not yet'));
      const second = await asked(id, 2);
      expect(second.attempt).toBe(2);
      await expect(client().complete(first.taskToken, 'late')).rejects.toMatchObject({
        name: 'ActivityNotFoundError',
        reason: 'superseded',
      });
      await client().complete(second.taskToken, 'now');
      expect(await engine().result(handle)).toBe('now');
    });

    it.each([
      ['when its retries are used up', new Error('no'), { maximumAttempts: 0 }, 'Error'],
      ['when its error is not retried', Errors.ApplicationFailure.nonRetryable('no'), {}, 'ApplicationFailure'],
      ['when the policy lists its error', new TypeError('no'), { nonRetryableErrorTypes: ['TypeError'] }, 'TypeError'],
    ])('fails for good %s', async (what, error, retry: RetryOptions, cause) => {
      const id = idOf(`fails for good ${what}`);
      const handle = await engine().start('call', ['ask', id, { retry: { ...retryAtOnce, ...retry } }]);
      await client().fail((await asked(id)).taskToken, error);
      expect(await engine().result(handle)).toMatchObject({ name: 'DurableFatalError', message: 'no', cause });
    });

    it.each(kinds)(
      'is alive as long as heartbeats come from outside, whose details the next attempt sees (%s)',
      async (kind) => {
        const id = idOf(`beats ${kind}`);
        const handle = await engine().start(kind, ['ask', id, { heartbeatTimeout: '1s', retry: retryAtOnce }]);
        const { taskToken } = await asked(id);
        for (let n = 0; n < 8; n++) {
          await client().heartbeat(taskToken, { n });
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
        expect(journal.count(id)).toBe(1);
        const second = await asked(id, 2); // nobody says anything any more
        expect(second).toMatchObject({ attempt: 2, heartbeatDetails: { n: 7 } });
        await expect(client().heartbeat(taskToken)).rejects.toMatchObject({ reason: 'superseded' });
        await client().complete(second.taskToken, 'at last');
        expect(await engine().result(handle)).toBe('at last');
      },
    );

    it.each(kinds)('fails when nobody answers in time (%s)', async (kind) => {
      const id = idOf(`never ${kind}`);
      const options = { startToCloseTimeout: 300, retry: { ...retryAtOnce, maximumAttempts: 1 } };
      const handle = await engine().start(kind, ['ask', id, options]);
      expect(await engine().result(handle)).toMatchObject({
        name: 'DurableTimeoutError',
        timeoutType: 'START_TO_CLOSE',
      });
      const { taskToken } = await asked(id, 2);
      await expect(client().complete(taskToken)).rejects.toMatchObject({ reason: 'finished' });
    });

    it('is answered once', async () => {
      const id = idOf('once');
      const handle = await engine().start('call', ['ask', id]);
      const { taskToken } = await asked(id);
      await client().complete(taskToken, 'first');
      expect(await engine().result(handle)).toBe('first');
      const again = [
        client().complete(taskToken, 'second'),
        client().fail(taskToken, new Error('x')),
        client().heartbeat(taskToken),
      ];
      for (const call of again) {
        await expect(call).rejects.toBeInstanceOf(Errors.ActivityNotFoundError);
        await expect(call).rejects.toMatchObject({ reason: 'finished' });
      }
    });

    it('is not waited for any more when its workflow was cancelled', async () => {
      const id = idOf('cancelled');
      const handle = await engine().start('call', ['ask', id]);
      const { taskToken } = await asked(id);
      await handle.cancel();
      expect(await engine().result(handle)).toMatchObject({ cancelled: true });
      await expect(client().heartbeat(taskToken)).rejects.toMatchObject({ reason: 'finished' });
      await expect(client().complete(taskToken)).rejects.toMatchObject({ reason: 'finished' });
      await client().reportCancellation(taskToken, { why: 'told' });
    });

    it('may be cancelled outside', async () => {
      const id = idOf('cancelled outside');
      const handle = await engine().start('call', ['ask', id]);
      await client().reportCancellation((await asked(id)).taskToken);
      expect(await engine().result(handle)).toMatchObject({
        name: 'DurableFatalError',
        cause: 'CancelledFailure',
        cancelled: false,
      });
    });

    it('is not what a token of another call says', async () => {
      const id = idOf('wrong token');
      const handle = await engine().start('call', ['ask', id]);
      const { taskToken } = await asked(id);
      const parts = JSON.parse(Buffer.from(taskToken, 'base64url').toString()) as unknown[];
      const changed = (at: number, value: unknown) =>
        Buffer.from(JSON.stringify(parts.with(at, value))).toString('base64url');
      const wrong = [changed(2, 987_654), changed(3, 7), changed(4, 2), changed(5, '12345')];
      for (const token of wrong) {
        await expect(client().complete(token, 'x')).rejects.toMatchObject({ reason: 'unknown' });
        await expect(client().reportCancellation(token)).rejects.toMatchObject({ reason: 'unknown' });
      }
      await client().complete(taskToken, 'right');
      expect(await engine().result(handle)).toBe('right');
    });
  },
);

it.each([undefined, '', 'nonsense', 5, Buffer.from('[2]').toString('base64url')])(
  'what is no task token is refused by name: %s',
  async (taskToken) => {
    const engine = await Engine.withoutWorker();
    for (const call of ['complete', 'fail', 'heartbeat', 'reportCancellation'] as const) {
      await expect(engine.client.activity[call](taskToken as string, new Error('x'))).rejects.toThrow(
        new RegExp(`^activity.${call}: taskToken must be a task token of an activity; got `),
      );
    }
    await expect(engine.client.activity.complete(taskToken as string)).rejects.toBeInstanceOf(
      Errors.InvalidArgumentError,
    );
    await engine.close();
  },
);

it.each([
  ['call', kept],
  ['bound', kept],
  ['call', replayed],
  ['bound', replayed],
] as const)('a task token outlives the worker that gave it out (%s, $name)', async (kind, tempo) => {
  const engine = await Engine.withoutWorker(tempo);
  const worker = await engine.addWorker({ workflow: workflows, activities });
  const id = `outlives ${kind} ${tempo.name}`;
  const handle = await engine.start(kind, ['ask', id]);
  const { taskToken } = await asked(id);
  await until(
    'its function has ended',
    async () => (await engine.sql('select from activity_task where outside')).length === 1,
  );
  await worker.stop();
  await engine.client.activity.complete(taskToken, 'meanwhile');
  await engine.addWorker({ workflow: workflows, activities });
  expect(await engine.result(handle)).toBe('meanwhile');
  expect(journal.count(id)).toBe(1);
  await engine.close();
});
