import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ConnectPacer } from './connect-pacer.js';
import { Patience } from './patience.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('asks an unreachable server once a second, however many lanes want to connect', async () => {
  const { server, lanes, attempts } = eightLanes();
  await vi.advanceTimersByTimeAsync(5_000);
  const before = attempts.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(attempts.length - before).toBeGreaterThan(35);
  expect(attempts.length - before).toBeLessThanOrEqual(61);
  server.up = true;
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await Promise.all(lanes)).toHaveLength(8);
});

it('lets everybody connect as soon as one could', async () => {
  const { server, lanes } = eightLanes();
  await vi.advanceTimersByTimeAsync(20_000);
  server.up = true;
  await vi.advanceTimersByTimeAsync(2_000);
  const connectedAt = await Promise.all(lanes);
  expect(Math.max(...connectedAt) - Math.min(...connectedAt)).toBeLessThan(5);
});

function eightLanes() {
  const server = { up: false };
  const attempts: number[] = [];
  const pacer = new ConnectPacer(undefined);
  const open = async () => {
    attempts.push(performance.now());
    if (!server.up) throw new Error('connect ECONNREFUSED');
  };
  const lane = async () => {
    const patience = new Patience({});
    for (;;) {
      await pacer.turn(patience);
      const connected = await pacer.attempt(open).then(
        () => true,
        () => false,
      );
      if (connected) return performance.now();
    }
  };
  return { server, attempts, lanes: Array.from({ length: 8 }, lane) };
}
