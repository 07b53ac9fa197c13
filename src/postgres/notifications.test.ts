import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import type { Database, Query } from './database.js';
import { ANYTHING, openNotifier } from './notifications.js';

const macrotask = () => new Promise(setImmediate);

it('hears its own hints in the next macrotask, each once', async () => {
  const notifier = openNotifier(fakeDatabase().database, 's');
  const heard: string[] = [];
  notifier.subscribe((hint) => heard.push(hint));
  for (const hint of ['q1', 'q1', 'r', 'q1']) notifier.notify(hint);
  expect(heard).toEqual([]);
  await macrotask();
  expect(heard).toEqual(['q1', 'r']);
  await notifier.close();
});

it('sends hints that come together in one statement, and those that come meanwhile in the next', async () => {
  const { database, sent } = fakeDatabase();
  const notifier = openNotifier(database, 's');
  notifier.notify('q1');
  notifier.notify('q2');
  notifier.notify('q1');
  await macrotask();
  notifier.notify('w3');
  notifier.notify('q1');
  await vi.waitFor(() => expect(sent).toHaveLength(2), { timeout: 20_000 });
  expect(sent.map(hintsOf)).toEqual(['q1,q2', 'w3,q1']);
  await notifier.close();
});

it('sends at most one statement in 5 ms', async () => {
  const { database, sent } = fakeDatabase();
  const notifier = openNotifier(database, 's');
  const until = performance.now() + 200;
  for (let n = 0; performance.now() < until; n++) {
    notifier.notify(`q${n}`);
    await macrotask();
  }
  expect(sent.length).toBeLessThanOrEqual(41);
  await notifier.close();
});

it('splits what does not fit into one payload', async () => {
  const { database, sent } = fakeDatabase();
  const notifier = openNotifier(database, 's');
  for (let n = 0; n < 3_000; n++) notifier.notify(`q${1e9 + n}`);
  await vi.waitFor(() => expect(sent.flatMap((query) => hintsOf(query).split(','))).toHaveLength(3_000), {
    timeout: 20_000,
  });
  for (const query of sent) expect(payloadOf(query).length).toBeLessThan(8_000);
  await notifier.close();
});

it('keeps local hints, and all hints when notifications are off, to this process', async () => {
  const { database, sent, listen } = fakeDatabase();
  const off = openNotifier(database, 'off', { remote: false });
  const on = openNotifier(database, 'on');
  off.subscribe(() => {});
  off.notify('q1');
  on.notify('q2', { localOnly: true });
  await sleep(20);
  expect(sent).toEqual([]);
  expect(listen).not.toHaveBeenCalled();
  await Promise.all([off.close(), on.close()]);
});

it('hears hints of others, not its own that come back, and nothing that is no hint', async () => {
  const { database, sent, arrive, reconnect } = fakeDatabase();
  const notifier = openNotifier(database, 's');
  const heard: string[] = [];
  notifier.subscribe((hint) => heard.push(hint));
  notifier.notify('q1');
  await vi.waitFor(() => expect(sent).toHaveLength(1), { timeout: 20_000 });
  heard.length = 0;
  arrive(payloadOf(sent[0]!));
  arrive('other:q2,w7');
  arrive('r');
  for (const noise of ['', '*', 'other:*', 'x y', 'Q1', 'q1; drop', 'q'.repeat(100)]) arrive(noise);
  await macrotask();
  expect(heard).toEqual(['q2', 'w7', 'r']);
  reconnect();
  await macrotask();
  expect(heard.at(-1)).toBe(ANYTHING);
  await notifier.close();
});

it('is one for all who use a schema of a database, and ends with the last', async () => {
  const { database, closed } = fakeDatabase();
  const [one, other] = [openNotifier(database, 's'), openNotifier(database, 's')];
  expect(other).toBe(one);
  one.subscribe(() => {});
  await one.close();
  expect(closed).toEqual([]);
  await other.close();
  expect(closed).toEqual(['listener']);
});

it('goes on when a subscriber throws or nothing can be sent', async () => {
  const { database } = fakeDatabase(() => Promise.reject(new Error('down')));
  const warn = vi.fn();
  const notifier = openNotifier(database, 's', { logger: { info() {}, warn } });
  const heard: string[] = [];
  notifier.subscribe(() => {
    throw new Error('mine');
  });
  notifier.subscribe((hint) => heard.push(hint));
  notifier.notify('q1');
  await vi.waitFor(() => expect(warn).toHaveBeenCalledTimes(2), { timeout: 20_000 });
  expect(heard).toEqual(['q1']);
  await notifier.close();
});

const payloadOf = ({ values }: Query) => values[1] as string;
const hintsOf = (query: Query) => payloadOf(query).split(':')[1] as string;

function fakeDatabase(answer: () => Promise<unknown[]> = async () => []) {
  const sent: Query[] = [];
  const closed: string[] = [];
  let arrive: (payload: string) => void = () => {};
  let reconnect = () => {};
  const listen = vi.fn(async (_channel: string, heard: (payload: string) => void, reconnected: () => void) => {
    arrive = heard;
    reconnect = reconnected;
    return { close: async () => void closed.push('listener') };
  });
  const database = {
    kind: 'pg',
    lane: () => ({
      query: (query: Query) => {
        sent.push(query);
        return answer();
      },
      close: async () => void closed.push('lane'),
    }),
    listen,
    release: async () => {},
  } as unknown as Database;
  return { database, sent, closed, listen, arrive: (payload: string) => arrive(payload), reconnect: () => reconnect() };
}
