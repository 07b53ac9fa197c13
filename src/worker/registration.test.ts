import { expect, it, vi } from 'vitest';
import { LeaseLostError } from '../core/errors.js';
import type { Lane, Query } from '../postgres/database.js';
import { SqlError } from '../postgres/sql-error.js';
import { Registration } from './registration.js';

/** A database that numbers its workers from 1. */
function begin() {
  let workers = 0;
  const query = async ({ text }: Query) =>
    text.includes('register_worker') ? [{ worker_no: ++workers, services: '[]' }] : [{}];
  const lost = vi.fn();
  const back = vi.fn();
  const registration = new Registration({
    lane: { query } as unknown as Lane,
    schema: 'durable',
    leaseMs: 10_000,
    keeper: { keep: () => {}, drop: () => {}, holds: false },
    monotonic: () => 0,
    services: () => [],
    registered: () => {},
    lost,
    back,
    failed: (error) => {
      throw error;
    },
  });
  /** It was lost so many times, and is back. */
  const isBack = async (times: number) => {
    await vi.waitFor(() => expect(back).toHaveBeenCalledTimes(times), { timeout: 20_000 });
    await new Promise((resolve) => setImmediate(resolve));
    expect(registration.workerNo).toBe(times + 1);
    expect(lost).toHaveBeenCalledTimes(times);
  };
  return { registration, isBack };
}

const told = (workerNo: number) =>
  new SqlError(Object.assign(new Error(`worker ${workerNo} has lost its lease`), { code: 'PD002', severity: 'ERROR' }));

it('that is lost comes back under a new number', async () => {
  const { registration, isBack } = begin();
  await registration.register();
  registration.lose(told(1));
  expect(registration.alive).toBe(false);
  await isBack(1);
});

it('is not lost by what comes late and speaks of the one before it', async () => {
  const { registration, isBack } = begin();
  await registration.register();
  registration.lose(told(1));
  await isBack(1);
  registration.lose(told(1));
  registration.lose(new LeaseLostError('worker 1 has lost its lease', 1));
  expect(registration.alive).toBe(true);
  await isBack(1);
});

it('is lost by what does not say whose lease it was', async () => {
  const { registration, isBack } = begin();
  await registration.register();
  registration.lose(new LeaseLostError('lost'));
  await isBack(1);
});
