import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Durable, type ExecutionHistory, proxyActivities, workflow } from '../src/index.js';
import { assertReplays, type ReplayError } from '../src/testing/index.js';
import { sealingCodec } from './support/sealing-codec.js';
import { engineForAll, replayed, retryAtOnce } from './support/worker.js';

interface Shop {
  charge(order: string): Promise<string>;
  refund(order: string): Promise<string>;
  ship(order: string): Promise<string>;
}
const { charge, refund, ship } = proxyActivities<Shop>({ retry: { maximumAttempts: 2, ...retryAtOnce } });

let fails = 0;
const activities = {
  charge: async (order: string) => `paid ${order}`,
  refund: async (order: string) => `refunded ${order}`,
  async ship(order: string) {
    if (fails++ === 0) throw new Error('no van');
    return `shipped ${order}`;
  },
};

async function order(id: string, rounds = 1): Promise<unknown> {
  const search = await workflow.search();
  await search.set({ id });
  const paid = await charge(id);
  const approved = await workflow.condition<boolean>('approved', '7 days');
  const drawn = [workflow.random(), workflow.now().getTime(), await workflow.run('look', () => 'seen')];
  const told = await workflow.executeChild<string>({
    workflowName: 'tell',
    args: [id],
    workflowId: `${id}-${rounds}-tell`,
  });
  const hooked = await workflow.execHook({
    taskQueue: 'test',
    workflowName: 'answer',
    args: ['question'],
    signalId: `${id}-answer`,
  });
  if (rounds > 1) return await workflow.continueAsNew(id, rounds - 1);
  return [paid, approved, drawn, told, hooked, await ship(id)];
}

async function tell(id: string) {
  await workflow.sleep(5);
  return `told ${id}`;
}

async function answer(_question: string, { signal }: { signal: string }) {
  await workflow.sleep(5);
  await workflow.signal(signal, 'an answer');
}

let failures = 0;
async function shaky() {
  const paid = await charge('x');
  if (failures++ === 0) throw new Error('once');
  return paid;
}

const workflows = { order, tell, answer, shaky };
const engine = engineForAll({ workflow: workflows, activities, tempo: replayed });

const histories: Record<string, ExecutionHistory> = {};
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'perdure-histories-'));
  const ended = await engine().start('order', ['done', 2], { workflowId: 'done' });
  for (let round = 0; round < 2; round++) await ended.signal('approved', true);
  await engine().result(ended);
  const child = await engine().client.workflow.getHandle(engine().taskQueue, 'tell', 'done-2-tell');
  const open = await engine().start('order', ['open'], { workflowId: 'open' });
  await engine().awaitsSignal(open, 'approved');
  const retried = await engine().start('shaky', [], { config: { maximumAttempts: 2, ...retryAtOnce } });
  await engine().result(retried);
  const terminated = await engine().start('order', ['cut'], { workflowId: 'cut' });
  await engine().awaitsSignal(terminated, 'approved');
  await terminated.terminate();
  for (const handle of [ended, child, open, retried, terminated]) {
    histories[handle === retried ? 'retried' : handle.workflowId] = await handle.exportHistory();
  }
  for (const [name, history] of Object.entries(histories))
    await writeFile(join(folder, `${name}.json`), JSON.stringify(history, null, 1));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const changed = (other: Partial<typeof workflows>) => assertReplays(folder, { ...workflows, ...other });
const mismatch = async (replays: Promise<unknown>): Promise<ReplayError> => {
  const error = await replays.then(
    () => null,
    (thrown: ReplayError) => thrown,
  );
  expect(error).toMatchObject({ name: 'ReplayError' });
  return error as ReplayError;
};

describe('recorded histories', () => {
  it('fit the code that made them: all runs, hooks, retries, and those under way', async () => {
    const report = await assertReplays(folder, workflows);
    expect(report).toMatchObject({ histories: 5 });
    // Of "done" two runs with a hook each; the others have a main thread.
    expect(report.threads).toBe(4 + 4);
    expect(report.entries).toBeGreaterThan(30);
    const url = pathToFileURL(join(folder, 'open.json'));
    expect(await assertReplays([url, histories.done as ExecutionHistory], workflows)).toMatchObject({ histories: 2 });
  });

  it('show code that calls something else, with entry, expected and found command, and the line', async () => {
    const error = await mismatch(
      changed({
        async order(id) {
          await (await workflow.search()).set({ id });
          return await refund(id);
        },
      }),
    );
    expect(error.mismatches).toHaveLength(4);
    expect(error.mismatches[0]).toMatchObject({
      workflowId: 'cut',
      workflowName: 'order',
      run: 0,
      hookNo: null,
      file: join(folder, 'cut.json'),
      expected: 'activity "charge"',
      found: 'activity "refund"',
      location: expect.stringContaining('recorded-histories-are-replayed-on-new-code.test.ts'),
      error: { type: 'NondeterminismError', entry: error.mismatches[0]?.entry },
    });
    expect(error.message).toMatch(/^4 recorded histories do not fit this code/);
    expect(error.message).toMatch(
      /order "done", run 1 \(.*done\.json\): entry \d+: expected activity "charge", found activity "refund" at .*:\d+:\d+/,
    );
  });

  it('show a call that was taken out, and one that was put in', async () => {
    const shorter = await mismatch(changed({ tell: async (id: string) => `told ${id}` }));
    expect(shorter.message).toMatch(
      /tell "done-2-tell" .*: entry 0: expected a sleep, found the end of the workflow|entry 0: expected a sleep, found nothing/,
    );
    const longer = await mismatch(
      changed({
        async answer(question, options) {
          await workflow.sleep(5);
          await charge('more');
          await answer(question, options);
        },
      }),
    );
    expect(longer.mismatches.map(({ hookNo, expected, found }) => [hookNo, expected, found])).toEqual([
      [0, 'a signal', 'activity "charge"'],
      [0, 'a signal', 'activity "charge"'],
    ]);
  });

  it('fit code whose change stands behind patched()', async () => {
    await changed({
      async shaky() {
        if (await workflow.patched('receipt')) await refund('x');
        return await shaky();
      },
    });
  });

  it('run nothing: no activity, no database', async () => {
    const before = fails;
    await assertReplays(folder, workflows);
    expect(fails).toBe(before);
  });

  it('need the codec that they were stored with', async () => {
    const handle = await engine().start('tell', ['secret'], { workflowId: 'plain' });
    await engine().result(handle);
    const [thread] = (await handle.exportHistory()).threads;
    const codec = sealingCodec('key');
    const args = `{"perdure:sealed":${JSON.stringify(codec.encode('["secret"]'))}}`;
    const sealed = { ...(await handle.exportHistory()), threads: [{ ...thread, args }] } as ExecutionHistory;
    expect((await mismatch(assertReplays(sealed, workflows))).mismatches[0]).toMatchObject({
      entry: null,
      error: { type: 'PayloadCodecError' },
    });
    Durable.registerCodec(codec);
    try {
      await assertReplays(sealed, workflows);
    } finally {
      Durable.registerCodec(null);
    }
  });

  it('are refused when they are none, or name what is not there', async () => {
    await expect(assertReplays(folder, { order, tell, shaky })).rejects.toThrow(
      /^assertReplays: workflows must have "answer", which .*done\.json records; got order, tell, shaky$/,
    );
    await expect(assertReplays({ format: 2 } as never, workflows)).rejects.toThrow(
      /^assertReplays: histories\[0\]: format must be 1: .*; got 2/,
    );
    await writeFile(join(folder, 'note.txt'), 'no JSON');
    await expect(assertReplays(join(folder, 'note.txt'), workflows)).rejects.toThrow(/note.txt must be a JSON file/);
    await expect(assertReplays(join(folder, 'none'), workflows)).rejects.toThrow(
      /must be a file or a folder; there is none/,
    );
    await expect(assertReplays(folder, workflows, { interceptor: {} } as never)).rejects.toThrow(
      /unknown option "interceptor".*interceptors/,
    );
    const unknown = await engine().client.workflow.getHandle(engine().taskQueue, 'order', 'nobody');
    await expect(unknown.exportHistory()).rejects.toMatchObject({ type: 'GetStateError', code: 404 });
  });
});
