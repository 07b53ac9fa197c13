/** One chaos run: the stage is set, faults come until their plan or the time is over, everything is brought to its end and audited. */
import { randomFrom } from '../../fixtures/programs.mjs';
import { type Audit, auditOf } from './audit.js';
import { type Fault, infrastructureFaults, processFaults, wait } from './faults.js';
import { type Recovery, RecoveryWatch } from './recovery.js';
import { Scene } from './scene.js';

export interface ChaosOptions {
  readonly seed: number;
  readonly leaseMs: number;
  readonly workers: number;
  readonly clients: number;
  readonly rate: number;
  readonly open: number;
  /** Each named fault so often, in an order of the seed's; or any of these until `forMs` is over, by these weights, in bursts. */
  readonly faults: Readonly<Record<string, number>>;
  readonly forMs?: number;
  readonly log: (line: string) => void;
}

export interface ChaosResult extends Audit {
  readonly injected: ReadonlyMap<string, number>;
  /** Behind each burst of faults, and of each fault amid the others. */
  readonly recoveries: readonly Recovery[];
  readonly amid: readonly Recovery[];
  readonly surprises: readonly string[];
  readonly seconds: number;
}

/** What is not done so long after the last fault is stuck. */
const DRAIN_MS = 120_000;
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
  let lastOver = 0;
  const inject = async (name: string, fault: Fault) => {
    try {
      const result = await fault(scene);
      if (result === null) return;
      injected.set(name, (injected.get(name) ?? 0) + (result.count ?? 1));
      log(`${clock(began)} ${name}: ${result.what}`);
      const since = result.since ?? Date.now();
      lastOver = Math.max(lastOver, since);
      recovery.follow(name, since);
    } catch (error) {
      // The other stream may have the database down: what could not be done did not happen.
      log(`${clock(began)} ${name} was not possible: ${error instanceof Error ? error.message : error}`);
    }
  };
  const streamOf = (faults: Readonly<Record<string, Fault>>, number: number) => {
    const random = randomFrom(seed + number);
    const plan = planOf(options, Object.keys(faults), random, began);
    return async (until: number) => {
      while (Date.now() < until) {
        const next = plan.next();
        if (next.done) return;
        await wait(SHORTEST_GAP_MS + random() * (LONGEST_GAP_MS - SHORTEST_GAP_MS));
        await inject(next.value, faults[next.value] as Fault);
      }
    };
  };
  const streams = [streamOf(processFaults, 1), streamOf(infrastructureFaults, 2)];
  const isOver = () => options.forMs === undefined || Date.now() - began >= options.forMs;
  do {
    const until = options.forMs === undefined ? Infinity : Date.now() + BURST_MS;
    await Promise.all(streams.map((stream) => stream(until)));
    await recovery.burstIsOver(lastOver);
    const last = recovery.inQuiet.at(-1);
    if (last !== undefined) log(`${clock(began)} all went on ${last.ms} ms after the last fault`);
  } while (!isOver());
  log(`${clock(began)} no more faults; what is open is brought to its end`);
  const drained = await scene.drain(DRAIN_MS);
  if (!drained) log(`${clock(began)} not all has ended: ${await openThreads(scene)}`);
  const audit = await auditOf(scene);
  await scene.close();
  for (const [line, times] of errorsOf(scene)) log(`logged ${times} times: ${line}`);
  return {
    ...audit,
    injected,
    recoveries: recovery.inQuiet,
    amid: recovery.amid,
    surprises: scene.surprises,
    seconds: (Date.now() - began) / 1_000,
  };
}

function* planOf(
  { faults, forMs }: ChaosOptions,
  names: readonly string[],
  random: () => number,
  began: number,
): Generator<string> {
  const bag = names.flatMap((name) => Array<string>(faults[name] ?? 0).fill(name));
  if (bag.length === 0) return;
  if (forMs === undefined) {
    while (bag.length > 0) yield bag.splice(Math.floor(random() * bag.length), 1)[0] as string;
    return;
  }
  while (Date.now() - began < forMs) yield bag[Math.floor(random() * bag.length)] as string;
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
