/**
 * A process as a user would run it: a client, and workers of the queues it is told to serve.
 *
 *     node --expose-gc engine.mjs '{ "url": ..., "serves": [{ "taskQueue": ..., "only"?: ["sequence"], "tuning"?: {...} }] }'
 *
 * `only`: the workflows it serves; none with an empty list, which makes it a worker of activities.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Durable } from 'perdure';
import pg from 'pg';
import { answerParent } from '../process.mjs';
import { ledger } from '../workflows.mjs';
import { activities, workflows } from './workflows.mjs';

/** @typedef {{ taskQueue: string, only?: string[], tuning?: import('perdure').WorkerTuning }} Serves */
/** @type {{ url: string, serves: Serves[] }} */
const { url, serves } = JSON.parse(process.argv[2] ?? '');
const connection = { class: pg.Client, options: { connectionString: url } };
const client = new Durable.Client({ connection });
for (const { taskQueue, only, tuning } of serves) {
  const options = { logLevel: 'warn', ...tuning };
  if (only?.length === 0) {
    await Durable.registerActivityWorker({ connection, taskQueue, options }, activities);
  } else {
    const served = Object.entries(workflows).filter(([name]) => only === undefined || only.includes(name));
    await Durable.Worker.create({
      connection,
      taskQueue,
      workflow: Object.fromEntries(served),
      activities,
      options,
    });
  }
}

answerParent(
  {
    ready: () => true,

    /** Starts them all, and gives the result of none. @param {{ taskQueue: string, workflow: string, of: { id: string, args: unknown[], expire?: number }[] }} input */
    async start({ taskQueue, workflow, of }) {
      const started = performance.now();
      await Promise.all(
        of.map(({ id, args, expire }) =>
          client.workflow.start({
            taskQueue,
            workflowName: workflow,
            workflowId: id,
            args,
            ...(expire !== undefined && { expire }),
          }),
        ),
      );
      return performance.now() - started;
    },

    /** @param {{ taskQueue: string, workflow: string, id: string }} input */
    async result({ taskQueue, workflow, id }) {
      const handle = await client.workflow.getHandle(taskQueue, workflow, id);
      return handle.result();
    },

    /** Many workflows at once, each of steps that follow each other.
     * @param {{ taskQueue: string, workflow?: string, workflows: number, steps: number }} input */
    async sequences({ taskQueue, workflow = 'sequence', workflows: count, steps }) {
      const started = performance.now();
      const handles = await Promise.all(
        Array.from({ length: count }, (_, index) =>
          client.workflow.start({ taskQueue, workflowName: workflow, args: [index, steps] }),
        ),
      );
      const startMs = performance.now() - started;
      const results = await Promise.all(handles.map((handle) => handle.result()));
      const wrong = results.filter((result, index) => result !== index + steps).length;
      return { startMs, seconds: (performance.now() - started) / 1000, wrong };
    },

    /** One workflow after the other, from start to result, in ms each.
     * @param {{ taskQueue: string, workflow: string, count: number, args: unknown[], forMs?: number }} input with `forMs` as many as fit into it, at least `count` */
    async oneByOne({ taskQueue, workflow, count, args, forMs = 0 }) {
      const times = [];
      const end = performance.now() + forMs;
      while (times.length < count || performance.now() < end) {
        const from = performance.now();
        const handle = await client.workflow.start({ taskQueue, workflowName: workflow, args });
        await handle.result();
        times.push(performance.now() - from);
      }
      return times;
    },

    /** Many payloads at once. @param {{ taskQueue: string, count: number, bytes: number }} input */
    async burst({ taskQueue, count, bytes }) {
      const payloads = Array.from({ length: count }, (_, index) => payloadOf(bytes, index));
      const started = performance.now();
      const ms = await Promise.all(
        payloads.map(async (payload) => {
          const handle = await client.workflow.start({ taskQueue, workflowName: 'echo', args: [payload] });
          if ((await handle.result()) !== payload) throw new Error('a payload came back changed');
          return performance.now() - started;
        }),
      );
      return Math.max(...ms);
    },

    /** One after the other: from the signal to the result. @param {{ taskQueue: string, of: { id: string, signalId: string }[] }} input */
    async signals({ taskQueue, of }) {
      const times = [];
      for (const { id, signalId } of of) {
        const handle = await client.workflow.getHandle(taskQueue, 'listener', id);
        const from = performance.now();
        await handle.signal(signalId, { signalId });
        const result = /** @type {{ signalId: string }} */ (await handle.result());
        times.push(performance.now() - from);
        if (result.signalId !== signalId) throw new Error(`${id} gave ${JSON.stringify(result)}`);
      }
      return times;
    },

    /** All at once. @param {{ taskQueue: string, workflow: string, ids: string[], signalId: string, data: unknown }} input */
    async signalAll({ taskQueue, workflow, ids, signalId, data }) {
      const handles = await Promise.all(ids.map((id) => client.workflow.getHandle(taskQueue, workflow, id)));
      await Promise.all(handles.map((handle) => handle.signal(signalId, data)));
      return Promise.all(handles.map((handle) => handle.result()));
    },

    /** @param {{ taskQueue: string, workflow: string, id: string, signalId: string }} input */
    async signal({ taskQueue, workflow, id, signalId }) {
      const handle = await client.workflow.getHandle(taskQueue, workflow, id);
      await handle.signal(signalId, true);
      return clockMs();
    },

    /** When activities of `noteTime` ran here, by step, in ms of the machine's clock. */
    times: () => ledger.times.map((time) => time + performance.timeOrigin),
    forgetTimes: () => {
      ledger.times = [];
    },

    memory: async () => {
      for (let round = 0; round < 4; round++) {
        globalThis.gc?.();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const { heapUsed, rss, external } = process.memoryUsage();
      return { heapUsed, rss, external };
    },

    /** Longest time the event loop did not turn since it was last asked. */
    longestStallMs: () => {
      const ms = stalls.max / 1e6;
      stalls.reset();
      return ms;
    },
  },
  () => Durable.shutdown(),
);

const stalls = monitorEventLoopDelay({ resolution: 5 });
stalls.enable();

function clockMs() {
  return performance.timeOrigin + performance.now();
}

/** Text that no compression makes small. @param {number} bytes @param {number} seed */
function payloadOf(bytes, seed) {
  const pieces = [];
  let state = (seed + 1) * 2_654_435_761;
  for (let length = 0; length < bytes; length += 6) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    pieces.push(state.toString(36).padStart(7, '0').slice(-6));
  }
  return pieces.join('').slice(0, bytes);
}
