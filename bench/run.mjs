/**
 * One run of the benchmark: rounds in which everything is measured once, the floor before and behind the engine, so that
 * what else the machine does touches both. Of each figure the median over the rounds counts.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { createDatabase, serverFacts } from './database.mjs';
import { measures, notMeasured } from './measures.mjs';
import { startProcess } from './process.mjs';
import { openProfile } from './profile.mjs';
import { median } from './statistics.mjs';

/**
 * @typedef {object} Options
 * @property {string} url of the server
 * @property {string[]} only
 * @property {number} rounds
 * @property {boolean} quick
 * @property {boolean} profile
 * @property {(line: string) => void} progress
 */

/** @param {Options} options */
export async function runBench({ url, only, rounds, quick, profile, progress }) {
  const names = Object.keys(measures).filter((name) => only.length === 0 || only.includes(name));
  const loadBefore = loadavg()[0] ?? 0;
  const at = new Date().toISOString();
  const database = await createDatabase(url);
  const processes = new Processes(database.url, profile ? openProfile(database.url) : null);
  /** @type {Samples} */
  const samples = new Map();
  /** @type {Set<string>} */
  const wrong = new Set();
  const measure = async (/** @type {string} */ name, /** @type {Record<string, number>} */ size) => {
    const outcome = await processes.ask(name, size);
    for (const line of outcome.wrong) wrong.add(line);
    return outcome.figures;
  };

  try {
    progress('warming up');
    for (const name of names) await measure(name, name === 'sequential' ? sizeOf(name, quick) : sizeOf(name, true));
    await processes.beginProfile();
    for (let round = 1; round <= rounds; round++) {
      progress(`round ${round} of ${rounds}`);
      for (const name of orderOf(names)) {
        note(samples, name, round, await measure(name, sizeOf(name, quick)));
      }
    }
    const whereTimeGoes = await processes.stop();
    return {
      at,
      perdure: versionOf(),
      machine: { ...machineFacts(), loadBefore, loadAfter: loadavg()[0] ?? 0 },
      server: await serverFacts(database.url),
      rounds,
      quick,
      profiled: profile,
      sizes: Object.fromEntries(names.map((name) => [name, sizeOf(name, quick)])),
      figures: figuresOf(names, samples, quick),
      wrong: [...wrong],
      notMeasured,
      ...(whereTimeGoes !== null && { whereTimeGoes }),
    };
  } finally {
    await processes.stop();
    await database.drop();
  }
}

/** @param {string} name @param {boolean} quick */
function sizeOf(name, quick) {
  const measure = /** @type {import('./measures.mjs').Measure} */ (measures[name]);
  return quick ? measure.quick : measure.size;
}

/** What is compared with the floor is measured three times in a round, with the floor before and behind each. @param {string[]} names */
function orderOf(names) {
  const behind = names.includes('floor') ? ['floor'] : [];
  return names.flatMap((name) =>
    name === 'sequential'
      ? Array(3)
          .fill([name, ...behind])
          .flat()
      : [name],
  );
}

/** Started when first asked. */
class Processes {
  #url;
  #profile;
  /** @type {Map<string, ReturnType<typeof startProcess>>} */
  #running = new Map();

  /** @param {string} url @param {ReturnType<typeof openProfile> | null} profile */
  constructor(url, profile) {
    this.#url = url;
    this.#profile = profile;
  }

  /** @param {string} name @param {Record<string, number>} size */
  async ask(name, size) {
    const { process } = /** @type {import('./measures.mjs').Measure} */ (measures[name]);
    if (process === 'caller') this.#get('engine');
    return this.#get(process).ask(name === 'floor' ? 'measure' : name, size);
  }

  async beginProfile() {
    if (this.#profile === null) return;
    await this.#running.get('engine')?.ask('forgetCalls');
    await this.#profile.begin();
  }

  /** @returns what the profile says, if there is one; null when stopped before */
  async stop() {
    const engine = this.#running.get('engine');
    const calls = this.#profile !== null && engine !== undefined ? await engine.ask('calls').catch(() => []) : [];
    const stopped = [...this.#running.values()].map((process) => process.stop());
    this.#running.clear();
    await Promise.all(stopped);
    const profile = this.#profile;
    this.#profile = null;
    return profile === null ? null : await profile.end(calls);
  }

  /** @param {'floor' | 'engine' | 'caller'} name */
  #get(name) {
    const known = this.#running.get(name);
    if (known !== undefined) return known;
    const started =
      name === 'floor'
        ? startProcess('floor.mjs', [this.#url])
        : startProcess(
            'engine.mjs',
            [this.#url, name === 'engine' ? 'worker' : 'caller'],
            name === 'engine' ? (this.#profile?.flags ?? []) : [],
          );
    this.#running.set(name, started);
    return started;
  }
}

/** By figure (`sequential.stepsPerSecond`), by round.
 * @typedef {Map<string, number[][]>} Samples */

/** @param {Samples} samples @param {string} name @param {number} round @param {Record<string, number>} figures */
function note(samples, name, round, figures) {
  for (const [figure, value] of Object.entries(figures)) {
    const key = `${name}.${figure}`;
    const byRound = samples.get(key) ?? [];
    samples.set(key, byRound);
    byRound[round - 1] = [...(byRound[round - 1] ?? []), value];
  }
}

/** @param {string[]} names @param {Samples} samples @param {boolean} quick */
function figuresOf(names, samples, quick) {
  const rounds = new Map([...samples].map(([key, byRound]) => [key, byRound.map(median)]));
  const steps = rounds.get('sequential.stepsPerSecond');
  const { steps: length = 1 } = sizeOf('sequential', quick);
  const rowsPerStep = (length + 1) / length;
  for (const [share, of] of /** @type {const} */ ([
    ['floorShare', 'rowsPerSecond'],
    ['bareFloorShare', 'bareRowsPerSecond'],
  ])) {
    const floor = rounds.get(`floor.${of}`);
    if (floor === undefined || steps === undefined) continue;
    rounds.set(
      `sequential.${share}`,
      steps.map((value, round) => (100 * rowsPerStep * value) / (floor[round] ?? Number.NaN)),
    );
  }
  return names.flatMap((name) => {
    const size = sizeOf(name, quick);
    return Object.entries(measures[name]?.figures ?? {}).flatMap(([figure, about]) => {
      const values = rounds.get(`${name}.${figure}`);
      if (values === undefined) return [];
      return [figureOf(`${name}.${figure}`, about, values, size)];
    });
  });
}

/**
 * One figure of a report.
 *
 * @param {string} name @param {import('./measures.mjs').Figure} about @param {number[]} values of each round
 * @param {Record<string, number>} size
 */
export function figureOf(name, about, values, size) {
  const value = median(values);
  return {
    name,
    ...about,
    label: about.label.replaceAll(/\{(\w+)\}/g, (_, field) => (size[field] ?? 0).toLocaleString('en')),
    median: value,
    least: Math.min(...values),
    most: Math.max(...values),
    rounds: values,
    ...(about.mark !== undefined && { reached: reaches(value, about.mark) }),
  };
}

/** @param {number} value @param {{ least?: number, most?: number }} mark */
function reaches(value, { least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY }) {
  return value >= least && value <= most;
}

export function machineFacts() {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.versions.node,
  };
}

export function versionOf() {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  try {
    const cwd = new URL('.', import.meta.url);
    const commit = execFileSync('git', ['describe', '--always', '--dirty'], { cwd, encoding: 'utf8', stdio: 'pipe' });
    return `${version} (${commit.trim()})`;
  } catch {
    return version;
  }
}
