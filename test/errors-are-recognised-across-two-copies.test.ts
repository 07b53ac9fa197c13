import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import * as own from '../src/index.js';
import { describeInBothTempos, retryAtOnce } from './support/worker.js';

/** The built package, copied: other files, other modules, other classes, as when a dependency brings its own. */
const folder = mkdtempSync(join(fileURLToPath(new URL('../node_modules', import.meta.url)), '.second-copy-'));
cpSync(fileURLToPath(new URL('../dist', import.meta.url)), join(folder, 'dist'), { recursive: true });
cpSync(fileURLToPath(new URL('../package.json', import.meta.url)), join(folder, 'package.json'));
const other = (await import(/* @vite-ignore */ pathToFileURL(join(folder, 'dist/index.js')).href)) as typeof own;
afterAll(() => rmSync(folder, { recursive: true }));

type ErrorClass = (abstract new (...args: never) => Error) & { readonly name: string };

const isErrorClass = (value: unknown): value is ErrorClass =>
  typeof value === 'function' && (value as { prototype?: unknown }).prototype instanceof Error;

const classesOf = (copy: typeof own): [string, ErrorClass][] =>
  Object.entries(copy.Errors as Record<string, unknown>).flatMap(([name, value]): [string, ErrorClass][] =>
    isErrorClass(value) ? [[name, value]] : [],
  );

/** An instance as a stored failure brings it back: its constructor is not asked. */
const instanceOf = (errorClass: ErrorClass): Error => Object.create(errorClass.prototype) as Error;

describe('every class', () => {
  const others = new Map(classesOf(other));

  it('of one copy is another one of the second', () => {
    expect(others.size).toBeGreaterThan(20);
    expect([...others.keys()].sort()).toEqual(
      classesOf(own)
        .map(([name]) => name)
        .sort(),
    );
    for (const [name, errorClass] of classesOf(own)) expect(others.get(name), name).not.toBe(errorClass);
  });

  it.each(classesOf(own))('%s is recognised in both directions, with its bases, and is nothing else', (name, mine) => {
    const theirs = others.get(name) as ErrorClass;
    const ancestors = new Set<string>();
    for (let at: unknown = mine; isErrorClass(at); at = Object.getPrototypeOf(at)) ancestors.add(at.name);
    for (const [candidateName, candidate] of classesOf(own)) {
      const isOne = ancestors.has(candidate.name);
      expect(instanceOf(theirs) instanceof candidate, `their ${name} as our ${candidateName}`).toBe(isOne);
      expect(instanceOf(mine) instanceof (others.get(candidateName) as ErrorClass), `our ${name} as theirs`).toBe(
        isOne,
      );
    }
    expect(new Error('x') instanceof theirs).toBe(false);
  });
});

const attempts = new Map<string, number>();
const count = (key: string) => attempts.set(key, (attempts.get(key) ?? 0) + 1);

class TheirOwn extends other.Errors.DurableFatalError {
  override readonly name = 'TheirOwn';
  readonly detail = 7;
}

const thrown = {
  fatal: () => new other.Errors.DurableFatalError('theirs'),
  maxed: () => new other.Errors.DurableMaxedError('theirs'),
  subclass: () => new TheirOwn('theirs', { cause: new RangeError('below') }),
  cancelled: () => new other.Errors.CancelledFailure('theirs'),
};

const activities = {
  async throws(key: string, what: keyof typeof thrown) {
    count(key);
    throw thrown[what]();
  },
};
const { throws } = own.proxyActivities<typeof activities>();

/** How an error looks to code that uses either copy. */
function seen(error: unknown) {
  return {
    ours: error instanceof own.Errors.DurableFatalError,
    theirs: error instanceof other.Errors.DurableFatalError,
    name: (error as Error).name,
    message: (error as Error).message,
    cause: ((error as Error).cause as Error | undefined)?.name,
  };
}

const workflows = {
  async catches(key: string, what: keyof typeof thrown) {
    return await throws(key, what).catch(seen);
  },
  async fails(key: string, what: keyof typeof thrown) {
    count(key);
    throw thrown[what]();
  },
  async catchesChild(key: string, what: keyof typeof thrown) {
    return await own.workflow.executeChild({ workflowName: 'fails', args: [key, what] }).catch(seen);
  },
  async catchesHook(key: string, what: keyof typeof thrown) {
    return await own.workflow.execHook({ taskQueue: 'test', workflowName: 'fails', args: [key, what] }).catch(seen);
  },
  async isCancelled() {
    return await own.workflow.sleep('1 hour').then(
      () => 'slept',
      (error: unknown) => [other.workflow.isCancellation(error), error instanceof other.Errors.CancelledFailure],
    );
  },
};

describeInBothTempos('an error of another copy', { workflow: workflows, activities }, (engine, tempo) => {
  it.each([
    ['fatal', { ours: true, theirs: true, name: 'DurableFatalError', message: 'theirs', cause: undefined }],
    ['maxed', { ours: false, theirs: false, name: 'DurableMaxedError', message: 'theirs', cause: undefined }],
    ['subclass', { ours: true, theirs: true, name: 'TheirOwn', message: 'theirs', cause: 'RangeError' }],
  ] as const)('(%s) is final for an activity, a workflow, a child and a hook', async (what, expected) => {
    const key = `${tempo.name} ${what}`;
    const options = { config: retryAtOnce };
    expect(await engine().run('catches', [`${key} activity`, what], options)).toEqual(expected);
    const error = await engine().failure(await engine().start('fails', [`${key} workflow`, what], options));
    expect(seen(error)).toEqual(expected);
    if (what === 'subclass') expect(error.detail).toBe(7);
    expect(await engine().run('catchesChild', [`${key} child`, what], options)).toEqual(expected);
    expect(await engine().run('catchesHook', [`${key} hook`, what], options)).toEqual(expected);
    for (const by of ['activity', 'workflow', 'child', 'hook']) expect(attempts.get(`${key} ${by}`), by).toBe(1);
  });

  it('is a cancellation to both', async () => {
    const handle = await engine().start('isCancelled');
    await engine().waits(handle);
    await handle.cancel();
    expect(await engine().result(handle)).toEqual([true, true]);
    const key = `${tempo.name} cancelled`;
    const error = await engine().failure(await engine().start('fails', [key, 'cancelled'], { config: retryAtOnce }));
    expect(error).toBeInstanceOf(own.Errors.CancelledFailure);
    expect(error).toBeInstanceOf(other.Errors.CancelledFailure);
    expect(attempts.get(key)).toBe(1);
  });
});
