/** A workflow may await what is not durable. Its calls then come outside any event, and a replay finds them again. */

import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { uuid, workflow } from '../src/index.js';
import { spawnFixture } from './support/process.js';
import { describeInBothTempos, Engine, Journal, pause, replayed, until } from './support/worker.js';

const journal = new Journal();

const activities = {
  async step(id: string, value: unknown) {
    journal.note(id, value);
    return value;
  },
  async other(value: unknown) {
    return value;
  },
  async misuse() {
    return await workflow.sleep(1).catch((error: Error) => error.name);
  },
};
const { step, other, misuse } = workflow.proxyActivities<typeof activities>();

/** How often the function of this workflow began: 1 while it lives, more in replays. */
const begun = new Map<string, number>();
const beginnings = () => {
  const { workflowId } = workflow.workflowInfo();
  const count = (begun.get(workflowId) ?? 0) + 1;
  begun.set(workflowId, count);
  return count;
};

async function imports(id: string) {
  const { value } = await import('./fixtures/late-value.mjs');
  const first = await step(id, value);
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(first as string));
  const second = await step(id, Buffer.from(digest).toString('hex').slice(0, 8));
  await workflow.condition(`${id} go`);
  const file = await readFile(new URL('./fixtures/late-value.mjs', import.meta.url), 'utf8');
  return [first, second, await step(id, file.includes('imported'))];
}

async function clock(id: string) {
  await pause(30);
  const at = workflow.now().getTime();
  await step(id, at);
  await workflow.condition(`${id} go`);
  return { at, told: journal.of(id)[0] };
}

async function context() {
  await pause(30);
  return [await misuse(), await misuse()];
}

async function patch(id: string) {
  const marked = (async () => {
    await pause(30);
    return await workflow.patched('late');
  })();
  const behind = (async () => {
    await pause(90);
    return await step(id, 1);
  })();
  await workflow.sleep(50);
  await workflow.condition(`${id} go`);
  return (await Promise.all([marked, behind]))[0];
}

/** Takes 5 ms when it runs, and longer in a replay; nothing else may be delivered before. */
async function slowerInReplay(id: string, ms: number) {
  const order: string[] = [];
  const late = (async () => {
    await pause(beginnings() === 1 ? 5 : ms);
    await step(id, 'late');
    order.push('late');
  })();
  const usual = (async () => {
    await workflow.sleep(100);
    order.push('sleep');
    await step(id, 'usual');
  })();
  await workflow.condition(`${id} go`);
  await Promise.all([late, usual]);
  return order;
}

async function fasterInReplay(id: string) {
  const late = (async () => {
    await pause(beginnings() === 1 ? 150 : 1);
    return await step(id, 'late');
  })();
  const usual = (async () => {
    for (let n = 0; n < 5; n++) {
      await workflow.sleep(10);
      await other(n);
    }
    return await step(id, 'usual');
  })();
  await workflow.condition(`${id} go`);
  return await Promise.all([late, usual]);
}

/** Same-named calls change places: their arguments tell them apart. */
async function swapped(id: string) {
  const [one, two] = beginnings() === 1 ? [10, 60] : [60, 10];
  const branches = [
    [one, 'one'],
    [two, 'two'],
  ] as const;
  const values = Promise.all(
    branches.map(async ([ms, value]) => {
      await pause(ms);
      return await step(id, value);
    }),
  );
  await workflow.condition(`${id} go`);
  return await values;
}

async function swappedTimeouts(id: string) {
  const [one, two] = beginnings() === 1 ? [10, 60] : [60, 10];
  const short = (async () => {
    await pause(one);
    return await workflow.condition(`${id} nobody`, 700);
  })();
  const long = (async () => {
    await pause(two);
    return await workflow.condition(`${id} nobody`, '1 hour');
  })();
  await workflow.condition(`${id} go`);
  return await Promise.race([short.then(() => 'short'), long.then(() => 'long')]);
}

/** Arguments differ from run to run, and the order as well: which is which cannot be told. */
async function ambiguous(id: string) {
  const [one, two] = beginnings() === 1 ? [10, 60] : [60, 10];
  const values = Promise.all(
    [one, two].map(async (ms) => {
      await pause(ms);
      return await step(id, Math.random());
    }),
  );
  await workflow.condition(`${id} go`);
  await values;
  return 'guessed';
}

async function whileWaiting(id: string) {
  const signal = workflow.condition(`${id} go`).then(() => 'signal');
  const late = (async () => {
    await pause(700);
    return await step(id, 'late');
  })();
  return [await late, await signal];
}

async function nothingDurable(id: string) {
  await pause(400);
  return id;
}

const workflows = {
  imports,
  context,
  clock,
  patch,
  slowerInReplay,
  fasterInReplay,
  swapped,
  swappedTimeouts,
  ambiguous,
  whileWaiting,
  nothingDurable,
};

// Long enough for what is late here; what is missing for longer blocks its workflow.
const options = { lateCommandTimeout: '2s' };

describeInBothTempos('a command that comes late', { workflow: workflows, activities, options }, (engine, tempo) => {
  /** Runs it to its wait for "go", in the one tempo has it forgotten there, and lets it go on. */
  const runWithGo = async (name: string, ...args: unknown[]) => {
    const id = uuid();
    const handle = await engine().start(name, [id, ...args]);
    await engine().awaitsSignal(handle, `${id} go`);
    if (tempo.forgets) await engine().waits(handle);
    else await pause(200);
    await handle.signal(`${id} go`);
    return { id, result: await engine().result(handle) };
  };

  it('behind an import, a digest or a file is found again', async () => {
    const { id, result } = await runWithGo('imports');
    expect(result).toEqual(['imported', expect.stringMatching(/^[0-9a-f]{8}$/), true]);
    expect(journal.of(id)).toEqual(result);
  });

  it('sees the same time in a replay', async () => {
    const { result } = await runWithGo('clock');
    const { at, told } = result as { at: number; told: number };
    expect(at).toBe(told);
  });

  it('puts no activity into its workflow', async () => {
    const handle = await engine().start('context', []);
    expect(await engine().result(handle)).toEqual(['WorkflowContextError', 'WorkflowContextError']);
  });

  it('that is a patch marker is found again', async () => {
    expect((await runWithGo('patch')).result).toBe(true);
  });

  it.each([5, 500])('may take longer in a replay (%s ms); nothing overtakes it', async (ms) => {
    const { id, result } = await runWithGo('slowerInReplay', ms);
    expect(result).toEqual(['late', 'sleep']);
    expect(journal.of(id)).toEqual(['late', 'usual']);
  });

  it('may come earlier in a replay', async () => {
    const { id, result } = await runWithGo('fasterInReplay');
    expect(result).toEqual(['late', 'usual']);
    expect(journal.count(id)).toBe(2);
  });

  it('may change places with another of its name', async () => {
    const { id, result } = await runWithGo('swapped');
    expect(result).toEqual(['one', 'two']);
    expect(journal.of(id)).toEqual(['one', 'two']);
  });

  it('may change places with another wait for the same id; each keeps its timeout', async () => {
    expect((await runWithGo('swappedTimeouts')).result).toBe('short');
  });

  /** In its first life. Where nothing is kept, one that is parked before its calls come makes them in another, or not at all. */
  async function withBothCome() {
    for (;;) {
      const id = uuid();
      const handle = await engine().start('ambiguous', [id]);
      const thread = async () => {
        const [row] = await engine().sql<{ state: string; epoch: number }>(
          'select t.state, t.epoch from thread t join execution e using (run_no) where e.workflow_id = $1',
          [handle.workflowId],
        );
        return row;
      };
      await until('both came, or it was parked before', async () => {
        return journal.count(id) === 2 || (await thread())?.state === 'parked';
      });
      if (journal.count(id) === 2 && (!tempo.forgets || (await thread())?.epoch === 1)) return { id, handle };
      await handle.terminate();
    }
  }

  it('that cannot be told from another blocks its workflow, and is not guessed', async () => {
    const { id, handle } = await withBothCome();
    await engine().awaitsSignal(handle, `${id} go`);
    if (tempo.forgets) await engine().waits(handle);
    await handle.signal(`${id} go`);
    if (!tempo.forgets) {
      expect(await engine().result(handle)).toBe('guessed');
      return;
    }
    await until('it is blocked', async () => {
      const [row] = await engine().sql<{ state: string; blocked_reason: string }>(
        'select t.state, t.blocked_reason from thread t join execution e using (run_no) where e.workflow_id = $1',
        [handle.workflowId],
      );
      return row?.state === 'blocked' && row.blocked_reason.includes('NondeterminismError');
    });
    expect(journal.count(id)).toBe(2);
    await handle.terminate();
  });

  it('brings a parked workflow back', async () => {
    const id = uuid();
    const handle = await engine().start('whileWaiting', [id]);
    if (tempo.forgets) await engine().awaitsSignal(handle, `${id} go`);
    await pause(900);
    await handle.signal(`${id} go`);
    expect(await engine().result(handle)).toEqual(['late', 'signal']);
    expect(journal.of(id)).toEqual(['late']);
  });

  it('may be the end of a workflow that never called anything durable', async () => {
    expect(await engine().run('nothingDurable', ['alone'])).toBe('alone');
  });
});

it('a workflow that awaits other things survives the death of its process at any moment', async () => {
  const engine = await Engine.withoutWorker(replayed);
  const env = { URL: engine.database.url, LEASE: '1s' };
  const start = async () => {
    const worker = spawnFixture('late-worker.mjs', { env });
    await worker.waitFor(({ type }) => type === 'ready');
    return worker;
  };
  let worker = await start();
  const handles = await Promise.all(Array.from({ length: 10 }, (_, n) => engine.start('lateSteps', [n])));
  for (const ms of [150, 400, 250]) {
    await pause(ms);
    worker.kill();
    await worker.exited;
    worker = await start();
  }
  const results = await Promise.all(handles.map((handle) => engine.result(handle)));
  expect(results).toEqual(handles.map((_, n) => ({ n, values: ['imported', 'digest', 'file', 'pause', 'imported'] })));
  worker.kill();
  await worker.exited;
  await until('its lease is over', async () => {
    await engine.sql('select reap()');
    return (await engine.sql('select from worker where released_at is null')).length === 0;
  });
  await engine.close();
});
