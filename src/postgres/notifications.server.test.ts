/** Needs a server. */
import pg from 'pg';
import { describe, expect, inject, it, vi } from 'vitest';
import { createDatabase } from '../../test/support/database.js';
import { openDatabase } from './connection.js';
import { ANYTHING, openNotifier } from './notifications.js';

const soon = (holds: () => void) => vi.waitFor(holds, { timeout: 20_000 });

const hasServer = (inject('cluster') as unknown) !== undefined;

describe.skipIf(!hasServer)('hints', () => {
  it('reach other processes, each once, also after the connection was cut', async () => {
    const test = await createDatabase();
    // Two databases stand for two processes.
    const sides = ['one', 'other'].map((name) => {
      const options = { connectionString: test.url, fallback_application_name: name };
      const database = openDatabase({ class: pg.Client, options });
      const notifier = openNotifier(database, 'durable');
      const heard: string[] = [];
      notifier.subscribe((hint) => heard.push(hint));
      return { database, notifier, heard };
    });
    const [one, other] = [sides[0]!, sides[1]!];
    await soon(() => expect([one.heard, other.heard]).toEqual([[ANYTHING], [ANYTHING]]));
    // The first ones may be dropped: connecting to send them takes its time on a busy machine.
    await soon(() => {
      one.notifier.notify('q1');
      expect(other.heard.at(-1)).toBe('q1');
    });
    for (const side of sides) side.heard.length = 0;

    one.notifier.notify('q12');
    one.notifier.notify('r');
    const heard = ({ heard }: { heard: string[] }) => heard.filter((hint) => hint !== 'q1');
    await soon(() => expect(heard(other)).toEqual(['q12', 'r']));
    expect(heard(one)).toEqual(['q12', 'r']);
    for (const side of sides) side.heard.length = 0;

    const lane = one.database.lane('admin');
    await lane.query({
      text: "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'",
      values: [],
    });
    // Both: what is sent before one listens again, it never hears.
    await soon(() => expect([heard(one), heard(other)]).toEqual([[ANYTHING], [ANYTHING]]));
    // As a function does in a caller's transaction.
    await lane.query({ text: "select pg_notify('perdure_durable', 'w7')", values: [] });
    await soon(() =>
      expect([heard(one), heard(other)]).toEqual([
        [ANYTHING, 'w7'],
        [ANYTHING, 'w7'],
      ]),
    );

    await Promise.all(sides.map((side) => side.notifier.close()));
    await Promise.all(sides.map((side) => side.database.release()));
    await test.drop();
  });
});
