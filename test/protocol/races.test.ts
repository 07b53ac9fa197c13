/** Two calls against each other, one stopped at each of its points. See test/support/pause-race.ts. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PausableDatabase, pausePoints } from '../support/pause.js';
import { explain, runRace } from '../support/pause-race.js';
import { races } from '../support/protocol-races.js';
import type { Session } from '../support/protocol-session.js';

describe('whoever comes first', () => {
  let database: PausableDatabase;
  let sessions: { one: Session; other: Session };
  let interleavings = 0;

  beforeAll(async () => {
    database = await PausableDatabase.open();
    sessions = { one: await database.session(), other: await database.session() };
  });
  afterAll(async () => {
    console.log(`${races.length} races, ${interleavings} interleavings, ${pausePoints.length} points`);
    await database.close();
  });

  it.each(races.map((race) => [race.name, race] as const))('%s', async (_, race) => {
    const report = await runRace(database, sessions, race);
    interleavings += report.interleavings;
    expect(explain(report)).toBe('');
  });
});
