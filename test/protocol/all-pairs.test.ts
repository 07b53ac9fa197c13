/**
 * Everything against everything, in one scene: see test/support/protocol-scene.ts. All pairs take a minute on two free
 * cores: PERDURE_ALL_PAIRS=1. Else every third.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PausableDatabase } from '../support/pause.js';
import { explain, runRace } from '../support/pause-race.js';
import { sceneRaces } from '../support/protocol-scene.js';
import type { Session } from '../support/protocol-session.js';

const chosen = sceneRaces.filter((_, index) => process.env.PERDURE_ALL_PAIRS || index % 3 === 0);

describe('whoever comes first', () => {
  let database: PausableDatabase;
  let sessions: { one: Session; other: Session };
  let interleavings = 0;

  beforeAll(async () => {
    database = await PausableDatabase.open();
    sessions = { one: await database.session(), other: await database.session() };
  });
  afterAll(async () => {
    console.log(`${chosen.length} of ${sceneRaces.length} pairs, ${interleavings} interleavings`);
    await database.close();
  });

  it.each(chosen.map((race) => [race.name, race] as const))('%s', async (_, race) => {
    const report = await runRace(database, sessions, race);
    interleavings += report.interleavings;
    expect(explain(report)).toBe('');
  });
});
