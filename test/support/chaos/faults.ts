/**
 * The faults, by name. Each is begun and ended by one call, which resolves when what was broken may work again; it says what it did, or null when
 * there was nothing to break: a fault counts when it *happened*.
 */
import { readFileSync } from 'node:fs';
import pg from 'pg';
import type { Moment } from '../proxy.js';
import { sqlAt } from '../replicated-cluster.js';
import type { ChaosProcess } from './processes.js';
import { type Scene, WAL_SEGMENT_MB } from './scene.js';

export interface Injected {
  readonly what: string;
  /** How many single faults it was. Default 1. */
  readonly count?: number;
}

/**
 * @param mends Called when the disturbed can begin to recover, where that is before the fault is over: the lease of a paused worker runs
 *   meanwhile.
 */
export type Fault = (scene: Scene, mends: () => void) => Promise<Injected | null>;

/** Those of one row come one at a time; the rows go on side by side, so that faults of processes, servers and connections meet. */
export const faultStreams: readonly Readonly<Record<string, Fault>>[] = [
  { kill, killClient, workerClock, outOfMemory },
  { killAtPoint },
  { pause, blockedLoop },
  { crash, failover, replicaStalls, exhaust, pooler, databaseClock, diskFull },
  { terminate, reset, lostAnswer, blackHole, delay, deafen },
];

const POINTS = [
  ...['commit', 'claim', 'park', 'reap', 'renew_lease', 'finish_tasks'].flatMap((call) => [
    `before ${call}`,
    `behind ${call}`,
  ]),
  'in activity',
  'behind activity',
  'in workflow',
];
const MOMENTS: readonly Moment[] = ['before-forward', 'after-forward', 'at-answer'];
const AT_POINT_WITHIN_MS = 4_000;
const OUT_OF_MEMORY_WITHIN_MS = 20_000;

export const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function between(scene: Scene, least: number, most: number): number {
  return Math.round(least + scene.options.random() * (most - least));
}

function pick<T>(scene: Scene, list: readonly T[]): T | undefined {
  return list[Math.floor(scene.options.random() * list.length)];
}

/** Does it to one of them that no other fault is busy with. */
async function toOne(
  scene: Scene,
  processes: readonly ChaosProcess[],
  harm: (victim: ChaosProcess) => Promise<Injected | null>,
): Promise<Injected | null> {
  const victim = pick(
    scene,
    processes.filter(({ isSuffering }) => !isSuffering),
  );
  if (victim === undefined) return null;
  victim.isSuffering = true;
  try {
    return await harm(victim);
  } finally {
    victim.isSuffering = false;
  }
}

// ---- processes

async function kill(scene: Scene, mends: () => void): Promise<Injected | null> {
  return await killOne(scene, mends, scene.workers);
}

async function killClient(scene: Scene, mends: () => void): Promise<Injected | null> {
  return await killOne(scene, mends, scene.clients);
}

async function killOne(scene: Scene, mends: () => void, processes: readonly ChaosProcess[]): Promise<Injected | null> {
  return await toOne(scene, processes, async (victim) => {
    await victim.kill();
    mends();
    await wait(between(scene, 0, 500));
    await victim.restart();
    return { what: victim.place.way };
  });
}

async function killAtPoint(scene: Scene, mends: () => void): Promise<Injected | null> {
  const point = pick(scene, POINTS) as string;
  return await toOne(scene, scene.workers, async (victim) => {
    const hit = await victim.diesOf({ arm: point }, AT_POINT_WITHIN_MS);
    if (!hit) await victim.kill();
    mends();
    await victim.restart();
    return { what: hit ? `${victim.place.way} ${point}` : `${victim.place.way}, which did not come by "${point}"` };
  });
}

/** It has a small heap, and fills it. */
async function outOfMemory(scene: Scene, mends: () => void): Promise<Injected | null> {
  return await toOne(scene, scene.workers, async (victim) => {
    const died = await victim.diesOf({ hog: true }, OUT_OF_MEMORY_WITHIN_MS);
    if (!died) await victim.kill();
    mends();
    await victim.restart();
    return died ? { what: victim.place.way } : null;
  });
}

async function pause(scene: Scene, mends: () => void): Promise<Injected | null> {
  return await toOne(scene, scene.workers, async (victim) => {
    victim.signal('SIGSTOP');
    mends();
    await wait(scene.options.leaseMs + between(scene, 500, 3_000));
    victim.signal('SIGCONT');
    return { what: victim.place.way };
  });
}

/** Its code computes for longer than its lease. */
async function blockedLoop(scene: Scene): Promise<Injected | null> {
  return await toOne(scene, scene.workers, async (victim) => {
    const blockMs = scene.options.leaseMs + between(scene, 500, 3_000);
    victim.send({ blockMs });
    await wait(blockMs);
    return { what: `${victim.place.way} for ${blockMs} ms` };
  });
}

async function workerClock(scene: Scene): Promise<Injected | null> {
  return await toOne(scene, scene.workers, async (victim) => {
    const clockMs = between(scene, -86_400_000, 86_400_000);
    victim.send({ clockMs });
    return { what: `${victim.place.way} by ${Math.round(clockMs / 1_000)} s` };
  });
}

// ---- the database

async function crash(scene: Scene): Promise<Injected> {
  const down = between(scene, 0, 1_000);
  await scene.cluster.primary.stop('immediate');
  await wait(down);
  await scene.cluster.primary.start();
  return { what: `away for ${down} ms` };
}

async function failover(scene: Scene): Promise<Injected> {
  const began = Date.now();
  await scene.cluster.failOver();
  const promotedMs = Date.now() - began;
  scene.proxy.pointTo(scene.cluster.primary.port);
  scene.proxy.cut();
  // From here on commits wait for the new standby: nothing is acknowledged that only one has.
  await scene.cluster.rebuildStandby();
  return { what: `promoted in ${promotedMs} ms, a new standby after ${Date.now() - began} ms` };
}

async function terminate(scene: Scene): Promise<Injected | null> {
  const some = between(scene, 1, 4);
  const rows = await scene.cluster.sql(
    `select pg_terminate_backend(pid) from
       (select pid from pg_stat_activity where application_name like 'perdure %' order by random() limit $1) x`,
    [some],
  );
  return rows.length === 0 ? null : { what: `${rows.length} backends`, count: rows.length };
}

/** The standby receives nothing for a moment, and those who wait for it are told to wait no longer. */
async function replicaStalls(scene: Scene): Promise<Injected | null> {
  const [receiver] = await sqlAt<{ pid: number }>(scene.cluster.standby.url, 'select pid from pg_stat_wal_receiver');
  if (receiver === undefined) return null;
  process.kill(receiver.pid, 'SIGSTOP');
  try {
    await wait(400);
    const act = pick(scene, ['pg_cancel_backend', 'pg_terminate_backend']);
    const ended = await scene.cluster.sql(
      `select ${act}(pid) from pg_stat_activity where application_name like 'perdure %' and wait_event = 'SyncRep'`,
    );
    await wait(between(scene, 0, 1_000));
    return ended.length === 0 ? null : { what: `${act} of ${ended.length}`, count: ended.length };
  } finally {
    process.kill(receiver.pid, 'SIGCONT');
  }
}

/** Everybody's connection is taken by somebody else, who has as many as the server gives. */
async function exhaust(scene: Scene): Promise<Injected> {
  const taken: pg.Client[] = [];
  await terminate(scene);
  for (let refused = 0; refused < 3; ) {
    const client = new pg.Client(scene.cluster.primary.url);
    client.on('error', () => {});
    try {
      await client.connect();
      taken.push(client);
    } catch {
      refused++;
    }
  }
  // Who has one loses it now, and finds no other.
  scene.proxy.cut();
  await wait(between(scene, 300, 1_500));
  await Promise.all(taken.map((client) => client.end().catch(() => {})));
  return { what: `${taken.length} connections` };
}

const BLOCK = 8_192;
/** Large enough by then, or not at all. */
const LARGE_WITHIN_MS = 10_000;
const FULL_WITHIN_MS = 10_000;

/** The history cannot grow, and says so as it does on a full disk; everything else, which is smaller, can. */
async function diskFull(scene: Scene): Promise<Injected | null> {
  const { primary } = scene.cluster;
  const limit = async (bytes: number | null) => {
    const processes = await scene.cluster.sql<{ pid: number }>('select pid from pg_stat_activity');
    await primary.limitFiles(
      bytes,
      processes.map(({ pid }) => pid),
    );
  };
  const logged = readFileSync(primary.logFile).length;
  const refused = () =>
    readFileSync(primary.logFile).subarray(logged).toString().split('could not extend file').length - 1;
  const ms = between(scene, 500, 3_000);
  const client = new pg.Client({ connectionString: primary.url, options: '-c search_path=durable -c lock_timeout=2s' });
  client.on('error', () => {});
  await client.connect();
  try {
    for (const until = Date.now() + LARGE_WITHIN_MS; ; await wait(500)) {
      // It stands still meanwhile: what is longer than the limit already would not be told of a full disk.
      await client.query('begin; lock table history in share mode');
      const { rows } = await client.query<{ bytes: number; largest: number }>(
        `select pg_relation_size('history')::int as bytes, max(pg_relation_size(oid))::int as largest from pg_class`,
      );
      const { bytes, largest } = rows[0] as { bytes: number; largest: number };
      // Of the write-ahead log nothing may be refused: there Postgres would stop as in a crash.
      if (bytes === largest && bytes > WAL_SEGMENT_MB * 1_048_576) {
        await limit(bytes + BLOCK / 2); // amid a block: see limitFiles
        await client.query('commit');
        break;
      }
      await client.query('rollback');
      if (Date.now() > until) return null;
    }
    for (const until = Date.now() + FULL_WITHIN_MS; refused() === 0 && Date.now() < until; ) await wait(50);
    if (refused() > 0) await wait(ms);
  } finally {
    await client.end();
    await limit(null);
  }
  return refused() === 0 ? null : { what: `for ${ms} ms, ${refused()} statements refused` };
}

/** Far longer than it takes to replace the function, also where many wait for two cores: see Scene.trueTime(). */
const LEAST_JUMP_MS = 4_000;

/** Forward only: what was written ahead of its time would otherwise look as if it had happened after what followed it. */
async function databaseClock(scene: Scene): Promise<Injected> {
  const before = scene.databaseClock.at(-1)?.aheadMs ?? 0;
  const aheadMs = before + LEAST_JUMP_MS + between(scene, 0, 2 * scene.options.leaseMs);
  await scene.cluster.sql(
    `create or replace function clock() returns timestamptz language sql volatile
     as $$ select pg_catalog.clock_timestamp() + interval '${aheadMs} ms' $$`,
  );
  scene.databaseClock.push({ since: Date.now(), aheadMs });
  return { what: `by ${aheadMs - before} ms` };
}

// ---- the way to it

async function reset(scene: Scene): Promise<Injected | null> {
  const { connections } = scene.proxy;
  scene.proxy.cut();
  return connections === 0 ? null : { what: `${connections} connections`, count: connections };
}

/** Cuts a few connections at the moments of a call at which nobody can know whether it happened. */
async function lostAnswer(scene: Scene): Promise<Injected | null> {
  let count = 0;
  const cuts = Array.from({ length: between(scene, 2, 6) }, (_, n) => {
    const moment = pick(scene, MOMENTS) as Moment;
    // Most at commits: the rest is whatever comes.
    const matches = n % 3 === 0 ? () => true : isCommit;
    return scene.proxy.cutNextQuery(moment, matches).then(() => {
      count++;
    });
  });
  await Promise.race([Promise.all(cuts), wait(2_000)]);
  return count === 0 ? null : { what: `${count} calls`, count };
}

/** The text is sent once a connection; later queries carry the name, which ends in the function's. */
function isCommit(request: Buffer): boolean {
  const text = request.toString('latin1');
  return /durable"?[._]"?commit\b/.test(text);
}

async function blackHole(scene: Scene): Promise<Injected> {
  const ms = between(scene, 300, scene.options.leaseMs + 2_000);
  scene.proxy.blackHole(true);
  await wait(ms);
  scene.proxy.blackHole(false);
  return { what: `for ${ms} ms` };
}

async function delay(scene: Scene): Promise<Injected> {
  const ms = between(scene, 20, 300);
  scene.proxy.delayMs = ms;
  await wait(1_500);
  scene.proxy.delayMs = 0;
  return { what: `${ms} ms each way for 1.5 s` };
}

/** What was notified while nobody listened is lost. */
async function deafen(scene: Scene): Promise<Injected | null> {
  const rows = await scene.cluster.sql(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'perdure listen'`,
  );
  return rows.length === 0 ? null : { what: `${rows.length} listeners`, count: rows.length };
}

async function pooler(scene: Scene): Promise<Injected | null> {
  if (scene.pooler === null) return null;
  await scene.pooler.stop();
  await wait(between(scene, 0, 800));
  await scene.pooler.start();
  return { what: 'PgBouncer' };
}
