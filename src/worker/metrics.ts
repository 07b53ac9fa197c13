/**
 * A worker process's figures, through OpenTelemetry's metrics API; their names and units stand in docs/observability.md.
 *
 * Without a registered SDK each method looks up one property and returns. With one it costs an update per batch of commits or
 * claims, and one per activity attempt and per run that ends, never one per step.
 */

import {
  type Attributes,
  type Counter,
  engineMeter,
  type Gauge,
  type Histogram,
  type Meter,
  meterProvider,
  type Observed,
} from '../telemetry/api.js';

/** What a process holds at the moment it is asked. */
export interface Holdings {
  /** Threads it owns. */
  readonly owned: number;
  /** Parked ones whose instances it keeps. */
  readonly cached: number;
  /** Activity attempts that run. */
  readonly activities: number;
}

interface Instruments {
  readonly entries: Counter;
  readonly batchSize: Histogram;
  readonly commitDuration: Histogram;
  readonly claims: Counter;
  readonly scheduleToStart: Histogram;
  readonly workflowDuration: Histogram;
  readonly activityDuration: Histogram;
  readonly blocked: Counter;
  readonly quarantined: Counter;
  readonly leasesLost: Counter;
  readonly reaped: Counter;
  readonly stalls: Histogram;
  readonly executions: Gauge;
  readonly activities: Gauge;
}

const SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const SHORT_S = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const LONG_S = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400, 604_800];

export class Metrics {
  readonly #common: Attributes;
  readonly #holdings: () => Holdings;
  #provider: object | null = null;
  #instruments: Instruments | null = null;
  #closed = false;

  constructor(namespace: string, holdings: () => Holdings) {
    this.#common = { 'perdure.namespace': namespace };
    this.#holdings = holdings;
    this.watch();
  }

  /** Whether anybody wants figures: then whoever measures a duration begins to. */
  get active(): boolean {
    return meterProvider() !== null;
  }

  /** Finds an SDK that was registered or changed meanwhile, for the figures that are asked for. */
  watch(): void {
    const provider = meterProvider();
    if (provider === this.#provider || this.#closed) return;
    this.#ignore();
    this.#provider = provider;
    const meter = engineMeter();
    this.#instruments = meter === null ? null : instrumentsOf(meter);
    this.#instruments?.executions.addCallback(this.#executions);
    this.#instruments?.activities.addCallback(this.#activities);
  }

  /** A batch of history entries is durable, or as many as it had were. */
  committed(entries: number, ms: number): void {
    const to = this.#to();
    to?.entries.add(entries, this.#common);
    to?.batchSize.record(entries, this.#common);
    to?.commitDuration.record(ms / 1_000, this.#common);
  }

  claimed(kind: 'workflow' | 'activity', count: number): void {
    if (count > 0) this.#to()?.claims.add(count, { ...this.#common, 'claim.kind': kind });
  }

  /** A run begins: so long after it was started. */
  started(workflowName: string, taskQueue: string, ms: number): void {
    const attributes = { ...this.#common, 'workflow.name': workflowName, 'workflow.task_queue': taskQueue };
    this.#to()?.scheduleToStart.record(Math.max(0, ms) / 1_000, attributes);
  }

  /** A thread ended, so long after its run began. */
  ended(workflowName: string, outcome: string, ms: number): void {
    const attributes = { ...this.#common, 'workflow.name': workflowName, 'workflow.outcome': outcome };
    this.#to()?.workflowDuration.record(Math.max(0, ms) / 1_000, attributes);
  }

  attempted(activityName: string, outcome: string, ms: number): void {
    const attributes = { ...this.#common, 'activity.name': activityName, 'activity.outcome': outcome };
    this.#to()?.activityDuration.record(ms / 1_000, attributes);
  }

  blocked(workflowName: string): void {
    this.#to()?.blocked.add(1, { ...this.#common, 'workflow.name': workflowName });
  }

  quarantined(workflowName: string): void {
    this.#to()?.quarantined.add(1, { ...this.#common, 'workflow.name': workflowName });
  }

  leaseLost(): void {
    this.#to()?.leasesLost.add(1, this.#common);
  }

  stalled(ms: number): void {
    this.#to()?.stalls.record(ms / 1_000, this.#common);
  }

  reaped(workers: number): void {
    if (workers > 0) this.#to()?.reaped.add(workers, this.#common);
  }

  close(): void {
    this.#ignore();
    this.#closed = true;
  }

  #to(): Instruments | null {
    this.watch();
    return this.#instruments;
  }

  #ignore(): void {
    this.#instruments?.executions.removeCallback(this.#executions);
    this.#instruments?.activities.removeCallback(this.#activities);
    this.#instruments = null;
  }

  readonly #executions = (result: Observed): void => {
    const { owned, cached } = this.#holdings();
    result.observe(owned, { ...this.#common, 'execution.state': 'owned' });
    result.observe(cached, { ...this.#common, 'execution.state': 'cached' });
  };

  readonly #activities = (result: Observed): void => {
    result.observe(this.#holdings().activities, this.#common);
  };
}

function instrumentsOf(meter: Meter): Instruments {
  const histogram = (name: string, unit: string, explicitBucketBoundaries: number[], description: string) =>
    meter.createHistogram(name, { description, unit, advice: { explicitBucketBoundaries } });
  const counter = (name: string, unit: string, description: string) => meter.createCounter(name, { description, unit });
  const gauge = (name: string, unit: string, description: string) =>
    meter.createObservableGauge(name, { description, unit });
  return {
    entries: counter('perdure.commit.entries', '{entry}', 'History entries committed: the steps of workflows'),
    batchSize: histogram('perdure.commit.batch.size', '{entry}', SIZES, 'Entries in one commit'),
    commitDuration: histogram('perdure.commit.duration', 's', SHORT_S, 'From sending a commit to its answer'),
    claims: counter('perdure.claims', '{claim}', 'Workflow threads and activity tasks claimed'),
    scheduleToStart: histogram(
      'perdure.workflow.schedule_to_start',
      's',
      LONG_S,
      'From the start of a run to its begin',
    ),
    workflowDuration: histogram('perdure.workflow.duration', 's', LONG_S, 'From the start of a run to its end'),
    activityDuration: histogram('perdure.activity.duration', 's', LONG_S, 'Of one attempt of an activity'),
    blocked: counter('perdure.workflow.blocked', '{block}', 'Histories that did not fit the code of a worker'),
    quarantined: counter(
      'perdure.workflow.quarantined',
      '{workflow}',
      'Workflows whose workers died with them too often',
    ),
    leasesLost: counter('perdure.worker.leases.lost', '{lease}', 'Times this process was declared dead and began anew'),
    reaped: counter('perdure.worker.reaped', '{worker}', 'Workers that this process declared dead'),
    stalls: histogram(
      'perdure.worker.stall.duration',
      's',
      LONG_S,
      'How long code held up the event loop, from a second on',
    ),
    executions: gauge('perdure.worker.executions', '{execution}', 'Workflow threads in memory'),
    activities: gauge('perdure.worker.activities', '{attempt}', 'Activity attempts that run'),
  };
}
