/** One chaos run: the stage is set, faults come until their plan or the time is over, everything is brought to its end and audited. */
import { randomFrom } from '../../fixtures/programs.mjs';
import { type Audit, auditOf } from './audit.js';
import { type Fault, faultStreams, wait } from './faults.js';
import { Plan } from './plan.js';
import { type Recovery, RecoveryWatch } from './recovery.js';
import { Scene } from './scene.js';

export interface ChaosOptions {
  readonly seed: number;
  readonly leaseMs: number;
  readonly workers: number;
  readonly clients: number;
  readonly rate: number;
  readonly open: number;
  /** How many workflows they start together, also when there are no more faults. Default: until there are no more faults. */
  readonly workflows?: number;
  /** So many single faults of each name, in an order of the seed's; or, with `forMs`, any of these by these weights until that is over. */
  readonly faults: Readonly<Record<string, number>>;
  readonly forMs?: number;
  /** No fault of a plan of so many comes later than that. Default: all of it is carried out. */
  readonly atMostMs?: number;
  /** How long faults come until there is quiet. Default: 12 s with `forMs`, else there is one burst of all. */
  readonly burstMs?: number;
  readonly log: (line: string) => void;
}

export interface ChaosResult extends Audit {
  readonly injected: ReadonlyMap<string, number>;
  /** What was planned, and did not come to be. */
  readonly missing: readonly string[];
  /** Behind each burst of faults, and of each fault amid the others. */
  readonly recoveries: readonly Recovery[];
  readonly amid: readonly Recovery[];
  readonly surprises: readonly string[];
  readonly seconds: number;
}

/** When for so long no workflow has ended, those that are open are stuck. */
const QUIET_MS = 120_000;
/** Then nothing happens until all has recovered: of a fault that others follow at once nobody could say how long it took. */
const BURST_MS = 12_000;
const SHORTEST_GAP_MS = 100;
const LONGEST_GAP_MS = 900;

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, log } = options;
  const began = Date.now();
  const scene = await Scene.open({ ...options, random: randomFrom(seed) });
  const recovery = new RecoveryWatch(scene);
  const injected = new Map<string, number>();
  let lastMended = 0;
  /** @returns how many single faults there were. */
  const inject = async (name: string, fault: Fault): Promise<number> => {
    let isMending = false;
    const mends = () => {
      isMending = true;
      lastMended = Date.now();
      recovery.follow(name);
    };
    try {
      const result = await fault(scene, mends);
      if (result === null) return 0;
      const count = result.count ?? 1;
      injected.set(name, (injected.get(name) ?? 0) + count);
      log(`${clock(began)} ${name}: ${result.what}`);
      if (!isMending) mends();
      return count;
    } catch (error) {
      // Another stream may have the database down: what could not be done did not happen.
      log(`${clock(began)} ${name} was not possible: ${error instanceof Error ? error.message : error}`);
      return 0;
    }
  };
  const { forMs, atMostMs = Number.POSITIVE_INFINITY } = options;
  const burstMs = options.burstMs ?? (forMs === undefined ? Number.POSITIVE_INFINITY : BURST_MS);
  const endsAt = Date.now() + (forMs ?? atMostMs);
  const streams = faultStreams.map((faults, number) => {
    const random = randomFrom(seed + number + 1);
    const planned = Object.entries(options.faults).filter(([name]) => name in faults);
    const plan = new Plan(Object.fromEntries(planned), forMs === undefined, random);
    return async (until: number) => {
      while (Date.now() < until) {
        const name = plan.next();
        if (name === null) return true;
        await wait(SHORTEST_GAP_MS + random() * (LONGEST_GAP_MS - SHORTEST_GAP_MS));
        plan.happened(name, await inject(name, faults[name] as Fault));
      }
      return false;
    };
  });
  for (let isOver = false; !isOver; ) {
    const until = Math.min(endsAt, Date.now() + burstMs);
    const over = await Promise.all(streams.map((stream) => stream(until)));
    await recovery.burstIsOver(lastMended);
    const last = recovery.inQuiet.at(-1);
    if (last !== undefined) log(`${clock(began)} all went on ${last.ms} ms after the last fault`);
    isOver = over.every(Boolean) || Date.now() >= endsAt;
  }
  log(`${clock(began)} no more faults; what is open is brought to its end`);
  const drained = await scene.drain(QUIET_MS);
  if (!drained) log(`${clock(began)} not all has ended: ${await openThreads(scene)}`);
  const audit = await auditOf(scene);
  await scene.close();
  for (const [line, times] of errorsOf(scene)) log(`logged ${times} times: ${line}`);
  return {
    ...audit,
    injected,
    missing: missingOf(options, injected),
    recoveries: recovery.inQuiet,
    amid: recovery.amid,
    surprises: scene.surprises,
    seconds: (Date.now() - began) / 1_000,
  };
}

function missingOf({ faults, forMs }: ChaosOptions, injected: ReadonlyMap<string, number>): string[] {
  if (forMs !== undefined) return [];
  return Object.entries(faults)
    .map(([name, planned]) => ({ name, planned, happened: injected.get(name) ?? 0 }))
    .filter(({ planned, happened }) => happened < planned)
    .map(({ name, planned, happened }) => `${name}: ${happened} of ${planned}`);
}

async function openThreads(scene: Scene): Promise<string> {
  const rows = await scene.cluster.sql(
    `select e.workflow_id, e.run, t.thread_no, t.state, t.owner, t.epoch, t.ready_at, t.blocked_on, t.blocked_reason, e.args
     from thread t join execution e using (run_no) where t.state <> 'done' order by 1 limit 20`,
  );
  return JSON.stringify(rows, null, 1);
}

/** What workers logged as errors, without what differs each time: a run shows what people will read amid such faults. */
function errorsOf(scene: Scene): Map<string, number> {
  const times = new Map<string, number>();
  for (const { output } of [...scene.workers, ...scene.clients]) {
    for (const line of output.split('\n').filter((text) => text.includes(' error: ') || text.includes('Error'))) {
      const shape = line.replaceAll(/\d+|"[^"]*"/g, '0').slice(0, 200);
      times.set(shape, (times.get(shape) ?? 0) + 1);
    }
  }
  return times;
}

function clock(began: number): string {
  return `${((Date.now() - began) / 1_000).toFixed(1).padStart(6)} s`;
}
