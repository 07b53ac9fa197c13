import { expect, it } from 'vitest';
import { Durable, Errors, type RetryOptions, workflow } from '../src/index.js';
import { describeInBothTempos, Engine, gate, Journal, kept, replayed, retryAtOnce, until } from './support/worker.js';

const journal = new Journal();
const gates = new Map<string, ReturnType<typeof gate<string>>>();

async function adds(id: string, count: number) {
  let sum = 0;
  for (let n = 0; n < count; n++) {
    sum += await workflow.run(`add ${n}`, async () => {
      journal.note(`${id} ${n}`);
      return n;
    });
  }
  return sum;
}

/** What it closes over is there in every attempt, also behind a recovery. */
async function flaky(id: string, times: number, retry: RetryOptions) {
  const captured = { from: id };
  return await workflow.run(
    'flaky',
    () => {
      const { attempt, idempotencyKey } = Durable.activity.getContext();
      journal.note(id, { attempt, idempotencyKey, captured });
      if (attempt <= times) throw new Error(`attempt ${attempt}`);
      return attempt;
    },
    { retry },
  );
}

async function parallel(id: string) {
  return await Promise.all([
    workflow.run('same name', async () => {
      journal.note(id, 'first');
      return 'first';
    }),
    workflow.run('same name', () => 'second'),
    workflow.sleep(20),
    workflow.run('constructor', () => 'third'),
  ]);
}

async function kinds() {
  const date = await workflow.run('date', () => new Date(0));
  const nothing = await workflow.run('nothing', () => {});
  let refused: unknown;
  try {
    await workflow.run('map', () => new Map(), { retry: { maximumAttempts: 0 } });
  } catch (error) {
    refused = (error as Error).message;
  }
  return { date: typeof date, nothing: nothing === undefined, refused };
}

async function callsDurably() {
  try {
    await workflow.run('nested', () => workflow.sleep(1), { retry: { maximumAttempts: 0 } });
  } catch (error) {
    return ((error as Error).cause as Error).name;
  }
  return 'no error';
}

async function long(id: string) {
  return await workflow.run('long', async () => {
    journal.note(id);
    return await (gates.get(id) as ReturnType<typeof gate<string>>).passed;
  });
}

async function cancelled(id: string) {
  try {
    await workflow.run('until cancelled', async () => {
      const { signal } = Durable.activity.getContext();
      journal.note(id);
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      journal.note(`${id} aborted`, signal.reason);
    });
  } catch (error) {
    return Durable.workflow.isCancellation(error);
  }
  return 'not cancelled';
}

async function misuse() {
  const outcomes: string[] = [];
  const wrong = [
    () => workflow.run('', () => 1),
    () => workflow.run('x', 5 as never),
    () => workflow.run('x', () => 1, { taskQueue: 'q' } as never),
    () => workflow.run('x', () => 1, { startToCloseTimout: 5 } as never),
    () => workflow.run('x', () => 1, { heartbeatTimeout: 0 }),
  ];
  for (const call of wrong)
    outcomes.push(await call().then(String, (error: Error) => `${error.name} ${error.message}`));
  return outcomes;
}

async function waitsBehind(id: string) {
  const first = await workflow.run('before', () => {
    journal.note(`${id} before`);
    return 1;
  });
  await workflow.condition(`${id} go`);
  return first + (await workflow.run('after', () => 1));
}

/** The function itself is retried while a step of it is under way: the step goes on, and is asked for again. */
async function retriedAround(id: string) {
  const step = workflow.run('slow', async () => {
    journal.note(`${id} slow`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    return 'slow';
  });
  if (Durable.workflow.workflowInfo().attempt === 1) throw new Error('at once');
  return await step;
}

const workflows = {
  adds,
  flaky,
  parallel,
  kinds,
  callsDurably,
  long,
  cancelled,
  misuse,
  waitsBehind,
  retriedAround,
};

describeInBothTempos('an inline step', { workflow: workflows }, (engine, tempo) => {
  const idOf = (name: string) => `${tempo.name} ${name}`;

  it('runs once, and gives its result', async () => {
    const id = idOf('adds');
    expect(await engine().run('adds', [id, 5])).toBe(10);
    for (let n = 0; n < 5; n++) expect(journal.count(`${id} ${n}`)).toBe(1);
  });

  it.each([
    ['at once', 1],
    ['when its workflow was parked meanwhile', 1_500],
  ])('is retried as its policy says, %s', async (_, initialInterval) => {
    const id = idOf(`flaky ${initialInterval}`);
    expect(await engine().run('flaky', [id, 2, { initialInterval, backoffCoefficient: 1 }])).toBe(3);
    const attempts = journal.of(id) as { attempt: number; idempotencyKey: string; captured: unknown }[];
    expect(attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(new Set(attempts.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
    expect(attempts[2]?.captured).toEqual({ from: id });
  });

  it('that failed for good arrives as an activity does', async () => {
    const handle = await engine().start('flaky', [idOf('fails'), 9, { ...retryAtOnce, maximumAttempts: 1 }]);
    const error = await engine().failure(handle);
    expect(error).toMatchObject({ name: 'DurableFatalError', code: 598, message: 'attempt 2' });
    expect(journal.count(idOf('fails'))).toBe(2);
  });

  it('may share its name and run beside others', async () => {
    expect(await engine().run('parallel', [idOf('parallel')])).toEqual(['first', 'second', 0.02, 'third']);
    expect(journal.of(idOf('parallel'))).toEqual(['first']);
  });

  it('gives what JSON gives, live as in a replay', async () => {
    expect(await engine().run('kinds')).toEqual({
      date: 'string',
      nothing: true,
      refused: expect.stringContaining('Map'),
    });
  });

  it('makes no durable calls', async () => {
    expect(await engine().run('callsDurably')).toBe('WorkflowContextError');
  });

  it('that runs for long is not repeated, though its workflow could be parked', async () => {
    const id = idOf('long');
    gates.set(id, gate<string>());
    const handle = await engine().start('long', [id]);
    await until('it runs', () => journal.count(id) === 1);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    gates.get(id)?.open('done');
    expect(await engine().result(handle)).toBe('done');
    expect(journal.count(id)).toBe(1);
  });

  it('is aborted when its workflow is cancelled', async () => {
    const id = idOf('cancelled');
    const handle = await engine().start('cancelled', [id]);
    await until('it runs', () => journal.count(id) === 1);
    await handle.cancel();
    expect(await engine().result(handle)).toBe(true);
    await until('it is told', () => journal.count(`${id} aborted`) === 1);
    expect(journal.of(`${id} aborted`)[0]).toBeInstanceOf(Errors.CancelledFailure);
  });

  it('is refused by name when it makes no sense', async () => {
    expect(await engine().run('misuse')).toEqual([
      expect.stringMatching(/^InvalidArgumentError run: name must be/),
      expect.stringMatching(/^InvalidArgumentError run: step must be a function; got 5/),
      expect.stringMatching(/^InvalidArgumentError run: unknown option "taskQueue"/),
      expect.stringMatching(/did you mean "startToCloseTimeout"\?/),
      expect.stringMatching(/^InvalidArgumentError run: heartbeatTimeout must be a duration longer than 0; got 0/),
    ]);
  });

  it('is not repeated when its workflow goes on later', async () => {
    const id = idOf('waits');
    const handle = await engine().start('waitsBehind', [id]);
    await engine().awaitsSignal(handle, `${id} go`);
    await engine().client.workflow.signal(`${id} go`);
    expect(await engine().result(handle)).toBe(2);
    expect(journal.count(`${id} before`)).toBe(1);
  });

  it('goes on while its workflow is retried', async () => {
    const id = idOf('retried around');
    expect(await engine().run('retriedAround', [id], { config: { initialInterval: 10 } })).toBe('slow');
    expect(journal.count(`${id} slow`)).toBe(1);
  });
});

it.each([kept, replayed])('steps run one at a time in a worker that runs no activities ($name)', async (tempo) => {
  const engine = await Engine.open({ workflow: workflows, tempo, options: { maxConcurrentActivities: 0 } });
  const id = `${tempo.name} none`;
  expect(await engine.run('adds', [id, 3])).toBe(3);
  expect(await engine.run('parallel', [`${id} parallel`])).toEqual(['first', 'second', 0.02, 'third']);
  await engine.close();
});

it('nobody else takes a step: not another worker of the queue, not one for activities', async () => {
  const engine = await Engine.open({ workflow: workflows });
  const strangers = await engine.addActivityWorker('test', {
    flaky: async () => {
      journal.note('taken by a stranger');
      return 'stranger';
    },
  });
  const id = 'nobody else';
  expect(await engine.run('flaky', [id, 3, { initialInterval: 1_200, backoffCoefficient: 1 }])).toBe(4);
  expect(journal.count('taken by a stranger')).toBe(0);
  await strangers.stop();
  await engine.close();
});
