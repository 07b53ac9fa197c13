/** The answer to "why is this not moving?", as `handle.explain()` and `select explain(id)` give it. */
import type { ExecutionStatus } from './execution-filter.js';

/** A worker process that was there within the last day. */
export interface SeenWorker {
  readonly worker: number;
  /** Host and process. */
  readonly description: string;
  readonly alive: boolean;
  readonly leaseEndsAt: Date;
  readonly taskQueues: readonly string[];
  /** Names of the workflows it serves. */
  readonly workflows: readonly string[];
  readonly servesActivities: boolean;
}

/** The last error of an activity or a workflow function. */
export interface ErrorSeen {
  readonly name: string;
  readonly message: string;
}

/** Where an activity stands. Times and limits as far as the database keeps them. */
export interface ActivityDetails {
  readonly activity: string;
  /** 1, 2, ...: the one running or next to run. */
  readonly attempt?: number;
  /** How many there may be. */
  readonly attempts?: number;
  /** Attempts that were lost with their worker. */
  readonly losses?: number;
  readonly taskQueue?: string;
  readonly startedAt?: Date;
  readonly heartbeatAt?: Date;
  readonly dueAt?: Date;
  /** Of the attempt before; null where no codec is registered that can open it. */
  readonly lastError?: ErrorSeen | null;
  readonly worker?: number;
  readonly description?: string;
}

/** A kept signal whose name is similar to the one that is waited for. */
export interface SimilarSignal {
  readonly signalId: string;
  readonly count: number;
  readonly sentTo: 'anyone' | 'this workflow' | 'another workflow';
}

/** What is told beside each reason. */
export interface ReasonDetails {
  /** It has ended. */
  readonly finished: { readonly closedAt: Date; readonly lastError?: ErrorSeen | null };
  /** Its id is reserved (`pending`), nobody has started it. */
  readonly reserved: { readonly reservedUntilAt: Date };
  readonly paused: { readonly pausedAt: Date; readonly pauseReason?: string };
  /** No live worker's code fits its history, or can read it. `entry` is the history entry that differs. */
  readonly blocked: { readonly cause: string; readonly entry?: number; readonly triedBy?: readonly number[] };
  /** Workers died with it, twice or more in a row: it is tried again apart from others. */
  readonly suspect: { readonly deaths: number; readonly sinceAt: Date; readonly lastStepAt?: Date };
  /** It ended its workers too often, and is not tried again before it is resumed. */
  readonly quarantined: { readonly deaths: number; readonly sinceAt: Date; readonly lastStepAt?: Date };
  /** Nobody serves its function, or the queue of its activity. */
  readonly 'no-worker': Partial<ActivityDetails> & {
    readonly taskQueue: string;
    readonly workflowName?: string;
    readonly workers: readonly SeenWorker[];
  };
  /** The process that has it, or its activity, is not heard of. `workers`: when nobody is there to take it over. */
  readonly 'lease-expired': Partial<ActivityDetails> & {
    readonly worker: number;
    readonly leaseEndsAt?: Date;
    readonly workers?: readonly SeenWorker[];
  };
  /** It was started to begin later. */
  readonly delayed: { readonly startsAt: Date };
  /** It may go on, and its workers have no room yet. */
  readonly ready: { readonly readyAt: Date; readonly workers: number };
  /** A worker has it; see `waitsFor`. */
  readonly running: { readonly worker: number; readonly description?: string; readonly lastStepAt?: Date };
  /** Its function failed and is tried again. */
  readonly retry: { readonly attempt?: number; readonly dueAt: Date; readonly lastError?: ErrorSeen | null };
  /** A sleep. */
  readonly timer: { readonly dueAt: Date };
  readonly signal: {
    readonly signalId: string;
    readonly timesOutAt?: Date;
    readonly similar: readonly SimilarSignal[];
  };
  readonly child: { readonly workflowId: string };
  readonly hook: { readonly hook: number; readonly signalId: string; readonly state: string };
  readonly 'activity-running': ActivityDetails;
  /** An attempt failed, the next one is due at `dueAt`. */
  readonly 'activity-retry': ActivityDetails;
  /** It waits for room in a worker. */
  readonly 'activity-queued': ActivityDetails;
  /** It is to be completed from outside, by its task token. */
  readonly 'activity-outside': ActivityDetails;
  /** The outcome is there, and is taken next. */
  readonly delivered: Record<string, never>;
  /** Something else that its worker is about to have decided. */
  readonly operation: { readonly operation: number };
}

/** Why something does not move: a code, the same as a clause without its subject, and the facts. */
export type Reason = {
  readonly [R in keyof ReasonDetails]: {
    readonly reason: R;
    readonly message: string;
    readonly details: ReasonDetails[R];
  };
}[keyof ReasonDetails];

/** One of the things that a thread waits for. */
export type Awaited = Reason & {
  /** Of a child or a hook: why that one does not move. Null where the answer goes no deeper. */
  readonly of?: Explanation | ThreadExplanation | null;
};

/** Why a thread does not move. */
export type ThreadExplanation = Reason & {
  /** The most telling first. The reason of a thread that waits is that of the first. */
  readonly waitsFor: readonly Awaited[];
};

/** Why a workflow does not move. `message` is a sentence. */
export type Explanation = ThreadExplanation & {
  readonly workflowId: string;
  readonly run: number;
  readonly status: ExecutionStatus;
  readonly cancelRequested: boolean;
  /** When the workflow's own timeout is over, where it has one. */
  readonly timesOutAt?: Date;
  /** Its open hooks; the first 20. */
  readonly hooks: readonly (ThreadExplanation & {
    readonly hook: number;
    readonly workflowName: string;
    readonly taskQueue: string;
  })[];
};
