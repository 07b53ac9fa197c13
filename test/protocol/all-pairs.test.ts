/**
 * Everything against everything, in one scene: see test/support/protocol-scene.ts. The gate runs every ninth pair;
 * PERDURE_ALL_PAIRS=1 runs them all, PERDURE_ALL_PAIRS=3/8 the third eighth of them, so that a full run may be made in pieces.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PausableDatabase } from '../support/pause.js';
import { explain, runRace } from '../support/pause-race.js';
import { functionsOfScene, sceneRaces } from '../support/protocol-scene.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';

const [slice, slices] = sliceOf(process.env.PERDURE_ALL_PAIRS ?? '1/9');
const chosen = sceneRaces.filter((_, index) => index % slices === slice - 1);

/** @param text `k/n`: every n-th pair, from the k-th on; `1`: all. */
function sliceOf(text: string): readonly [number, number] {
  const [k = 0, n = 1] = text.split('/').map(Number);
  if (!(Number.isInteger(k) && Number.isInteger(n) && k >= 1 && k <= n))
    throw new Error(`PERDURE_ALL_PAIRS must be 1 or k/n with 1 <= k <= n; got ${text}`);
  return [k, n];
}

/** Functions that write and are not in the scene, and why. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  begin_write: 'is called by all others',
  create_entity_index: 'administration: changes no row',
  create_search_index: 'administration: changes no row',
  declare_workflow: 'makes a service, which is never changed; starts in opposite order do so too: lock-order.test.ts',
  set_archiving: 'one row of its own: prune-races.ts',
  take_due_runs: 'notes of what is due, held ones skipped: prune-races.ts',
  prune_archived: 'notes of what is due, held ones skipped: prune-races.ts',
  make_due: 'inserts notes, locks nothing',
  grant_worker_role: 'administration: grants of a role, rows of their own',
  note_rotation: 'administration: a column of a role',
  revoke_worker_role: 'administration: one row of its own; retire_workers_of comes behind it',
  retire_workers_of: 'as retire_worker, for all workers of a role',
  take_over: 'of an embedded database, which has one connection',
};

describe('whoever comes first', () => {
  let database: PausableDatabase;
  let sessions: { one: Session; other: Session };
  let interleavings = 0;

  beforeAll(async () => {
    database = await PausableDatabase.open();
    sessions = { one: await database.session(), other: await database.session() };
  });
  afterAll(async () => {
    console.log(`pairs ${slice}/${slices}: ${chosen.length} of ${sceneRaces.length}, ${interleavings} interleavings`);
    await database.close();
  });

  // begin_write is what every function that writes begins with.
  it('is any of the functions that write: none was forgotten', async () => {
    const writing = await database.control.sql<{ name: string }>(
      `select distinct p.proname as name from pg_proc p
       where p.pronamespace = '${SCHEMA}'::regnamespace and p.prosrc ~ 'begin_write\\(|finish_tasks\\('`,
    );
    const inScene = new Set((await functionsOfScene(database.control)).values());
    const forgotten = writing.map(({ name }) => name).filter((name) => !inScene.has(name) && !(name in ELSEWHERE));
    expect(forgotten, 'to be added to test/support/protocol-scene.ts').toEqual([]);
  });

  it.each(chosen.map((race) => [race.name, race] as const))('%s', async (_, race) => {
    const report = await runRace(database, sessions, race);
    interleavings += report.interleavings;
    expect(explain(report)).toBe('');
  });
});
