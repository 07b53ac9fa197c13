import { expect, it } from 'vitest';
import { Durable, Errors, uuid, workflow } from '../src/index.js';
import { describeInBothTempos, Journal, pause, until } from './support/worker.js';

const journal = new Journal();

const activities = {
  async endless(id: string) {
    const { signal } = Durable.activity.getContext();
    journal.note(`${id} runs`);
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        journal.note(`${id} aborted`);
        resolve();
      });
    });
  },
};
const { endless } = workflow.proxyActivities<typeof activities>();

async function waits(id: string) {
  try {
    return await workflow.condition(`${id} go`);
  } finally {
    journal.note(`${id} finally`);
  }
}

async function works(id: string) {
  await endless(id);
}

async function spins(id: string) {
  for (let n = 0; ; n++) {
    await workflow.sleep(1);
    journal.note(id, n);
  }
}

const workflows = { waits, works, spins };

describeInBothTempos('a workflow that is terminated', { workflow: workflows, activities }, (engine) => {
  it('rejects with the default reason and code, and its id', async () => {
    const handle = await engine().start('waits', ['default']);
    await engine().waits(handle);
    await handle.terminate();
    const error = await engine().failure(handle);
    expect(error).toBeInstanceOf(Errors.TerminatedError);
    expect(error).toMatchObject({
      message: `job [${handle.workflowId}] interrupted`,
      code: 410,
      job_id: handle.workflowId,
    });
    expect(await handle.status()).toBeLessThan(-1_000_000);
    const { data, metadata } = await handle.state(true);
    expect(data).toMatchObject({ done: false, workflowId: handle.workflowId });
    expect(metadata.js).toBeLessThan(-1_000_000);
  });

  it('rejects with the reason and code that were given', async () => {
    const handle = await engine().start('waits', ['given']);
    const waiting = engine().failure(handle);
    await handle.terminate({ reason: 'enough', code: 444 });
    expect(await waiting).toMatchObject({ message: 'enough', code: 444 });
  });

  it('has no error with throw: false', async () => {
    const handle = await engine().start('waits', ['silent']);
    await handle.terminate({ throw: false });
    expect(await handle.result({ state: true })).toBeUndefined();
  });

  it('cannot be terminated again, nor one that has completed', async () => {
    const handle = await engine().start('waits', ['again']);
    await handle.terminate();
    await expect(handle.terminate()).rejects.toThrow(`Job ${handle.workflowId} already completed`);
    await expect(handle.terminate({ suppress: true })).resolves.toBeUndefined();
    await expect(handle.signal('again go')).rejects.toThrow(Errors.InactiveJobError);
  });

  it('is terminated once by many at the same moment', async () => {
    const handle = await engine().start('waits', ['many']);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, n) => handle.terminate({ reason: `reason ${n}` })),
    );
    const winners = outcomes.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
    expect(winners).toHaveLength(1);
    expect(await engine().failure(handle)).toMatchObject({ message: `reason ${winners[0]}` });
  });

  it('has its activity aborted, whose result is dropped, and its code learns nothing', async () => {
    const id = uuid();
    const handle = await engine().start('works', [id]);
    await until('the activity runs', () => journal.count(`${id} runs`) === 1);
    await handle.terminate();
    await engine().failure(handle);
    await until('it is aborted', () => journal.count(`${id} aborted`) === 1);
    await pause(100);
    expect(journal.count(`${id} runs`)).toBe(1);
    expect(
      await engine().sql(
        'select from activity_task a join execution e on e.run_no = a.thread_no where e.workflow_id = $1',
        [handle.workflowId],
      ),
    ).toEqual([]);
    const waiting = await engine().start('waits', [id]);
    await engine().waits(waiting);
    await waiting.terminate();
    expect(journal.count(`${id} finally`)).toBe(0);
  });

  it('takes no step any more, in whatever step it is met', async () => {
    const handles = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const id = uuid();
        return { id, handle: await engine().start('spins', [id]) };
      }),
    );
    await Promise.all(
      handles.map(async ({ id, handle }, n) => {
        await until('it spins', () => journal.count(id) > n);
        await handle.terminate();
        await engine().failure(handle);
      }),
    );
    await pause(300);
    const counts = handles.map(({ id }) => journal.count(id));
    await pause(300);
    expect(handles.map(({ id }) => journal.count(id))).toEqual(counts);
  });

  it('may be terminated before it ran, and while its id is only reserved', async () => {
    for (const options of [{}, { pending: 60 }]) {
      const handle = await engine().start('nobody serves this', [], options);
      await handle.terminate({ reason: 'too early' });
      expect(await engine().failure(handle)).toMatchObject({ message: 'too early' });
    }
  });
});
