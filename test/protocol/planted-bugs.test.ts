/**
 * Whether the tests would notice: bugs are planted into the functions one by one, and a check must turn red for each.
 * The same checks pass on the functions as they are, and the races in races.test.ts.
 */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PausableDatabase } from '../support/pause.js';
import { plant, plantedBugs } from '../support/protocol-bugs.js';
import { checks, raceOf } from '../support/protocol-checks.js';
import type { Stage } from '../support/stage.js';

let stage: Stage;

beforeAll(async () => {
  const database = await PausableDatabase.open();
  const [one, other, holder] = [await database.session(), await database.session(), await database.session()];
  stage = { database, control: database.control, one, other, holder };
});
afterAll(() => stage.database.close());
beforeEach(() => stage.database.reset());

describe('the functions as they are', () => {
  it.each(Object.entries(checks))('%s', async (_, check) => {
    await check(stage);
  });
});

describe('a planted bug is caught:', () => {
  const caught: string[] = [];
  afterAll(() => console.log(`Planted bugs caught: ${caught.length} of ${plantedBugs.length}`));

  it.each(plantedBugs.map((bug) => [bug.name, bug] as const))('%s', async (name, bug) => {
    const takeOut = await plant(stage.database, bug);
    try {
      const check = checks[bug.caughtBy] ?? raceOf(bug.caughtBy);
      const failure = await check(stage).then(
        () => null,
        (error: unknown) => error,
      );
      expect(failure, `not noticed by: ${bug.caughtBy}`).not.toBeNull();
      expect(`${failure} ${JSON.stringify(failure)}`, 'what was planted does not even run').not.toMatch(
        /"(code|error)":"42/,
      );
      caught.push(name);
    } finally {
      await stage.database.reset();
      await takeOut();
    }
  });
});
