/** Everything against everything, in one scene: see test/support/protocol-scene.ts. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PausableDatabase } from '../support/pause.js';
import { explain, runRace } from '../support/pause-race.js';
import { sceneRaces } from '../support/protocol-scene.js';
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
    console.log(`${sceneRaces.length} pairs, ${interleavings} interleavings`);
    await database.close();
  });

  it.each(sceneRaces.map((race) => [race.name, race] as const))('%s', async (_, race) => {
    const report = await runRace(database, sessions, race);
    interleavings += report.interleavings;
    expect(explain(report)).toBe('');
  });
});
