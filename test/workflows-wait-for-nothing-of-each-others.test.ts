import { describe, expect, it } from 'vitest';
import { proxyActivities, workflow } from '../src/index.js';
import { describeInBothTempos, engineForAll, retryAtOnce } from './support/worker.js';

const loads: string[] = [];

const activities = {
  async load(key: string) {
    loads.push(key);
    return `loaded ${key}`;
  },
};
// Of the module: each call belongs to whoever makes it, as far as anybody can see.
const { load } = proxyActivities<typeof activities>();

/** What looks like a good idea: everybody gets the promise of whoever asked first. */
const remembered = new Map<string, Promise<string>>();
const askedAgain = new Set<string>();

/** One at a time, as a limiter of the process would have it. */
let tail: Promise<unknown> = Promise.resolve();
function inTurn<T>(run: () => Promise<T>): Promise<T> {
  const mine = tail.then(run, run);
  tail = mine.catch(() => {});
  return mine;
}

/** The second one asks while the first one waits. */
async function remember(key: string, role: 'first' | 'second'): Promise<string> {
  if (role === 'first') {
    const promise = workflow.condition<string>(`go-${key}`).then(() => load(key));
    remembered.set(key, promise);
    return promise;
  }
  askedAgain.add(key);
  return remembered.get(key) as Promise<string>;
}

const workflows = {
  async goesOn(key: string, role: 'first' | 'second') {
    const value = await remember(key, role);
    await load(`${key} again`);
    return value;
  },
  async returns(key: string, role: 'first' | 'second') {
    return await remember(key, role);
  },
  async queues(key: string) {
    return await inTurn(() => load(key));
  },
  async keepsItsOwn(key: string) {
    const own = new Map<string, Promise<string>>();
    const ask = (name: string) => {
      const known = own.get(name) ?? load(name);
      own.set(name, known);
      return known;
    };
    const [one, two] = await Promise.all([ask(key), ask(key)]);
    return [one, two, await ask(`${key} again`)];
  },
};

describe('an execution that goes on because of another one', () => {
  const engine = engineForAll({ workflow: workflows, activities });

  /** The first waits for a signal; the second then waits for the first. */
  async function both(name: 'goesOn' | 'returns', key: string) {
    const first = await engine().start(name, [key, 'first']);
    await expect.poll(() => remembered.has(key)).toBe(true);
    const second = await engine().start(name, [key, 'second'], { config: retryAtOnce });
    await expect.poll(() => askedAgain.has(key)).toBe(true);
    await engine().client.workflow.signal(`go-${key}`, 'go');
    return { first, second };
  }

  it('ends with a SharedPromiseError at its next call, without retries', async () => {
    const { first, second } = await both('goesOn', 'a');
    expect(await first.result()).toBe('loaded a');
    const error = await engine().failure(second);
    expect(error).toMatchObject({ name: 'SharedPromiseError', code: 598 });
    expect(error.message).toMatch(/^load: this execution went on because of another one\. .*make one per workflow/);
    expect(loads.filter((key) => key === 'a again')).toHaveLength(1);
  });

  it('does not return what it got that way either', async () => {
    const { first, second } = await both('returns', 'b');
    expect(await first.result()).toBe('loaded b');
    expect((await engine().failure(second)).message).toMatch(/^return: this execution went on because of another/);
  });

  it('is found in a limiter of the process as well', async () => {
    const handles = await Promise.all(['d', 'e', 'f'].map((key) => engine().start('queues', [key])));
    const ends = await Promise.all(handles.map((handle) => handle.result({ throwOnError: false })));
    const failed = ends.filter((end) => end instanceof Error);
    expect(failed.map((error) => (error as Error).name)).toContain('SharedPromiseError');
  });
});

describeInBothTempos('promises of an execution', { workflow: workflows, activities }, (engine) => {
  it('may be kept and awaited as often as it likes', async () => {
    expect(await engine().run('keepsItsOwn', ['own'])).toEqual(['loaded own', 'loaded own', 'loaded own again']);
  });
});
