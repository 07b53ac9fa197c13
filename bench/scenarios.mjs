/**
 * The scenarios, each a function of a client and a size. They use the public API only; what the API cannot tell (when a
 * row is there, the database's own clock) is read through a connection of the benchmark.
 *
 * Each gives its figures, and what was wrong with the results.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { serverCpuUs, walPosition } from './database.mjs';
import { median, percentile } from './statistics.mjs';
import { ledger } from './workflows.mjs';

/**
 * @typedef {object} Scene
 * @property {import('perdure').Client} client
 * @property {import('pg').Client} observer
 * @property {() => number} callsMade SQL calls of the engine in this process
 */
/** @typedef {{ figures: Record<string, number>, wrong: string[] }} Outcome */

export const TASK_QUEUE = 'bench';

export const scenarios = {
  sequential,
  latency,
  remote: latency,
  history,
  parallel,
  signal,
  timers,
  children,
  starts,
};

/** @param {Scene} scene @param {{ workflows: number, steps: number }} size @returns {Promise<Outcome>} */
async function sequential({ client, observer, callsMade }, { workflows, steps }) {
  const before = {
    runs: ledger.runs,
    calls: callsMade(),
    cpu: process.cpuUsage(),
    serverCpuUs: await serverCpuUs(observer),
    wal: await walPosition(observer),
  };
  const started = performance.now();
  const handles = await Promise.all(
    Array.from({ length: workflows }, (_, index) => start(client, 'sequence', [index, steps])),
  );
  const startMs = performance.now() - started;
  const results = await Promise.all(handles.map((handle) => handle.result()));
  const seconds = (performance.now() - started) / 1000;
  const cpu = process.cpuUsage(before.cpu);
  const calls = callsMade() - before.calls;
  const serverUs = (await serverCpuUs(observer)) - before.serverCpuUs;
  const wal = await walPosition(observer);

  const wrong = results.flatMap((result, index) =>
    result === index + steps ? [] : [`sequential: workflow ${index} gave ${result} instead of ${index + steps}`],
  );
  const count = workflows * steps;
  const runs = ledger.runs - before.runs;
  if (runs !== count) wrong.push(`sequential: activities ran ${runs} times instead of ${count}`);
  return {
    figures: {
      stepsPerSecond: count / seconds,
      startMs,
      cpuUsPerStep: (cpu.user + cpu.system) / count,
      serverCpuUsPerStep: serverUs / count,
      walBytesPerStep: (wal.bytes - before.wal.bytes) / count,
      walPagesPerStep: (wal.pages - before.wal.pages) / count,
      callsPerStep: calls / count,
      bodyBytes: await bodyBytes(observer, handles),
    },
    wrong,
  };
}

/** @param {Scene} scene @param {{ oneStep: number, tenSteps: number }} size @returns {Promise<Outcome>} */
async function latency({ client }, { oneStep, tenSteps }) {
  /** @type {string[]} */
  const wrong = [];
  const timesOf = async (/** @type {number} */ count, /** @type {number} */ steps) => {
    const times = [];
    for (let index = 0; index < count; index++) {
      const started = performance.now();
      const handle = await start(client, 'sequence', [index, steps]);
      const result = await handle.result();
      times.push(performance.now() - started);
      if (result !== index + steps) wrong.push(`latency: ${steps} steps gave ${result} instead of ${index + steps}`);
    }
    return times;
  };
  const one = await timesOf(oneStep, 1);
  const ten = await timesOf(tenSteps, 10);
  return {
    figures: {
      oneStepP50: percentile(one, 0.5),
      oneStepP95: percentile(one, 0.95),
      tenStepsP50: percentile(ten, 0.5),
      tenStepsP95: percentile(ten, 0.95),
    },
    wrong,
  };
}

/**
 * One long workflow. A step's cost is the time between the runs of two activities that follow each other.
 *
 * @param {Scene} scene @param {{ steps: number, early: number, late: number, window: number }} size @returns {Promise<Outcome>}
 */
async function history({ client }, { steps, early, late, window }) {
  ledger.times = [];
  const handle = await start(client, 'long', [steps]);
  const result = await handle.result();
  const { times } = ledger;
  const wrong = result === steps ? [] : [`history: ${result} instead of ${steps}`];
  const noted = times.filter((time, step) => time > (times[step - 1] ?? 0)).length;
  if (noted !== steps) wrong.push(`history: ${noted} of ${steps} activities ran, or out of order`);

  const around = (/** @type {number} */ step) => {
    const to = Math.min(steps, step + window / 2) - 1;
    const costs = Array.from({ length: window }, (_, back) => (times[to - back] ?? 0) - (times[to - back - 1] ?? 0));
    return median(costs);
  };
  const [earlyMs, lateMs] = [around(early), around(late)];
  return { figures: { earlyMs, lateMs, growth: lateMs / earlyMs }, wrong };
}

/** @param {Scene} scene @param {{ width: number, repeats: number }} size @returns {Promise<Outcome>} */
async function parallel({ client }, { width, repeats }) {
  return repeated(repeats, async () => {
    const runs = ledger.runs;
    const handle = await start(client, 'wide', [width]);
    const results = /** @type {number[]} */ (await handle.result());
    const right = results.length === width && results.every((result, index) => result === index + 1);
    return right && ledger.runs - runs === width ? [] : ['parallel: the results are not those of the activities'];
  });
}

/** @param {Scene} scene @param {{ waiting: number, parked: number }} size @returns {Promise<Outcome>} */
async function signal(scene, { waiting, parked }) {
  const { client, observer } = scene;
  /** @type {string[]} */
  const wrong = [];
  const listen = async () => {
    const signalId = randomUUID();
    const handle = await start(client, 'listener', [signalId]);
    return { signalId, handle };
  };
  const answer = async (/** @type {Awaited<ReturnType<typeof listen>>} */ { signalId, handle }) => {
    const started = performance.now();
    const received = await handle.signal(signalId, { signalId });
    const result = /** @type {{ signalId: string }} */ (await handle.result());
    const ms = performance.now() - started;
    if (received !== 'delivered') wrong.push(`signal: ${received}, though the workflow waited`);
    if (result.signalId !== signalId) wrong.push(`signal: gave ${JSON.stringify(result)}`);
    return ms;
  };

  const waitingTimes = [];
  for (let index = 0; index < waiting; index++) {
    const listener = await listen();
    await until(observer, 'select from durable.wait where signal_id = $1', listener.signalId);
    waitingTimes.push(await answer(listener));
  }
  const listeners = await Promise.all(Array.from({ length: parked }, listen));
  const parkedTimes = [];
  for (const listener of listeners) {
    const isParked = `select from durable.thread t join durable.execution e using (run_no)
      where e.workflow_id = $1 and t.state = 'parked'`;
    await until(observer, isParked, listener.handle.workflowId);
  }
  for (const listener of listeners) parkedTimes.push(await answer(listener));
  return { figures: { waitingP50: percentile(waitingTimes, 0.5), parkedP50: percentile(parkedTimes, 0.5) }, wrong };
}

/**
 * Lateness by the database's clock: from the due time, which follows from the commit that made the timer, to the commit
 * that took it in. That is when the next step of the workflow is durable, not only begun.
 *
 * @param {Scene} scene @param {{ timers: number, ms: number }} size @returns {Promise<Outcome>}
 */
async function timers({ client, observer }, { timers: count, ms }) {
  const handles = await Promise.all(Array.from({ length: count }, () => start(client, 'nap', [ms])));
  const results = await Promise.all(handles.map((handle) => handle.result()));
  const wrong = results.every((result) => result === ms / 1000) ? [] : ['timers: a sleep did not return its length'];
  const { rows } = await observer.query(
    `select extract(epoch from b.at - a.at)::float8 * 1000 - $2 as late
     from durable.execution e
     join durable.history a on a.thread_no = e.run_no and a.seq = 0
     join durable.history b on b.thread_no = e.run_no and b.seq = 1
     where e.workflow_id = any($1)`,
    [handles.map((handle) => handle.workflowId), ms],
  );
  const lateness = rows.map(({ late }) => /** @type {number} */ (late));
  const early = lateness.filter((late) => late < 0).length;
  if (lateness.length !== count) wrong.push(`timers: ${lateness.length} of ${count} histories hold a timer that fired`);
  if (early > 0) wrong.push(`timers: ${early} fired early, by up to ${-Math.min(...lateness)} ms`);
  return {
    figures: { latenessP50: percentile(lateness, 0.5), latenessP99: percentile(lateness, 0.99), early },
    wrong,
  };
}

/** @param {Scene} scene @param {{ children: number, repeats: number }} size @returns {Promise<Outcome>} */
async function children({ client }, { children: count, repeats }) {
  return repeated(repeats, async () => {
    const handle = await start(client, 'parent', [count]);
    const results = /** @type {number[]} */ (await handle.result());
    const right = results.length === count && results.every((result, index) => result === index * 2);
    return right ? [] : ['children: the results are not those of the children'];
  });
}

/**
 * Starts on a queue that nobody serves, so that nothing else is measured.
 *
 * @param {Scene} scene @param {{ inFlight: number, inOneCall: number }} size @returns {Promise<Outcome>}
 */
async function starts({ client, observer }, { inFlight, inOneCall }) {
  const started = performance.now();
  const handles = await Promise.all(
    Array.from({ length: inFlight }, (_, index) =>
      client.workflow.start({ taskQueue: 'nobody', workflowName: 'sequence', args: [index, 1] }),
    ),
  );
  const singleMs = performance.now() - started;
  const called = performance.now();
  const { rows } = await observer.query(
    `with n as materialized (select array_agg(i) as no, array_agg('start ' || $2 || i) as id, array_agg('nobody'::text) as queue,
         array_agg('sequence'::text) as name, array_agg('[1,1]'::text) as args, array_agg(null::text) as nothing,
         array_agg(null::float8) as no_number, array_agg(true) as yes from generate_series(1, $1::int) i)
     select count(*) filter (where s.status = 'started')::int as count from n, durable.start(false,
       (select array_agg((random() * 1e14)::bigint) from unnest(n.no)), n.id, n.queue, n.name, n.args, n.nothing, n.no_number, n.yes,
       n.nothing, n.nothing, n.nothing, n.nothing, n.nothing, n.nothing) s`,
    [inOneCall, randomUUID()],
  );
  const oneCallMs = performance.now() - called;
  const ids = new Set(handles.map(({ workflowId }) => workflowId)).size;
  return {
    figures: { singlePerSecond: (inFlight / singleMs) * 1_000, inOneCallPerSecond: (inOneCall / oneCallMs) * 1_000 },
    wrong: [
      ...(ids === inFlight ? [] : [`starts: ${ids} of ${inFlight} workflows`]),
      ...(rows[0]?.count === inOneCall ? [] : [`starts: ${rows[0]?.count} of ${inOneCall} in one call`]),
    ],
  };
}

/** @param {import('perdure').Client} client @param {string} workflowName @param {unknown[]} args */
function start(client, workflowName, args) {
  return client.workflow.start({ taskQueue: TASK_QUEUE, workflowName, args });
}

/** @param {number} repeats @param {() => Promise<string[]>} once gives what was wrong */
async function repeated(repeats, once) {
  const times = [];
  const wrong = [];
  for (let index = 0; index < repeats; index++) {
    const started = performance.now();
    wrong.push(...(await once()));
    times.push(performance.now() - started);
  }
  return { figures: { ms: median(times) }, wrong };
}

/** Waits until the query finds something. @param {import('pg').Client} observer @param {string} text @param {string} value */
async function until(observer, text, value) {
  const deadline = performance.now() + 30_000;
  while ((await observer.query(text, [value])).rowCount === 0) {
    if (performance.now() > deadline) throw new Error(`not seen within 30 s: ${text}`);
    await sleep(2);
  }
}

/** @param {import('pg').Client} observer @param {import('perdure').WorkflowHandle[]} handles */
async function bodyBytes(observer, handles) {
  const { rows } = await observer.query(
    `select avg(length(h.body))::float8 as bytes
     from durable.execution e join durable.history h on h.thread_no = e.run_no where e.workflow_id = any($1)`,
    [handles.map((handle) => handle.workflowId)],
  );
  return rows[0].bytes;
}
