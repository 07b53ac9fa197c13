/** The recorded history of an execution as a file holds it: what it takes to replay it elsewhere, on other code. */

/** Plain data, for `JSON.stringify`. Payloads are as they are stored: what passed a codec is sealed. */
export interface ExecutionHistory {
  /** Of this shape. */
  readonly format: 1;
  readonly namespace: string;
  readonly workflowId: string;
  /** Of its runs one after the other (continueAsNew), of each the main thread before its hooks. */
  readonly threads: readonly ThreadHistoryRecord[];
}

/** One thread of a run. */
export interface ThreadHistoryRecord {
  readonly workflowName: string;
  readonly taskQueue: string;
  /** 0, 1, ... among the runs of the id. */
  readonly run: number;
  /** Null: the main thread; else which of the run's hooks, from 0. */
  readonly hookNo: number | null;
  /** The signal that whoever opened the hook awaits. */
  readonly hookSignal: string | null;
  readonly runNo: number;
  readonly threadNo: number;
  /** What its random values come from. */
  readonly requestNo: number;
  /** Ms since the epoch. */
  readonly createdMs: number;
  readonly parentWorkflowId: string | null;
  readonly originId: string | null;
  readonly trace: string | null;
  readonly expireS: number | null;
  /** Of a run that was reset, forked or retried: whose its first entries are. */
  readonly lineage: string | null;
  /** The arguments: an array as JSON. */
  readonly args: string;
  /** Its retry policy as JSON; null: its worker's. */
  readonly config: string | null;
  readonly entries: readonly RecordedEntry[];
}

/** One commit of a thread. */
export interface RecordedEntry {
  readonly body: string;
  /** What the database decided about its commands. */
  readonly outcome: string | null;
}
