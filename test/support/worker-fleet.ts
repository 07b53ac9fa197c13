/** Worker processes that run programs (test/fixtures/programs.mjs), and what must be true of the programs in the end. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Client, WorkerTuning } from '../../src/index.js';
import {
  faultsOf,
  type LedgerLine,
  type Node,
  outcomeOf,
  type ProgramResult,
  repeatsIn,
  signalsOf,
} from '../fixtures/programs.mjs';
import { whenTestFinished } from './lifetime.js';
import { type Fixture, spawnFixture } from './process.js';

export interface FleetOptions {
  readonly url: string;
  readonly tuning?: WorkerTuning;
  readonly env?: Readonly<Record<string, string>>;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #dir = mkdtempSync(join(tmpdir(), 'perdure-ledger-'));
  readonly #workers = new Set<Fixture>();

  constructor(options: FleetOptions) {
    this.#options = options;
    whenTestFinished(() => rmSync(this.#dir, { recursive: true, force: true }));
  }

  get workers(): readonly Fixture[] {
    return [...this.#workers];
  }

  /**
   * One more worker process, ready. `url` instead of the fleet's: a proxy, for example. `library`: the module it works with, when it
   * is not this version's.
   */
  async add(url = this.#options.url, library?: string): Promise<Fixture> {
    const { tuning = {}, env } = this.#options;
    const worker = spawnFixture('program-worker.mjs', {
      env: {
        ...env,
        URL: url,
        LEDGER: this.#file,
        ...(library !== undefined && { LIBRARY: library }),
        TUNING: JSON.stringify({ leaseDuration: '1s', parkAfter: 50, logLevel: 'silent', ...tuning }),
      },
    });
    this.#workers.add(worker);
    await worker.waitFor(({ type }) => type === 'ready', 30_000);
    return worker;
  }

  /** SIGKILL, and gone. */
  async kill(worker: Fixture): Promise<void> {
    worker.kill();
    await worker.exited;
    this.#workers.delete(worker);
  }

  async killAll(): Promise<void> {
    await Promise.all(this.workers.map((worker) => this.kill(worker)));
  }

  /** What activities noted, so far. */
  get ledger(): LedgerLine[] {
    let text = '';
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch {
      return [];
    }
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as LedgerLine);
  }

  get #file(): string {
    return join(this.#dir, 'ledger.jsonl');
  }

  /** Starts the program and sends the signals it waits for. @returns its result, when that is there. */
  async run(client: Client, node: Node): Promise<ProgramResult> {
    const handle = await client.workflow.start({ taskQueue: 'test', workflowName: 'program', args: [node] });
    await Promise.all(signalsOf(node).map((id) => client.workflow.signal(`${handle.workflowId} ${id}`, id)));
    return await handle.result<ProgramResult>();
  }

  /** Each program gave what it gives in plain JavaScript, and the ledger shows that each result was recorded once. */
  expectOutcomes(programs: readonly Node[], results: readonly ProgramResult[], seed: number): void {
    for (const [n, node] of programs.entries()) {
      expect(results[n]?.value, `seed ${seed}, program ${n}: ${JSON.stringify(node)}`).toEqual(outcomeOf(node));
    }
    expect(faultsOf(this.ledger, results), `seed ${seed}`).toEqual([]);
  }

  /** How many runs of activities were repetitions. */
  get repeats(): number {
    return repeatsIn(this.ledger);
  }
}

/** What happened, hung on the error if the promise does not end in time. */
export async function within<T>(ms: number, promise: Promise<T>, report: () => Promise<unknown> | unknown): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(async () => {
      reject(new Error(`not within ${ms} ms: ${JSON.stringify(await report(), null, 1)}`));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
