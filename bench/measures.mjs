/**
 * What is measured: in which process, how much of it, which figures come out, which of them have a mark to reach.
 *
 * `floor` runs in floor.mjs, the rest in scenarios.mjs: `engine` is a worker and a client in one process, `caller` a
 * client in another one.
 */

/**
 * @typedef {object} Measure
 * @property {'floor' | 'engine' | 'caller'} process
 * @property {Record<string, number>} size
 * @property {Record<string, number>} quick the size for `--quick`
 * @property {Record<string, Figure>} figures
 */

/**
 * @typedef {object} Figure
 * @property {string} label with the names of sizes in braces
 * @property {string} unit
 * @property {number} [digits] behind the point; default 0
 * @property {{ least: number } | { most: number }} [mark] to be reached
 */

/** @type {Record<string, Measure>} */
export const measures = {
  floor: {
    process: 'floor',
    // 11 rows: a workflow of 10 steps has as many, one for its start and one for each result.
    size: { sequences: 1_000, length: 11, repeats: 5, commits: 200 },
    quick: { sequences: 200, length: 11, repeats: 1, commits: 20 },
    figures: {
      rowsPerSecond: { label: 'rows of {sequences} executions', unit: '/s' },
      bareRowsPerSecond: { label: 'bare rows, nobody waiting for one', unit: '/s' },
      commitMs: { label: 'one-row commit p50', unit: 'ms', digits: 2 },
      bodyBytes: { label: 'body of a row', unit: 'B' },
    },
  },
  sequential: {
    process: 'engine',
    size: { workflows: 1_000, steps: 10 },
    quick: { workflows: 100, steps: 10 },
    figures: {
      stepsPerSecond: { label: 'sequential steps', unit: '/s', mark: { least: 30_000 } },
      floorShare: { label: 'of the floor, which writes the same rows', unit: '%', mark: { least: 50 } },
      bareFloorShare: { label: 'of the bare rows', unit: '%' },
      startMs: { label: 'until all are started', unit: 'ms' },
      cpuUsPerStep: { label: 'CPU of the engine process per step', unit: 'us' },
      serverCpuUsPerStep: { label: 'CPU of the server per step', unit: 'us' },
      walBytesPerStep: { label: 'WAL per step', unit: 'B', mark: { most: 450 } },
      walPagesPerStep: { label: 'whole pages in the WAL per step', unit: '', digits: 4 },
      callsPerStep: { label: 'SQL calls per step', unit: '', digits: 4 },
      bodyBytes: { label: 'body of an entry', unit: 'B' },
    },
  },
  latency: {
    process: 'engine',
    size: { oneStep: 200, tenSteps: 100 },
    quick: { oneStep: 20, tenSteps: 10 },
    figures: {
      oneStepP50: { label: 'start -> result, 1 step, p50', unit: 'ms', digits: 2, mark: { most: 2 } },
      oneStepP95: { label: 'start -> result, 1 step, p95', unit: 'ms', digits: 2 },
      tenStepsP50: { label: 'start -> result, 10 steps, p50', unit: 'ms', digits: 2, mark: { most: 6 } },
      tenStepsP95: { label: 'start -> result, 10 steps, p95', unit: 'ms', digits: 2 },
    },
  },
  remote: {
    process: 'caller',
    size: { oneStep: 100, tenSteps: 50 },
    quick: { oneStep: 10, tenSteps: 5 },
    figures: {
      oneStepP50: { label: 'client elsewhere: 1 step, p50', unit: 'ms', digits: 2 },
      oneStepP95: { label: 'client elsewhere: 1 step, p95', unit: 'ms', digits: 2 },
      tenStepsP50: { label: 'client elsewhere: 10 steps, p50', unit: 'ms', digits: 2 },
      tenStepsP95: { label: 'client elsewhere: 10 steps, p95', unit: 'ms', digits: 2 },
    },
  },
  history: {
    process: 'engine',
    size: { steps: 3_000, early: 100, late: 3_000, window: 100 },
    quick: { steps: 300, early: 100, late: 300, window: 50 },
    figures: {
      earlyMs: { label: 'a step around number {early} of a workflow', unit: 'ms', digits: 3 },
      lateMs: { label: 'a step around number {late}', unit: 'ms', digits: 3, mark: { most: 0.4 } },
      growth: { label: 'the late step against the early one', unit: 'x', digits: 2, mark: { most: 1.2 } },
    },
  },
  parallel: {
    process: 'engine',
    size: { width: 500, repeats: 5 },
    quick: { width: 100, repeats: 1 },
    figures: {
      ms: { label: '{width} parallel activities in one workflow', unit: 'ms', digits: 1, mark: { most: 60 } },
    },
  },
  signal: {
    process: 'engine',
    size: { waiting: 50, parked: 50 },
    quick: { waiting: 5, parked: 5 },
    figures: {
      waitingP50: { label: 'signal -> result, p50', unit: 'ms', digits: 2, mark: { most: 2 } },
      parkedP50: { label: 'signal -> result of a parked workflow, p50', unit: 'ms', digits: 2 },
    },
  },
  timers: {
    process: 'engine',
    size: { timers: 2_000, ms: 2_000 },
    quick: { timers: 100, ms: 500 },
    figures: {
      latenessP50: { label: '{timers} timers of {ms} ms: late by, p50', unit: 'ms', digits: 1 },
      latenessP99: { label: '{timers} timers of {ms} ms: late by, p99', unit: 'ms', digits: 1, mark: { most: 50 } },
      early: { label: '{timers} timers of {ms} ms: fired early', unit: '' },
    },
  },
  children: {
    process: 'engine',
    size: { children: 100, repeats: 5 },
    quick: { children: 10, repeats: 1 },
    figures: { ms: { label: 'a workflow with {children} children', unit: 'ms', digits: 1, mark: { most: 50 } } },
  },
  // Last: nobody runs what it starts.
  starts: {
    process: 'engine',
    size: { inFlight: 5_000, inOneCall: 10_000 },
    quick: { inFlight: 200, inOneCall: 200 },
    figures: {
      singlePerSecond: { label: '{inFlight} starts at once, a call each', unit: '/s', mark: { least: 15_000 } },
      inOneCallPerSecond: {
        label: '{inOneCall} starts in one call of the function',
        unit: '/s',
        mark: { least: 50_000 },
      },
    },
  },
};

export const notMeasured = [
  'a network: client, worker and server share this machine, and its cores',
  'more than one worker process; recovery; replay; a full cache',
  'payloads larger than some bytes; activities that do something',
  'tables of millions of rows; checkpoints and vacuum under load; a synchronous replica',
  'timers of parked workflows (those of 2 s stay in memory)',
];
