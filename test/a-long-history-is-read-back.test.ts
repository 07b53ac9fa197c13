import { describe, expect, it } from 'vitest';
import { uuid, workflow } from '../src/index.js';
import { Engine, Journal, replayed, until } from './support/worker.js';

const journal = new Journal();
const activities = {
  async add(id: string, n: number) {
    journal.note(id);
    return n + 1;
  },
  async echo(value: unknown) {
    return value;
  },
};
const { add, echo } = workflow.proxyActivities<typeof activities>();

/** One step after the other, so one entry each. */
async function line(id: string, steps: number) {
  let n = 0;
  while (n < steps) n = await add(id, n);
  await workflow.condition(`${id} go`);
  while (n < steps + 10) n = await add(id, n);
  return n;
}

/** All at once, so their results come in few, large entries. */
async function fan(id: string, width: number) {
  const before = await Promise.all(Array.from({ length: width }, (_, n) => add(id, n)));
  await workflow.condition(`${id} go`);
  const after = await Promise.all(Array.from({ length: 10 }, (_, n) => add(id, n)));
  return [...before, ...after].reduce((sum, n) => sum + n, 0);
}

async function sleepsAndSignals(id: string, count: number) {
  let sum = 0;
  for (let n = 0; n < count; n++) {
    const [data] = await Promise.all([workflow.condition<number>(id), workflow.sleep(1)]);
    sum += data === false ? 0 : data;
  }
  await workflow.condition(`${id} go`);
  return sum;
}

/** Entries together larger than what is read in one page. */
async function heavy(id: string, count: number, bytes: number) {
  let length = 0;
  for (let n = 0; n < count; n++) length += ((await echo('x'.repeat(bytes))) as string).length;
  await workflow.condition(`${id} go`);
  return length + ((await echo('y')) as string).length;
}

async function children(id: string, count: number) {
  const results = await Promise.all(
    Array.from({ length: count }, (_, n) => workflow.executeChild<number>({ workflowName: 'child', args: [n] })),
  );
  await workflow.condition(`${id} go`);
  return results.reduce((sum, n) => sum + n, 0);
}

async function child(n: number) {
  return n;
}

describe('a history', () => {
  it.each([
    ['line', 1_500, 1_510, 1_510],
    ['fan', 2_500, (2_500 * 2_501) / 2 + 55, 2_510],
    ['sleepsAndSignals', 300, (299 * 300) / 2, 0],
    ['children', 800, (799 * 800) / 2, 0],
    ['heavy', 30, 30 * 400_000 + 1, 0],
  ])(
    'of a workflow that did much (%s, %s) is read back, and nothing of it is done again',
    async (name, count, result, runs) => {
      const engine = await Engine.open({
        workflow: { line, fan, sleepsAndSignals, children, child, heavy },
        activities,
        tempo: replayed,
      });
      const id = uuid();
      const handle = await engine.start(name, name === 'heavy' ? [id, count, 400_000] : [id, count]);
      if (name === 'sleepsAndSignals') {
        for (let n = 0; n < count; n++) void handle.signal(id, n);
      }
      await until(
        'it has come to its wait',
        async () => {
          const found = await engine.sql('select from wait where signal_id = $1', [`${id} go`]);
          return found.length === 1;
        },
        60_000,
      );
      await engine.waits(handle); // in the database alone
      await handle.signal(`${id} go`);
      expect(await engine.result(handle)).toBe(result);
      expect(journal.count(id)).toBe(runs);
      await engine.close();
    },
  );
});

describe('more work than may be done at once', () => {
  it('is done: two thousand workflows, a hundred at a time', async () => {
    const engine = await Engine.open({
      workflow: { short: async (n: number) => await echo(n) },
      activities,
      options: { maxConcurrentWorkflows: 100, maxConcurrentActivities: 20 },
    });
    const handles = await Promise.all(Array.from({ length: 2_000 }, (_, n) => engine.start('short', [n])));
    const results = await Promise.all(handles.map((handle) => engine.result(handle)));
    expect(results).toEqual(handles.map((_, n) => n));
    await engine.close();
  });
});
