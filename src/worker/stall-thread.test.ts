import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { STALLED, TURNS } from '../core/stall.js';
import { type LeaseToKeep, watchFromThread } from './stall-thread.js';

/** A driver that counts, per server, into memory that its options share. Server 0 is down, where `down` says so. */
const driver = `
exports.defaults = {};
exports.Client = class {
  constructor(options) { this.is = options; }
  on() {}
  async connect() {
    Atomics.add(this.is.seen, 0, 1);
    if (this.is.down) throw new Error('down');
  }
  async query(text) {
    Atomics.add(this.is.seen, 1, 1);
    return [{}, { rows: [{ alive: !text.includes('of the dead') }] }, {}];
  }
  async end() { Atomics.add(this.is.seen, 2, 1); }
};`;

let dir: string;
let thread: Worker | null = null;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'perdure-driver-'));
  writeFileSync(join(dir, 'driver.cjs'), driver);
});

afterAll(() => rmSync(dir, { recursive: true }));

afterEach(async () => {
  await thread?.terminate();
  thread = null;
});

/** A thread that watches a loop of the test's own, and keeps one lease of a second, or of `leaseMs`. */
function begin({ down = [false], renewal = 'select 1', leaseMs = 1_000, limitMs = 60_000 } = {}) {
  const cells = new Int32Array(new SharedArrayBuffer(8));
  const until = new BigInt64Array(new SharedArrayBuffer(8));
  const servers = down.map((isDown) => ({ down: isDown, seen: new Int32Array(new SharedArrayBuffer(12)) }));
  thread = new Worker(`(${watchFromThread})(require)`, {
    eval: true,
    workerData: { cells, turnMs: 10, flagMs: leaseMs / 4 },
  });
  const failed = vi.fn();
  thread.on('error', failed);
  const target = { module: join(dir, 'driver.cjs'), servers, defaults: {} };
  const keep = (lease: LeaseToKeep['lease']) => thread?.postMessage({ key: 1, lease } satisfies LeaseToKeep);
  keep({ target, renewal, leaseMs, limitMs, lastWords: null, until });
  const count = (server: number, what: 'connects' | 'queries' | 'ends') =>
    Atomics.load(servers[server]?.seen as Int32Array, ['connects', 'queries', 'ends'].indexOf(what));
  return { cells, until, count, failed, turn: () => void Atomics.add(cells, TURNS, 1), drop: () => keep(null) };
}

it('a lease is renewed again and again while the loop stands still, and the connection ends with that', async () => {
  const { cells, until, count, failed, turn } = begin();
  await vi.waitFor(() => expect(count(0, 'queries')).toBeGreaterThan(2), 20_000);
  expect(Atomics.load(cells, STALLED)).toBe(1);
  expect(Atomics.load(until, 0)).toBeGreaterThan(process.hrtime.bigint());
  expect(count(0, 'connects')).toBe(1);
  turn();
  await vi.waitFor(() => expect(count(0, 'ends')).toBe(1), 20_000);
  expect(failed).not.toHaveBeenCalled();
});

it('while the loop turns nobody connects', async () => {
  const { cells, count, turn } = begin({ leaseMs: 4_000 });
  for (let n = 0; n < 130; n++) {
    turn();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect([Atomics.load(cells, STALLED), count(0, 'connects')]).toEqual([0, 0]);
});

it('where one server does not answer the next one is asked', async () => {
  const { until, count } = begin({ down: [true, false] });
  await vi.waitFor(() => expect(count(1, 'queries')).toBeGreaterThan(0), 20_000);
  expect(count(0, 'queries')).toBe(0);
  await vi.waitFor(() => expect(Atomics.load(until, 0)).toBeGreaterThan(0n), 20_000);
});

it('a worker that was declared dead is left alone', async () => {
  const { until, count } = begin({ renewal: 'select 1 of the dead' });
  await vi.waitFor(() => expect(count(0, 'queries')).toBe(1), 20_000);
  await new Promise((resolve) => setTimeout(resolve, 600)); // two renewals would have come
  expect(count(0, 'queries')).toBe(1);
  expect(Atomics.load(until, 0)).toBe(0n);
});

it('beyond its limit a lease is not renewed', async () => {
  const { cells, count } = begin({ limitMs: 100 });
  await vi.waitFor(() => expect(Atomics.load(cells, STALLED)).toBe(1), 20_000);
  expect(count(0, 'connects')).toBe(0);
});
