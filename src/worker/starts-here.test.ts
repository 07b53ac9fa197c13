/** Starts that a process takes for itself. */

import { expect, it, vi } from 'vitest';
import type { StartAnswer, StartItem } from '../postgres/protocol/executions.js';
import { ClaimNumbers } from './claim-numbers.js';
import type { HostContext } from './host-context.js';
import type { Serving } from './serving.js';
import { StartsOfProcess } from './starts-here.js';

const item = { taskQueue: 'q', workflowName: 'w', terms: null } as StartItem;
const owned = (runNo: number): StartAnswer => ({
  status: 'started',
  runNo,
  owned: { serviceNo: 7, createdMs: 0 },
});

function processWithRoomFor(limit: number) {
  const poke = vi.fn();
  const serving = {
    threads: 0,
    reservedThreads: 0,
    threadClaims: { poke },
    get freeThreads(): number {
      return limit - (this as { threads: number }).threads;
    },
  } as unknown as Serving;
  const host = {
    registration: { alive: true, workerNo: 3 },
    claims: new ClaimNumbers(),
    services: { ofWorkflow: () => ({ serving, serviceNo: 7 }) },
    closed: false,
  } as unknown as HostContext;
  const starts = new StartsOfProcess(host, (rows) => {
    serving.threads += rows.length;
  });
  return { starts, serving, poke };
}

it('keep their room from before the call, and are here when it is answered', async () => {
  const { starts, serving, poke } = processWithRoomFor(2);
  await starts.start([item, item], async (here) => {
    expect(here).toMatchObject({ workerNo: 3, services: [7] });
    expect(serving.freeThreads).toBe(0);
    return [owned(1), owned(2)];
  });
  expect(serving.freeThreads).toBe(0);
  expect(poke).not.toHaveBeenCalled();
});

it('go to whoever claims them when there is no room', async () => {
  const { starts } = processWithRoomFor(1);
  await starts.start([item, item], async (here) => {
    expect(here).toBeNull();
    return [];
  });
});

it('give back the room that they did not need, to whoever found none meanwhile', async () => {
  const { starts, serving, poke } = processWithRoomFor(1);
  await starts.start([item], async () => [{ status: 'duplicate', runNo: 1 }]);
  expect(serving.freeThreads).toBe(1);
  expect(poke).toHaveBeenCalledOnce();

  const failing = starts.start([item], async () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(serving.freeThreads).toBe(1);
  expect(poke).toHaveBeenCalledTimes(2);
});
