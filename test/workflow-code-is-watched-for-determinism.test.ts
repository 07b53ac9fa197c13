import { execFileSync } from 'node:child_process';
import nodeCrypto, { randomFillSync, randomUUID } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import type { EventEmitter } from 'node:events';
import fs, { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as pauseFor } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { nanoid } from 'nanoid';
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { Durable, Errors, proxyActivities, type Worker, type WorkerTuning, workflow } from '../src/index.js';
import { Engine, kept, pause, replayed, retryAtOnce } from './support/worker.js';

const here = fileURLToPath(import.meta.url);

/** What is only opened to see that it is told of. Nothing listens there. */
const dropped = (opened: EventEmitter & { destroy(): unknown }) => opened.on('error', () => {}) && opened.destroy();

/** Every watched call, with what is said about it. Each stands on a line of its own. */
const calls: Record<string, [() => unknown, told: string, instead: string]> = {
  now: [() => Date.now(), 'Date.now()', 'workflow.now()'],
  newDate: [() => new Date(), 'new Date()', 'workflow.now()'],
  dateText: [() => Date(), 'Date()', 'workflow.now()'],
  performance: [() => performance.now(), 'performance.now()', 'workflow.now()'],
  random: [() => Math.random(), 'Math.random()', 'workflow.random()'],
  mapped: [() => [1].map(Math.random), 'Math.random()', 'workflow.random()'],
  timeout: [() => new Promise((resolve) => setTimeout(resolve, 1)), 'setTimeout()', 'workflow.sleep()'],
  interval: [() => clearInterval(setInterval(() => {}, 1000)), 'setInterval()', 'workflow.sleep()'],
  immediate: [() => new Promise((resolve) => setImmediate(resolve)), 'setImmediate()', 'workflow.sleep()'],
  promised: [() => pauseFor(1), 'timers/promises.setTimeout()', 'workflow.sleep()'],
  fetch: [() => fetch('data:,x'), 'fetch()', 'an activity'],
  uuid: [() => crypto.randomUUID(), 'crypto.randomUUID()', 'uuid4()'],
  nodeUuid: [() => randomUUID(), 'crypto.randomUUID()', 'uuid4()'],
  bytes: [() => nodeCrypto.randomBytes(4), 'crypto.randomBytes()', 'workflow.random()'],
  file: [() => readFileSync(here, 'utf8'), 'fs.readFileSync()', 'an activity'],
  exists: [() => fs.existsSync(here), 'fs.existsSync()', 'an activity'],
  hrtime: [() => process.hrtime(), 'process.hrtime()', 'workflow.now()'],
  nanoseconds: [() => process.hrtime.bigint(), 'process.hrtime.bigint()', 'workflow.now()'],
  limit: [() => AbortSignal.timeout(1), 'AbortSignal.timeout()', 'CancellationScope.withTimeout()'],
  filled: [() => randomFillSync(Buffer.alloc(2)), 'crypto.randomFillSync()', 'workflow.random()'],
  stream: [() => fs.createReadStream(here).destroy(), 'fs.createReadStream()', 'an activity'],
  request: [() => dropped(request({ host: '127.0.0.1', port: 1 })), 'http.request()', 'an activity'],
  socket: [() => dropped(connect(1, '127.0.0.1')), 'net.connect()', 'an activity'],
  resolved: [() => lookup('127.0.0.1'), 'dns/promises.lookup()', 'an activity'],
  program: [() => execFileSync('true').length, 'child_process.execFileSync()', 'an activity'],
  promisedFile: [() => readFile(here), 'fs.promises.readFile()', 'an activity'],
};

const kindOf = (value: unknown) => (value instanceof Date ? 'a Date' : typeof value);

const activities = {
  async callAll() {
    for (const [call] of Object.values(calls)) await call();
    return 'called';
  },
  async nothing() {},
};
const { callAll, nothing } = proxyActivities<typeof activities>();

const workflows = {
  /** Makes the call before and behind a wait, which in one tempo is replayed. */
  async makes(name: keyof typeof calls) {
    const [call] = calls[name] as [() => unknown, string, string];
    const first = kindOf(await call());
    await nothing();
    await workflow.sleep(20);
    return [first, kindOf(await call())];
  },
  async clean() {
    await Promise.all([callAll(), workflow.sleep(10), workflow.condition('never', 20)]);
    await workflow.signal('to-nobody', workflow.random());
    return [workflow.uuid4(), workflow.now(), new Date(5).getTime(), Date.UTC(2026, 1), Date.parse('2026-01-01')]
      .length;
  },
  async byPackage() {
    return nanoid().length > 0 && structuredClone(new Date(7)).getTime();
  },
  async strictly(name: keyof typeof calls) {
    attempts++;
    return await (calls[name] as [() => unknown, string, string])[0]();
  },
};
let attempts = 0;

let stderr: MockInstance<typeof process.stderr.write>;
const warnings = () =>
  stderr.mock.calls.map(([text]) => String(text)).filter((text) => text.includes('differs in a replay'));

beforeEach(() => {
  stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(() => {
  stderr.mockRestore();
});

async function withWorker(
  options: WorkerTuning,
  test: (engine: Engine, worker: Worker) => Promise<void>,
  tempo = kept,
): Promise<void> {
  const engine = await Engine.withoutWorker(tempo);
  try {
    const worker = await engine.addWorker({
      workflow: workflows,
      activities,
      options: { logLevel: 'warn', ...options },
    });
    await test(engine, worker);
  } finally {
    await engine.close();
  }
}

/** The line of this file on which a call stands. */
function lineOf(name: string): number {
  const lines = fs.readFileSync(here, 'utf8').split('\n');
  return 1 + lines.findIndex((line) => line.startsWith(`  ${name}: [`));
}

describe('workflow code that asks for what differs in a replay', () => {
  it('is warned once for each place, with line and alternative, and gets what it asked for', async () => {
    for (const tempo of [kept, replayed]) {
      await withWorker(
        {},
        async (engine) => {
          const kinds = await Promise.all(Object.keys(calls).map((name) => engine.run<string[]>('makes', [name])));
          expect(kinds).toEqual(
            await Promise.all(Object.values(calls).map(async ([call]) => Array(2).fill(kindOf(await call())))),
          );
        },
        tempo,
      );
      const told = warnings();
      for (const [name, [, call, instead]] of Object.entries(calls)) {
        const place = `${here}:${lineOf(name)}:`;
        const about = told.filter((text) => text.includes(place));
        expect(about, name).toHaveLength(1);
        expect(about[0], name).toContain(`${call} in a workflow differs in a replay, at `);
        expect(about[0], name).toContain(`. Use `);
        expect(about[0]?.split('. Use ')[1], name).toContain(instead);
      }
      expect(told).toHaveLength(Object.keys(calls).length); // also behind the second tempo: once for the process
    }
  });

  it('is ended at once in strict mode, by an error that says the same', async () => {
    await withWorker({ determinism: 'strict' }, async (engine) => {
      for (const name of ['now', 'random', 'timeout', 'file', 'fetch']) {
        attempts = 0;
        const error = await engine.failure(await engine.start('strictly', [name], { config: retryAtOnce }));
        expect(error).toMatchObject({ name: 'DeterminismError', code: 598 });
        expect(error.message).toContain(`${here}:${lineOf(name)}:`);
        expect(attempts).toBe(1);
      }
      expect(await engine.run('clean')).toBe(5);
      expect(await engine.run('byPackage')).toBe(7);
    });
    expect(Errors.errorEntry('DeterminismError')?.family).toBe('misuse');
  });
});

describe('nothing is said', () => {
  it('of activities, of other code, of the engine and of packages', async () => {
    await withWorker({ parkAfter: 0, maxCachedWorkflows: 0 }, async (engine) => {
      const runs = Promise.all(Array.from({ length: 5 }, () => engine.run('clean')));
      for (let i = 0; i < 5; i++) await activities.callAll();
      expect(await runs).toEqual([5, 5, 5, 5, 5]);
      expect(await engine.run('byPackage')).toBe(7);
    });
    expect(warnings()).toEqual([]);
  });

  it('of interceptors, which may measure and log, but of the workflow within them', async () => {
    const engine = await Engine.withoutWorker();
    try {
      const times: number[] = [];
      await engine.addWorker({
        workflow: {
          async measured() {
            await nothing();
            return Date.now();
          },
        },
        activities,
        options: { determinism: 'strict', logLevel: 'silent' },
        interceptors: {
          inbound: [
            {
              async execute(_ctx, next) {
                times.push(Date.now());
                return await next().catch((error: Error) => error.name);
              },
            },
          ],
          outbound: [
            {
              async execute(_call, _ctx, next) {
                times.push(Date.now());
                return await next().finally(() => times.push(Date.now()));
              },
            },
          ],
        },
      });
      expect(await engine.run('measured')).toBe('DeterminismError');
      expect(times).toHaveLength(3);
    } finally {
      await engine.close();
    }
  });

  it.each([
    ['determinism: off', { determinism: 'off' }, undefined],
    ['NODE_ENV=production', {}, 'production'],
  ] as const)('with %s', async (_what, options, env) => {
    const before = process.env.NODE_ENV;
    if (env !== undefined) process.env.NODE_ENV = env;
    try {
      const { now } = Date;
      await withWorker({ ...options, logLevel: 'warn' }, async (engine) => {
        expect(Date.now).toBe(now); // nothing was put in its place
        expect(await engine.run('makes', ['now'])).toEqual(['number', 'number']);
      });
    } finally {
      process.env.NODE_ENV = before;
    }
    expect(warnings()).toEqual([]);
  });
});

describe('what stands in place of the watched functions', () => {
  const originals = () => ({
    Date,
    now: Date.now,
    constructor: Date.prototype.constructor,
    random: Math.random,
    performance: performance.now,
    setTimeout,
    setInterval,
    setImmediate,
    fetch,
    randomUUID: crypto.randomUUID,
    nodeRandomUUID: nodeCrypto.randomUUID,
    imported: [randomUUID, readFileSync, readFile, pauseFor, request, connect, lookup, execFileSync],
    hrtime: process.hrtime,
    nanoseconds: process.hrtime.bigint,
    readFile: fs.readFile,
  });

  it('is there as long as a worker wants it, and is taken back behind the last one', async () => {
    const before = originals();
    await withWorker({}, async (engine, first) => {
      const during = originals();
      for (const [name, original] of Object.entries(before))
        expect((during as Record<string, unknown>)[name], name).not.toEqual(original);
      const second = await engine.addWorker({ workflow: workflows, options: { determinism: 'warn' } });
      await first.stop();
      expect(originals()).toEqual(during);
      await second.stop();
      expect(originals()).toEqual(before);
      await second.stop();
    });
    expect(originals()).toEqual(before);
  });

  it('is not put there by a worker that cannot connect, or runs activities only', async () => {
    const before = originals();
    const pool = await Engine.withoutWorker();
    await pool.addActivityWorker('pool', activities);
    expect(originals()).toEqual(before);
    await pool.close();
    const connection = { class: class Nothing {}, options: {} };
    await expect(Durable.Worker.create({ connection, taskQueue: 'q', workflow: workflows })).rejects.toThrow();
    expect(originals()).toEqual(before);
  });

  it('leaves alone what somebody put there later', async () => {
    const before = originals();
    const faked = () => 42;
    await withWorker({}, async () => {
      Date.now = faked;
      vi.stubGlobal('setTimeout', faked);
    });
    try {
      expect(setTimeout).toBe(faked);
      expect(originals()).toMatchObject({ random: before.random, readFile: before.readFile });
    } finally {
      vi.unstubAllGlobals();
    }
    // What was put on top of ours is put back by whoever did it; ours then passes on, and says nothing.
    await pause(1);
    globalThis.setTimeout = before.setTimeout;
    expect(originals()).toEqual(before);
  });

  it('behaves as before', async () => {
    const earlier = new Date(1);
    class Later extends Date {}
    await withWorker({}, async () => {
      expect(await promisify(setTimeout)(1, 'value')).toBe('value');
      const date = new Date(2026, 1, 3);
      expect([date instanceof Date, earlier instanceof Date, new Later() instanceof Date]).toEqual([true, true, true]);
      expect(new Later()).toBeInstanceOf(Later);
      class Inner extends Date {
        readonly extra = 1;
      }
      expect(new Inner(5)).toMatchObject({ extra: 1 });
      expect(new Inner(5).getTime()).toBe(5);
      expect([date.constructor === Date, Date.name, Date.length, typeof Date()]).toEqual([true, 'Date', 7, 'string']);
      expect(Object.prototype.toString.call(date)).toBe('[object Date]');
      expect(new Date(date)).toEqual(date);
      const read = new Date();
      expect(Math.abs(Date.now() - read.getTime())).toBeLessThan(1000);
    });
    expect(new Later()).toBeInstanceOf(Date);
  });
});
