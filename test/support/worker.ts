/**
 * An engine of a test's own: a database, a client and workers in this process, from the sources.
 *
 * Most behaviour is tested in two tempos, because parking and recovery are where a difference would hide: kept in memory
 * as users run it, and with nothing kept, so that whatever waits for long is read back from its history.
 */

import pg from 'pg';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import {
  Client,
  type Logger,
  registerActivityWorker,
  type StartOptions,
  type UserFunction,
  type UserFunctions,
  Worker,
  type WorkerInterceptors,
  type WorkerOptions,
  type WorkerTuning,
  type WorkflowHandle,
} from '../../src/index.js';
import { createMigratedDatabase, type TestDatabase } from './database.js';

export interface Tempo {
  readonly name: string;
  readonly tuning: WorkerTuning;
  /** Nothing stays in memory: what is parked is replayed when it goes on. */
  readonly forgets: boolean;
}

/** What the engine does when nobody tunes it, but for the log. */
export const kept: Tempo = { name: 'kept in memory', tuning: { logLevel: 'silent' }, forgets: false };

export const replayed: Tempo = {
  name: 'parked at once, replayed for each event',
  tuning: { logLevel: 'silent', parkAfter: 0, maxCachedWorkflows: 0 },
  forgets: true,
};

/** For errors that are to be retried at once. */
export const retryAtOnce = { initialInterval: 1, backoffCoefficient: 1 };

const HANGS_AFTER_MS = 60_000;

export interface EngineOptions {
  readonly workflow: UserFunction | UserFunctions;
  readonly activities?: UserFunctions;
  readonly tempo?: Tempo;
  readonly options?: WorkerTuning;
  readonly interceptors?: WorkerInterceptors;
  readonly logger?: Logger;
}

/**
 * The same tests in both tempos, side by side: a test that waits holds nobody up. Each tempo has its own database, which
 * must be free of violations at the end.
 */
export function describeInBothTempos(
  name: string,
  options: Omit<EngineOptions, 'tempo'>,
  tests: (engine: () => Engine, tempo: Tempo) => void,
): void {
  for (const tempo of [kept, replayed]) {
    describe.concurrent(`${name} (${tempo.name})`, () => {
      const engine = engineForAll({ ...options, tempo });
      tests(engine, tempo);
    });
  }
}

/** Opened before and closed behind the tests of the surrounding `describe` or file. */
export function engineForAll(options: EngineOptions): () => Engine {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.open(options);
  });
  afterAll(async () => {
    await engine?.close();
  });
  return () => engine;
}

/** A database and a client; workers as they are added. */
export class Engine {
  readonly database: TestDatabase;
  readonly tempo: Tempo;
  readonly client: Client;
  readonly taskQueue = 'test';
  readonly #sql: pg.Pool;
  readonly #workers: Worker[] = [];

  private constructor(database: TestDatabase, tempo: Tempo) {
    this.database = database;
    this.tempo = tempo;
    this.client = new Client({ connection: this.connection });
    this.#sql = new pg.Pool({ connectionString: database.url, max: 3, options: '-c search_path=durable,public' });
    this.#sql.on('error', () => {}); // backends are ended on purpose in some tests
  }

  static async open({ tempo = kept, ...worker }: EngineOptions): Promise<Engine> {
    const engine = await Engine.withoutWorker(tempo);
    await engine.addWorker(worker);
    return engine;
  }

  static async withoutWorker(tempo: Tempo = kept): Promise<Engine> {
    return new Engine(await createMigratedDatabase(), tempo);
  }

  /** As they were added; those that were stopped stay in the list. */
  get workers(): readonly Worker[] {
    return this.#workers;
  }

  get connection() {
    return { class: pg.Client, options: { connectionString: this.database.url } };
  }

  async addWorker({
    options,
    ...worker
  }: Pick<WorkerOptions, 'workflow' | 'activities' | 'options' | 'interceptors' | 'logger' | 'archive'> & {
    taskQueue?: string;
  }): Promise<Worker> {
    const { connection, taskQueue } = this;
    const tuning = { shutdownGrace: 200, ...this.tempo.tuning, ...options };
    return this.#keep(await Worker.create({ connection, taskQueue, ...worker, options: tuning }));
  }

  async addActivityWorker(taskQueue: string, activities: UserFunctions, options?: WorkerTuning): Promise<Worker> {
    const tuning = { shutdownGrace: 200, ...this.tempo.tuning, ...options };
    return this.#keep(
      await registerActivityWorker({ connection: this.connection, taskQueue, options: tuning }, activities),
    );
  }

  start(
    workflowName: string,
    args: readonly unknown[] = [],
    options: Partial<StartOptions> = {},
  ): Promise<WorkflowHandle> {
    return this.client.workflow.start({ taskQueue: this.taskQueue, workflowName, args, ...options });
  }

  /** Starts it and waits for its result. */
  async run<T = unknown>(
    workflowName: string,
    args: readonly unknown[] = [],
    options: Partial<StartOptions> = {},
  ): Promise<T> {
    return await this.result<T>(await this.start(workflowName, args, options));
  }

  /** `handle.result()`, but a workflow that hangs is reported with what the database knows about it. */
  async result<T = unknown>(handle: WorkflowHandle, options?: Parameters<WorkflowHandle['result']>[0]): Promise<T> {
    return await this.#orReport(handle, handle.result<T>(options));
  }

  /** What `result()` rejects with. */
  async failure(handle: WorkflowHandle): Promise<Error & Record<string, unknown>> {
    const value = await this.#orReport(
      handle,
      handle.result().then(rejected, (error: unknown) => error),
    );
    return value as Error & Record<string, unknown>;
  }

  /**
   * Waits until the workflow waits: for a signal, a child, an activity or a timer, with nothing left to do. In the tempo
   * that forgets, until it is in the database alone, so that what comes next finds it there.
   */
  async waits(handle: WorkflowHandle): Promise<void> {
    const states = this.tempo.forgets ? ['parked'] : ['owned', 'parked'];
    await until(`${handle.workflowId} waits`, async () => {
      const [row] = await this.sql<{ waits: boolean }>(
        `select t.state = any($2) and exists (select from history h where h.thread_no = t.thread_no)
           and not exists (select from inbox i where i.thread_no = t.thread_no) as waits
         from execution e join thread t on t.thread_no = e.run_no
         where e.workflow_id = $1 and e.state = 'open' order by e.run desc limit 1`,
        [handle.workflowId, states],
      );
      return row?.waits === true;
    });
  }

  /** Waits until the workflow waits for a signal of this id. */
  async awaitsSignal(handle: WorkflowHandle, signalId: string): Promise<void> {
    await until(`${handle.workflowId} awaits ${signalId}`, async () => {
      const found = await this.sql(
        `select from wait w join execution e on e.run_no = w.thread_no where e.workflow_id = $1 and w.signal_id = $2`,
        [handle.workflowId, signalId],
      );
      return found.length > 0;
    });
    await this.waits(handle);
  }

  /** On a connection beside the engine's; tables of the namespace need no schema name. */
  async sql<R extends object = Record<string, unknown>>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    return (await this.#sql.query(text, [...values])).rows as R[];
  }

  async expectNoViolations(): Promise<void> {
    expect(await this.sql('select * from violations()')).toEqual([]);
  }

  async close(): Promise<void> {
    try {
      await Promise.all(this.#workers.map((worker) => worker.stop()));
      await this.client.close();
      await this.expectNoViolations();
    } finally {
      await this.#sql.end();
      await this.database.drop();
    }
  }

  #keep(worker: Worker): Worker {
    this.#workers.push(worker);
    return worker;
  }

  async #orReport<T>(handle: WorkflowHandle, outcome: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#report(handle).then((text) => reject(new Error(text)), reject);
      }, HANGS_AFTER_MS);
    });
    try {
      return await Promise.race([outcome, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #report(handle: WorkflowHandle): Promise<string> {
    const rows = await this.sql(
      `with recursive family(run_no) as (
         select run_no from execution where workflow_id = $1
         union
         select e.run_no from family f join execution e
           on e.parent_thread in (select p.thread_no from thread p where p.run_no = f.run_no)
           or e.chain_no = (select p.chain_no from execution p where p.run_no = f.run_no))
       select e.workflow_id, e.run, e.state as run_state, e.closed_at, e.parent_thread, e.parent_op, t.*,
         (select json_agg(h.body order by seq) from history h where h.thread_no = t.thread_no) as history,
         (select json_agg(i) from inbox i where i.thread_no = t.thread_no) as inbox,
         (select json_agg(a) from activity_task a where a.thread_no = t.thread_no) as tasks,
         (select json_agg(m) from timer m where m.thread_no = t.thread_no) as timers
       from family join execution e using (run_no) join thread t using (run_no) order by t.thread_no`,
      [handle.workflowId],
    );
    return `${handle.workflowId} did not end within ${HANGS_AFTER_MS} ms: ${JSON.stringify(rows, null, 1)}`;
  }
}

function rejected(value: unknown): never {
  throw new Error(`expected a failure; the workflow returned ${JSON.stringify(value)}`);
}

/** Polls; for what no event tells. */
export async function until(what: string, holds: () => Promise<boolean> | boolean, withinMs = 45_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(10);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A promise that the test settles, e.g. to hold an activity where it is. */
export function gate<T = void>(): { readonly passed: Promise<T>; open(value: T): void } {
  let open: (value: T) => void = () => {};
  const passed = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

/** What activities tell the test, by key. */
export class Journal {
  readonly #entries = new Map<string, unknown[]>();

  note(key: string, entry: unknown = null): void {
    const entries = this.#entries.get(key);
    if (entries === undefined) this.#entries.set(key, [entry]);
    else entries.push(entry);
  }

  of(key: string): readonly unknown[] {
    return this.#entries.get(key) ?? [];
  }

  count(key: string): number {
    return this.of(key).length;
  }
}
