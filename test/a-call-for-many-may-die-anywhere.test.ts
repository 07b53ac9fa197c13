/**
 * Calls that change many workflows, made by a process that dies at the first, second, third ... call of the database: before it is sent,
 * or when it is done and nobody has heard of it. Whoever makes the same call again, from the start, finds what was done.
 */
import { Socket } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, Errors, uuid, type WorkflowHandle } from '../src/index.js';
import { Engine, kept } from './support/worker.js';

const MANY = 12; // of which ten are under way at a time
const moments = ['before', 'behind'] as const;
type Moment = (typeof moments)[number];

/** A client whose process dies at its n-th call; `died` resolves then. A dead one gets no answer any more. */
function mortalClient(url: string, n: number, moment: Moment) {
  const never = new Promise<never>(() => {});
  let calls = 0;
  let dead = false;
  let dies: () => void = () => {};
  const died = new Promise<'died'>((resolve) => {
    dies = () => {
      dead = true;
      for (const socket of sockets) socket.destroy();
      void client.close().catch(() => {}); // or it tried to connect for ever
      resolve('died');
    };
  });
  const sockets: Socket[] = [];
  class Mortal extends pg.Client {
    constructor(options: pg.ClientConfig) {
      const socket = new Socket();
      sockets.push(socket);
      super({ ...options, stream: () => socket });
    }
    // biome-ignore lint/suspicious/noExplicitAny: as below
    override async connect(...args: any[]): Promise<any> {
      return dead ? await never : await (super.connect as (...given: unknown[]) => Promise<unknown>)(...args);
    }
    // biome-ignore lint/suspicious/noExplicitAny: it passes on whatever the driver takes
    override async query(...args: any[]): Promise<any> {
      if (dead) return await never;
      const text: string = args[0]?.text ?? args[0];
      const last = text.startsWith('select * from "durable".') && ++calls === n;
      if (last && moment === 'before') dies();
      const answer = dead ? never : await (super.query as (...given: unknown[]) => Promise<unknown>)(...args);
      if (last) dies();
      return dead ? await never : answer;
    }
  }
  const client = new Client({
    connection: { class: Mortal, options: { connectionString: url } },
    options: { logLevel: 'silent' },
  });
  return { client, died };
}

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.withoutWorker(kept);
});
afterAll(async () => {
  await engine.close();
});

const filterOf = (fleet: string) => ({ search: { fleet } });

function startsOf(client: Client, fleet: string, workflowName: string, config = {}): Promise<WorkflowHandle>[] {
  const search = { data: { fleet } };
  return Array.from({ length: MANY }, (_, n) =>
    client.workflow.start({ taskQueue: 'test', workflowName, workflowId: `${fleet} ${n}`, args: [], search, config }),
  );
}

interface Run {
  readonly workflow_id: string;
  readonly run: number;
  readonly state: string;
  readonly paused: boolean;
  /** Requests to cancel that wait for it. */
  readonly cancels: number;
}

async function runsOf(fleet: string): Promise<Run[]> {
  return await engine.sql<Run & Record<string, unknown>>(
    `select e.workflow_id, e.run, e.state, e.paused_at is not null as paused,
       (select count(*)::int from inbox i where i.thread_no = e.run_no and i.kind = 'cancel') as cancels
     from execution e where e.workflow_id like $1 || ' %' order by e.workflow_id, e.run`,
    [fleet],
  );
}

/** Makes the call in processes that die at its first call, its second, fourth, eighth, ... until one lives to its end. */
async function dieAtEach(
  moment: Moment,
  make: (fleet: string) => Promise<void>,
  call: (client: Client, fleet: string) => Promise<unknown>,
  check: (fleet: string) => Promise<void>,
): Promise<number> {
  let deaths = 0;
  for (let n = 1; ; n *= 2) {
    const fleet = uuid();
    await make(fleet);
    const { client, died } = mortalClient(engine.database.url, n, moment);
    const outcome = await Promise.race([died, call(client, fleet)]);
    if (outcome === 'died') {
      deaths++;
      await call(engine.client, fleet);
    }
    await check(fleet);
    if (outcome !== 'died') {
      await client.close();
      return deaths;
    }
  }
}

describe.each(moments)('of a process that dies %s each call', (moment) => {
  const waiting = async (fleet: string) => void (await Promise.all(startsOf(engine.client, fleet, 'waits')));
  const pausedOnes = async (fleet: string) => {
    await waiting(fleet);
    await engine.client.workflow.bulk.pause(filterOf(fleet));
  };
  const all = (expected: Partial<Run>) => async (fleet: string) => {
    const runs = await runsOf(fleet);
    expect(runs).toHaveLength(MANY);
    for (const run of runs) expect(run).toMatchObject({ run: 0, ...expected });
  };

  it.each<
    [string, (fleet: string) => Promise<void>, (client: Client, fleet: string) => Promise<unknown>, Partial<Run>]
  >([
    ['pause', waiting, (client, fleet) => client.workflow.bulk.pause(filterOf(fleet)), { state: 'open', paused: true }],
    [
      'resume',
      pausedOnes,
      (client, fleet) => client.workflow.bulk.resume(filterOf(fleet)),
      { state: 'open', paused: false },
    ],
    ['cancel', waiting, (client, fleet) => client.workflow.bulk.cancel(filterOf(fleet)), { state: 'open', cancels: 1 }],
    ['terminate', waiting, (client, fleet) => client.workflow.bulk.terminate(filterOf(fleet)), { state: 'terminated' }],
  ])('bulk.%s has changed each once', async (_name, make, call, expected) => {
    expect(await dieAtEach(moment, make, call, all(expected))).toBeGreaterThan(1);
  });

  it('bulk.reset went back once in each, where the call has a name', async () => {
    const reset = (client: Client, fleet: string) =>
      client.workflow.bulk.reset(filterOf(fleet), { toEntry: -1, requestId: `back ${fleet}` });
    const deaths = await dieAtEach(moment, waiting, reset, async (fleet) => {
      const runs = await runsOf(fleet);
      expect(runs.map(({ run, state }) => `${run} ${state}`)).toEqual(
        Array.from({ length: MANY }, () => ['0 continued', '1 open']).flat(),
      );
    });
    expect(deaths).toBeGreaterThan(1);
  });

  it('starts of many have started each once', async () => {
    const start = async (client: Client, fleet: string) => {
      const outcomes = await Promise.allSettled(startsOf(client, fleet, 'waits'));
      for (const outcome of outcomes) {
        // Those that the process before had started.
        if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(Errors.DuplicateJobError);
      }
    };
    expect(await dieAtEach(moment, async () => {}, start, all({ state: 'open' }))).toBeGreaterThan(0);
  });

  it('bulk.retry has retried each once', async () => {
    const failed = async (fleet: string) => {
      const worker = await engine.addWorker({ workflow: { fails } });
      const handles = await Promise.all(startsOf(engine.client, fleet, 'fails', { maximumAttempts: 0 }));
      for (const handle of handles) await engine.failure(handle);
      await worker.stop(); // what is retried stays as it is
    };
    const retry = (client: Client, fleet: string) => client.workflow.bulk.retry(filterOf(fleet));
    const deaths = await dieAtEach(moment, failed, retry, async (fleet) => {
      const runs = await runsOf(fleet);
      expect(runs.map(({ run, state }) => `${run} ${state}`)).toEqual(
        Array.from({ length: MANY }, () => ['0 failed', '1 open']).flat(),
      );
    });
    expect(deaths).toBeGreaterThan(1);
  });
});

async function fails(): Promise<never> {
  throw new Error('out of order');
}
