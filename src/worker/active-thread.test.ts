import { describe, expect, it } from 'vitest';
import { SimulatedStore } from '../../test/support/simulated-store.js';
import {
  type CommitUnderWay,
  type SimulatedFunction,
  SimulatedWorker,
  turns,
} from '../../test/support/simulated-worker.js';
import { SimulatedWorkflow } from '../../test/support/simulated-workflow.js';
import { parseSteps } from '../codec/entry-text.js';
import { PayloadCodecError } from '../core/errors.js';
import type { Mail } from '../postgres/protocol/threads.js';
import { workflow } from '../workflow/workflow.js';
import type { ActiveThread } from './active-thread.js';

type Activities = Record<string, (...args: unknown[]) => Promise<unknown>>;
const act = workflow.proxyActivities<Activities>() as Activities;
const call = (name: string, ...args: unknown[]) => (act[name] as Activities[string])(...args);

/** A worker whose commits wait until they are answered by hand. */
async function begin(run: SimulatedFunction, options: { eager?: boolean } = {}) {
  const store = new SimulatedStore();
  const worker = new SimulatedWorker({ store, run, chooseEager: () => options.eager ?? false, lateCommandMs: 30 });
  worker.claim();
  await turns(3);
  return {
    store,
    worker,
    thread: worker.thread as ActiveThread,
    /** Applies and answers the commit under way. */
    async commit() {
      worker.answerCommit(worker.commits[0] as CommitUnderWay);
      await turns(6);
    },
    async done(op: number, value: unknown = null) {
      worker.thread?.post({ event: { kind: 'done', op, value, text: JSON.stringify(value) }, inboxNo: null });
      await turns(3);
    },
    get entries() {
      return store.rows.map(({ body }) => parseSteps(body).map(({ e }) => e[0]));
    },
  };
}

it('knows which outcomes are here until they are durable', async () => {
  const flow = await begin(() => Promise.all([call('one'), call('two')]));
  await flow.commit();
  const here = () => [0, 1].map((op) => flow.thread.settles(op));
  expect(here()).toEqual([false, false]);
  flow.thread.post({ event: { kind: 'done', op: 0, value: 1, text: '1' }, inboxNo: null });
  expect(here()).toEqual([true, false]); // waits to be delivered
  await turns(1);
  expect(here()).toEqual([true, false]); // with the function, or in the draft
  await turns(3);
  expect(flow.thread.stage).toBe('committing');
  await flow.done(1);
  expect(here()).toEqual([true, true]); // one is being committed, the other waits
  await flow.commit();
  expect(here()).toEqual([false, true]);
  await flow.commit();
  expect(here()).toEqual([false, false]);
});

describe('invariant 1: one stage at a time', () => {
  it('nothing is delivered while a commit is in flight', async () => {
    const seen: string[] = [];
    const flow = await begin(() =>
      Promise.all(['one', 'two'].map(async (name) => seen.push(String(await call(name))))),
    );
    await flow.commit();
    await flow.done(0, 'a');
    expect(flow.thread.stage).toBe('committing');
    await flow.done(1, 'b');
    await turns(5);
    expect(seen).toEqual(['a']);
    await flow.commit();
    expect(seen).toEqual(['a', 'b']);
  });

  it('events that wait together are delivered one per turn and stored in one entry', async () => {
    const flow = await begin(() => Promise.all(['one', 'two', 'three'].map((name) => call(name))));
    await flow.commit();
    for (const op of [2, 0]) flow.thread.post({ event: { kind: 'done', op, value: 1, text: '1' }, inboxNo: null });
    await turns(5);
    await flow.commit();
    expect(flow.entries).toEqual([['start'], ['done', 'done']]);
  });

  it('code that runs on during a commit is heard when it is answered', async () => {
    const flow = await begin(async () => {
      void turns(6).then(() => call('late'));
      await call('one');
    });
    expect(flow.worker.commits).toHaveLength(1);
    await turns(8);
    expect(flow.worker.commits).toHaveLength(1);
    await flow.commit();
    expect(flow.worker.commits).toHaveLength(1);
    await flow.commit();
    expect(flow.entries).toEqual([['start'], ['late']]);
  });

  it('work on its rows does not meet a commit of it', async () => {
    const order: string[] = [];
    const flow = await begin(() => call('one'));
    flow.thread.postChore(async () => {
      order.push('chore begins');
      await turns(20);
      order.push('chore ends');
    });
    await turns(3);
    expect(order).toEqual([]);
    await flow.commit();
    expect(flow.thread.stage).toBe('committing');
    flow.thread.post({ event: { kind: 'done', op: 0, value: 1, text: '1' }, inboxNo: null });
    await turns(5);
    expect(flow.worker.commits).toHaveLength(0);
    await turns(20);
    expect(order).toEqual(['chore begins', 'chore ends']);
    expect(flow.worker.commits).toHaveLength(1);
  });

  it('work on its rows that fails is told, and nothing goes on', async () => {
    const flow = await begin(() => call('one'));
    await flow.commit();
    flow.thread.postChore(() => Promise.reject(new Error('no connection')));
    await turns(3);
    expect(flow.worker.reason?.message).toBe('no connection');
  });
});

describe('invariant 2: what the store decided opens the next activation', () => {
  const decides = () =>
    Promise.all([workflow.signal('nobody'), call('one'), workflow.startChild({ workflowName: 'w', args: [] })]);

  it('before what came while the commit was under way', async () => {
    const flow = await begin(decides, { eager: true });
    flow.store.cancel();
    flow.worker.fetchMail();
    await flow.commit();
    await flow.commit();
    expect(flow.entries[1]?.slice(0, 2)).toEqual(['decided', 'decided']);
  });

  it('after a crash between the commit and its answer too, before the mail', async () => {
    const flow = await begin(decides);
    flow.worker.applyCommit(flow.worker.commits[0] as CommitUnderWay);
    flow.store.finishTask(1, { ok: true, text: '1' });
    flow.worker.kill();
    flow.worker.claim();
    flow.worker.fetchMail(); // while its history is being read
    await flow.worker.recovering;
    await turns(6);
    await flow.commit();
    expect(flow.entries[1]).toEqual(['decided', 'decided', 'done']);
    expect(flow.store.closed).toBe(true);
  });

  it('is told once, whatever the number of crashes', async () => {
    const flow = await begin(async () => [await workflow.signal('nobody'), await call('one')]);
    for (let n = 0; n < 3; n++) {
      const [commit] = flow.worker.commits;
      if (commit !== undefined) flow.worker.applyCommit(commit);
      flow.worker.kill();
      flow.worker.claim();
      await flow.worker.recovering;
      await turns(3);
    }
    expect(flow.entries).toEqual([['start'], ['decided']]);
  });

  it('is told at once, also when the run is paused in the middle of it', async () => {
    const flow = await begin(() =>
      Promise.all([workflow.signal('one'), workflow.signal('two'), workflow.signal('three')]),
    );
    const pausing: number[] = [];
    flow.worker.pausing = () => void pausing.push(flow.store.rows.length);
    flow.worker.answerCommit(flow.worker.commits[0] as CommitUnderWay);
    await turns(1); // the first is being delivered
    flow.thread.postMail({ thread_no: 1, inbox_no: 1, kind: 'pause', op: null, payload: null } as Mail);
    await turns(6);
    expect(flow.worker.commits).toHaveLength(1);
    await flow.commit();
    expect(flow.entries).toEqual([['start'], ['decided', 'decided', 'decided']]);
    expect(flow.store.closing?.result).toBe('["buffered","buffered","buffered"]');
  });

  it('in one entry, however much that is', async () => {
    const many = 1_500; // more than an entry holds of anything else
    const run = () => Promise.all(Array.from({ length: many }, () => workflow.signal('nobody')));
    const flow = await SimulatedWorkflow.begin(async () => {
      const told = await run();
      await call('one');
      return told.filter((status) => status === 'buffered').length;
    });
    await flow.crash();
    await flow.complete('one');
    expect(flow.ending?.value).toBe(many);
    expect(flow.store.rows.map(({ body }) => parseSteps(body).length)).toEqual([1, many, 1]);
  });

  it('is told behind a failed attempt too, where nobody listens', async () => {
    const flow = await SimulatedWorkflow.begin(
      async ({ info }) => {
        const sent = workflow.signal('nobody');
        if (info.attempt === 1) throw new Error('not yet');
        return sent;
      },
      { retry: { maximumAttempts: 1 } },
    );
    await flow.crash();
    expect(flow.story).toEqual(['start: signal, retry', 'decided 0']);
    await flow.fire();
    expect(flow.ending?.value).toBe('buffered');
  });
});

describe('invariant 3: late commands stand before whatever is delivered next', () => {
  it('in a step of their own', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const flow = await begin(() =>
      Promise.all([
        gate.then(() => call('late')),
        (async () => {
          await call('one');
          await call('two');
        })(),
      ]),
    );
    await flow.commit();
    open();
    await null;
    flow.thread.post({ event: { kind: 'done', op: 0, value: 1, text: '1' }, inboxNo: null });
    await turns(5);
    await flow.commit();
    expect(flow.entries[1]).toEqual(['late', 'done']);
  });

  it('with the delay since the last delivery', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const flow = await SimulatedWorkflow.begin(() => gate.then(() => call('late')));
    flow.store.now += 1_234;
    open();
    await flow.settle();
    expect(flow.steps.at(-1)?.event).toEqual({ kind: 'late', delayMs: 1_234 });
  });

  it('also the end of the function may come late', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      await turns(3);
      return 'done';
    });
    expect(flow.story).toEqual(['start', 'late: complete']);
    expect(flow.ending?.value).toBe('done');
  });

  it('a function that waits for nothing durable at all goes on in each process', async () => {
    const flow = await SimulatedWorkflow.begin(async () => {
      await turns(12);
      return 'done';
    });
    await flow.crash();
    await turns(12);
    await flow.settle();
    expect(flow.ending?.value).toBe('done');
  });
});

describe('invariant 4: stale, because a signal came first, the thread is read anew in place', () => {
  /** A timeout is being stored when its signal comes. */
  async function crossed(run: SimulatedFunction) {
    const flow = await begin(run, { eager: true });
    await flow.commit();
    return {
      ...flow,
      /** @param alongside What is stored in the same entry, behind the timeout. */
      async cross(alongside: () => void = () => {}) {
        flow.store.now += 1_000;
        flow.worker.fireDue();
        alongside();
        await turns(5);
        flow.store.signal('go', '"just in time"');
        await flow.commit();
      },
      async settle() {
        while (flow.worker.commits.length > 0) await flow.commit();
      },
    };
  }

  it('and takes the signal', async () => {
    const flow = await crossed(() => workflow.condition('go', '1s'));
    await flow.cross();
    expect(flow.worker.thread === flow.thread).toBe(true);
    expect(flow.store.answered.stale).toBe(1);
    await flow.settle();
    expect(flow.store.closing?.result).toBe('"just in time"');
    expect(flow.store.timers.size).toBe(0);
  });

  it('and attempts that run go on', async () => {
    const flow = await crossed(() => Promise.all([call('long'), workflow.condition('go', '1s')]));
    await flow.cross();
    expect([...flow.worker.eager]).toEqual([0]);
    expect(flow.worker.begun).toEqual([0]);
    await flow.done(0, 'as it began');
    await flow.settle();
    expect(flow.store.closing?.result).toBe('["as it began","just in time"]');
  });

  it('and an outcome that stood nowhere else is delivered again, as it came', async () => {
    const flow = await crossed(async () => {
      const [outcome, signal] = await Promise.all([
        call('list').then((list) => [...(list as number[]).splice(0)]),
        workflow.condition('go', '1s'),
      ]);
      return [outcome, signal];
    });
    await flow.cross(() => {
      flow.worker.eager.delete(0);
      flow.thread.post({ event: { kind: 'done', op: 0, value: [1, 2], text: '[1,2]' }, inboxNo: null });
    });
    await flow.settle();
    expect(flow.store.closing?.result).toBe('[[1,2],"just in time"]');
    expect(flow.worker.begun).toEqual([0]);
  });

  it('and what the timed-out code began is not begun', async () => {
    const flow = await crossed(async () => (await workflow.condition('go', '1s')) || call('too late'));
    await flow.cross();
    await flow.settle();
    expect(flow.worker.begun).toEqual([]);
    expect(flow.store.closing?.result).toBe('"just in time"');
  });

  it('and a signal that was taken for late is delivered', async () => {
    const flow = await crossed(() => workflow.condition('go', '1s'));
    flow.store.now += 1_000;
    flow.worker.fireDue();
    flow.store.signal('go', '"just in time"');
    await Promise.resolve();
    flow.worker.fetchMail(); // while the timeout is being delivered
    await turns(5);
    await flow.settle();
    expect(flow.store.closing?.result).toBe('"just in time"');
  });

  it('and whoever does not own it any more lets it go', async () => {
    const flow = await crossed(() => workflow.condition('go', '1s'));
    flow.store.now += 1_000;
    flow.worker.fireDue();
    await turns(5);
    const [commit] = flow.worker.commits.splice(0);
    const lost = flow.worker.lose() as ActiveThread;
    flow.worker.hidesHistory = true;
    commit?.send({ status: 'stale' });
    await turns(5);
    expect(lost.stage).toBe('gone');
  });
});

describe('invariant 4: fenced, the thread is dropped, and reloaded by whoever claims it', () => {
  it('because another one owns it', async () => {
    const flow = await begin(() => call('one'));
    await flow.commit();
    const lost = flow.worker.lose() as ActiveThread;
    flow.worker.claim();
    await flow.worker.recovering;
    lost.post({ event: { kind: 'done', op: 0, value: 'from a ghost', text: '"from a ghost"' }, inboxNo: null });
    await turns(5);
    expect(lost.stage).toBe('gone');
    expect(flow.entries).toEqual([['start']]);
    await flow.done(0, 'mine');
    await flow.commit();
    expect(flow.store.closing?.result).toBe('"mine"');
    expect(flow.store.answered.fenced).toBe(1);
  });

  it('and nothing of what was refused goes on', async () => {
    const flow = await begin(async () => [await call('one'), await call('two')]);
    await flow.commit();
    const lost = flow.worker.lose() as ActiveThread;
    flow.worker.claim();
    await flow.worker.recovering;
    lost.post({ event: { kind: 'done', op: 0, value: 1, text: '1' }, inboxNo: null });
    await turns(5);
    expect(lost.stage).toBe('gone');
    expect(flow.store.answered.fenced).toBe(1);
  });

  it('nothing of the dropped instance reaches the store', async () => {
    const gates: (() => void)[] = [];
    const flow = await begin(async () => {
      await new Promise<void>((resolve) => gates.push(resolve));
      await call('late');
    });
    await flow.commit();
    flow.worker.kill();
    flow.worker.claim();
    await flow.worker.recovering;
    gates[0]?.();
    await turns(5);
    expect(flow.worker.commits).toHaveLength(0);
    gates[1]?.();
    await turns(5);
    expect(flow.worker.commits).toHaveLength(1);
  });

  it('a commit that was done before is answered again, not done twice', async () => {
    const flow = await begin(() => call('one'));
    const [commit] = flow.worker.commits as [CommitUnderWay];
    flow.worker.applyCommit(commit);
    expect(flow.store.commit(commit.item)).toEqual({ status: 'done', outcome: null });
    expect(flow.entries).toEqual([['start']]);
    await flow.commit();
    expect(flow.thread.stage).toBe('idle');
  });

  it('a commit that fails blocks the thread, and says why', async () => {
    const flow = await begin(() => call('one'));
    const commit = flow.worker.commits.pop() as CommitUnderWay;
    commit.fail(new Error('refused by the database'));
    await turns(3);
    expect(flow.worker.reason?.message).toBe('refused by the database');
  });
});

describe('a timer', () => {
  it('that the store does not find due yet is stored when it is', async () => {
    const flow = await SimulatedWorkflow.begin(() => workflow.sleep(1_000));
    flow.store.now += 995; // the worker's clock is ahead of the database's
    flow.worker.thread?.fire(0);
    await turns(3);
    expect(flow.store.answered.early).toBe(1);
    expect(flow.ending).toBeNull();
    flow.store.now += 5;
    while (flow.ending === null) await turns(1);
    expect(flow.ending.value).toBe(1);
  });

  it('fires once, however often it is found due', async () => {
    const flow = await begin(async () => [await workflow.sleep(10), await workflow.sleep(10)]);
    await flow.commit();
    for (let n = 0; n < 3; n++) flow.thread.fire(0);
    await turns(5);
    for (let n = 0; n < 3; n++) flow.thread.fire(0);
    flow.store.now += 10;
    await flow.commit();
    expect(flow.entries).toEqual([['start'], ['fire']]);
    flow.thread.fire(0);
    await turns(3);
    expect(flow.worker.commits).toHaveLength(0);
  });

  it('of what is settled, or was never here, does not fire', async () => {
    const flow = await begin(() => call('one'));
    await flow.commit();
    flow.thread.fire(99);
    await turns(3);
    expect(flow.thread.stage).toBe('idle');
  });

  it('is looked at again by whoever recovers the thread', async () => {
    const flow = await SimulatedWorkflow.begin(() => workflow.sleep(1_000));
    flow.store.now += 5_000;
    await flow.crash();
    flow.worker.fireDue();
    await flow.settle();
    expect(flow.ending?.state).toBe('completed');
  });

  it('is told in the order of what is due next', async () => {
    const flow = await begin(() =>
      Promise.all([workflow.sleep(500), workflow.sleep(100), workflow.condition('go', 300)]),
    );
    await flow.commit();
    expect(flow.thread.nextDue - flow.store.now).toBe(100);
    flow.store.now += 100;
    flow.worker.fireDue();
    await turns(3);
    await flow.commit();
    expect(flow.thread.nextDue - flow.store.now).toBe(200);
  });
});

describe('the inbox', () => {
  it('a row that is told twice is delivered once', async () => {
    const flow = await begin(async () => [await call('one'), await call('two')]);
    await flow.commit();
    const mail = { thread_no: 7, inbox_no: 1, kind: 'done', op: 0, payload: '1' } as const;
    flow.store.finishTask(0, { ok: true, text: '1' });
    for (let n = 0; n < 3; n++) flow.thread.postMail(mail);
    await turns(5);
    for (let n = 0; n < 3; n++) flow.thread.postMail(mail);
    await flow.commit();
    expect(flow.entries).toEqual([['start'], ['done']]);
    expect(flow.store.inbox.size).toBe(0);
  });

  it('a row that waits while another one is recorded is taken in once', async () => {
    const flow = await begin(() => Promise.all(['one', 'two', 'three'].map((name) => call(name))));
    await flow.commit();
    for (const op of [0, 1]) {
      flow.store.finishTask(op, { ok: true, text: '1' });
      flow.worker.fetchMail();
      await turns(5);
    }
    await flow.commit(); // the first; now the second is under way
    flow.worker.fetchMail();
    await flow.commit();
    expect(flow.entries).toEqual([['start'], ['done'], ['done']]);
    expect(flow.worker.commits).toHaveLength(0);
  });

  it('a signal stands before the timeout that it was in time for', async () => {
    const flow = await begin(() => workflow.condition('go', '1s'));
    await flow.commit();
    flow.store.signal('go', '"in time"');
    flow.store.now += 1_000;
    flow.worker.fireDue();
    flow.worker.fetchMail();
    await turns(3);
    await flow.commit();
    expect(flow.entries[1]).toEqual(['signal']);
    expect(flow.store.closing?.result).toBe('"in time"');
  });

  it('a cancel that is told twice cancels once', async () => {
    const flow = await begin(async () => {
      const first = await call('one').catch(() => 'cancelled');
      return [first, await call('two').catch(() => 'cancelled too')];
    });
    await flow.commit();
    flow.store.cancel();
    const [mail] = flow.store.mail(new Set());
    for (let n = 0; n < 3; n++) flow.thread.postMail(mail as Mail);
    await turns(5);
    for (let n = 0; n < 3; n++) flow.thread.postMail(mail as Mail);
    await flow.commit();
    expect(flow.entries[1]).toEqual(['cancel']);
    expect(flow.worker.commits).toHaveLength(0);
    await flow.done(1, 2);
    await flow.commit();
    expect(flow.store.closing?.result).toBe('["cancelled",2]');
  });

  it('what nobody waits for any more is taken in without a step', async () => {
    const flow = await begin(() => Promise.race([workflow.sleep('1h'), call('one').catch(() => call('two'))]));
    await flow.commit();
    flow.store.cancel();
    flow.store.finishTask(1, { ok: true, text: '"too late"' });
    flow.worker.fetchMail();
    await turns(5);
    await flow.commit();
    expect(flow.store.inbox.size).toBe(0);
    expect(flow.entries[1]).toEqual(['cancel']);
  });
});

describe('a parked thread', () => {
  const parked = async (run: SimulatedFunction) => {
    const flow = await SimulatedWorkflow.begin(run);
    expect(flow.worker.park()).toBe(true);
    expect(flow.worker.thread).toBeNull();
    return flow;
  };

  it('goes on from the cache, without a replay', async () => {
    const flow = await parked(async () => [await call('one'), await call('two')]);
    flow.store.finishTask(0, { ok: true, text: '1' });
    flow.worker.claim();
    await flow.settle();
    await flow.complete('two', 2);
    expect(flow.ending?.value).toEqual([1, 2]);
    expect(flow.instances).toHaveLength(1);
  });

  it('is replayed when somebody else went on with it meanwhile', async () => {
    const flow = await parked(async () => [await call('one'), await call('two')]);
    const cached = flow.worker.parked;
    flow.worker.parked = null;
    flow.worker.claim();
    await flow.settle();
    await flow.complete('one', 1);
    flow.worker.lose();
    flow.worker.parked = cached;
    flow.worker.claim();
    await flow.settle();
    expect(cached?.stage).toBe('gone');
    await flow.complete('two', 2);
    expect(flow.ending?.value).toEqual([1, 2]);
  });

  it('is wanted back when its code makes a late command', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const flow = await parked(() => Promise.all([gate.then(() => call('late')), call('one')]));
    open();
    await turns(3);
    expect(flow.worker.wanted).toBe(true);
    expect(flow.commands).toEqual(['activity one']);
    flow.worker.claim();
    await flow.settle();
    expect(flow.story.at(-1)).toBe('late: activity late');
  });

  it('is not parked when it has mail, which it gets', async () => {
    const flow = await SimulatedWorkflow.begin(() => call('one'));
    flow.store.finishTask(0, { ok: true, text: '1' });
    expect(flow.worker.park()).toBe(false);
    await flow.settle();
    expect(flow.ending?.value).toBe(1);
  });

  it('keeps what is posted while it is decided whether it is parked', async () => {
    const flow = await begin(() => call('one'), { eager: true });
    await flow.commit();
    const { thread } = flow;
    thread.suspend();
    const told: string[] = [];
    thread.afterSuspension(
      0,
      () => told.push('parked'),
      () => told.push('here'),
    );
    expect(told).toEqual([]);
    expect(thread.settles(0)).toBe(true);
    thread.unsuspend();
    expect(told).toEqual(['here']);
    expect(thread.settles(0)).toBe(false);
    thread.afterSuspension(
      0,
      () => told.push('parked'),
      () => told.push('here too'),
    );
    expect(told).toEqual(['here', 'here too']);
    thread.suspend();
    thread.afterSuspension(
      0,
      () => told.push('parked'),
      () => told.push('here'),
    );
    thread.park();
    expect(told.at(-1)).toBe('parked');
  });
});

describe('a history', () => {
  it('that cannot be read blocks the thread', async () => {
    const flow = await SimulatedWorkflow.begin(() => call('one'));
    const row = flow.store.rows[0] as { body: string };
    row.body = 'v1:encrypted';
    await flow.crash();
    expect(flow.blocked).toBeInstanceOf(PayloadCodecError);
  });

  it('ends with the entry that closes the thread', async () => {
    const flow = await SimulatedWorkflow.begin(async () => 'done');
    expect(flow.store.rows.map(({ closes }) => closes)).toEqual([true]);
    expect(flow.worker.thread).toBeNull();
  });

  it('is left alone by a thread that is dropped while it is read', async () => {
    const flow = await SimulatedWorkflow.begin(() => call('one'));
    flow.worker.kill();
    flow.worker.claim();
    const { thread, recovering } = flow.worker;
    flow.worker.kill();
    await recovering;
    await turns(3);
    expect(thread?.stage).toBe('gone');
    expect(flow.blocked).toBeNull();
    await flow.crash();
    await flow.complete('one', 1);
    expect(flow.ending?.value).toBe(1);
  });
});

describe('a retry that is due', () => {
  it('comes behind what is delivered in the same moment, and knows of it', async () => {
    const flow = await SimulatedWorkflow.begin(
      ({ info }) =>
        Promise.all([
          (async () => {
            if (info.attempt === 1) throw new Error('not yet');
          })(),
          (async () => [await call('one'), await call('two')])(),
        ]),
      { retry: { maximumAttempts: 1 } },
    );
    flow.store.finishTask(flow.op('one'), { ok: true, text: '1' });
    flow.worker.fetchMail();
    await flow.fire();
    expect(flow.story).toEqual(['start: activity one, retry', 'done 0', 'retry 1: activity two']);
    await flow.crash();
    await flow.complete('two', 2);
    expect(flow.ending?.value).toEqual([null, [1, 2]]);
  });

  it('comes in front of what is delivered behind it', async () => {
    const flow = await SimulatedWorkflow.begin(
      async ({ info }) => {
        const one = call('one');
        if (info.attempt === 1) throw new Error('not yet');
        return [await one, await call('two')];
      },
      { retry: { maximumAttempts: 1 } },
    );
    flow.store.now = flow.store.nextDue;
    flow.worker.fireDue();
    flow.store.finishTask(flow.op('one'), { ok: true, text: '1' });
    flow.worker.fetchMail();
    await flow.settle();
    expect(flow.story).toEqual(['start: activity one, retry', 'retry 1', 'done 0: activity two']);
  });
});

describe('activities of a process', () => {
  it('that ended run again in the next, unless they are done', async () => {
    const flow = await SimulatedWorkflow.begin(() => Promise.all([call('one'), call('two')]), { eager: true });
    await flow.complete('one', 1);
    await flow.crash();
    expect([...flow.worker.eager]).toEqual([1]);
    await flow.complete('two', 2);
    expect(flow.ending?.value).toEqual([1, 2]);
  });

  it('start when the entry that scheduled them is durable, not before', async () => {
    const flow = await begin(() => call('one'), { eager: true });
    expect(flow.worker.eager.size).toBe(0);
    await flow.commit();
    expect(flow.worker.eager.size).toBe(1);
  });

  it('are aborted when the workflow is cancelled', async () => {
    const flow = await SimulatedWorkflow.begin(
      () => Promise.all([call('one').catch(() => {}), workflow.CancellationScope.nonCancellable(() => call('two'))]),
      { eager: true },
    );
    await flow.cancel();
    expect([...flow.worker.eager]).toEqual([1]);
  });
});
