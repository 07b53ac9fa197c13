/** What exports of workflows look like: the shapes and their words are a contract with the programs that read them. */

import type { WorkflowState, WorkflowStateMetadata } from './state.js';

// ---- handle.export()

export type ExportSection = 'data' | 'state' | 'status' | 'timeline' | 'transitions';

/** Options of `handle.export`. */
export interface ExportOptions {
  /** The sections to make. Default: all. */
  readonly allow?: readonly ExportSection[];
  /** Sections to leave out, also of those allowed. */
  readonly block?: readonly ExportSection[];
  /** False: `data` and `$error` of the timeline's values are `{}`. Default true. */
  readonly values?: boolean;
  /** True: activities and children of the timeline have their arguments as `input`. Default false. */
  readonly enrich_inputs?: boolean;
}

/** A workflow as `handle.export` shows it: the sections that were asked for. */
export interface DurableJobExport {
  /** The search fields, and the arguments of the newest run as `arguments`. */
  readonly data?: Record<string, unknown> & { readonly arguments: readonly unknown[] };
  /** As `handle.state(true)`. */
  readonly state?: { readonly data: WorkflowState; readonly metadata: WorkflowStateMetadata };
  /** As `handle.status()`. */
  readonly status?: number;
  /** Each durable call, by its position: first those of the main thread, then hooks, then later runs (continueAsNew). */
  readonly timeline?: readonly TimelineEntry[];
  /** When the threads went on: one for each entry of their histories. */
  readonly transitions?: readonly Transition[];
}

export interface TimelineEntry {
  /** `-{kind}{dimension}-{index}-`, with a further `{secondary}-` for calls of a session. */
  readonly key: string;
  /** What came of the call; an object has when it began and ended (`ac`, `au`), compact UTC, the latter once it has. */
  readonly value: TimelineValue;
  /** The position among the calls of its thread: 1, 2, ... */
  readonly index: number;
  /** Of a call of a search or entity session: 0, 1, ... */
  readonly secondary?: number;
  /** Which thread: left out for the main one, `,0,0`, `,0,1` ... for hooks, behind `$1`, `$2` ... for later runs. */
  readonly dimension?: string;
}

export type TimelineValue = Readonly<Record<string, unknown>> | string | number | boolean | null;

export interface Transition {
  /** `trigger` for the start; then the name of the function that ran. */
  readonly activity: string;
  /** As {@link TimelineEntry.dimension}; empty for the main thread. */
  readonly dimensions: string;
  /** Of the thread's history, from 0; left out for the start. */
  readonly entry?: number;
  /** Compact UTC: when it began, and when it was durable. */
  readonly created: string;
  readonly updated: string;
}

// ---- handle.exportExecution()

/** Options of `handle.exportExecution` and `handle.exportEvents`. */
export interface ExecutionExportOptions {
  /** `'verbose'` exports the children too, with theirs. Default `'sparse'`. */
  readonly mode?: 'sparse' | 'verbose';
  /** Levels of children in verbose mode; those at the limit have `children: []`. Default 5. */
  readonly max_depth?: number;
  /** Leaves out activities whose names begin with `lt`. Default false. */
  readonly exclude_system?: boolean;
  /** Leaves out inputs and results, not failures. Default false. */
  readonly omit_results?: boolean;
  /** Adds the arguments of activities, children and, where it has no search fields, the workflow. Default false. */
  readonly enrich_inputs?: boolean;
  /** Adds `parent_workflow_id` and `origin_id`. Default false. */
  readonly include_lineage?: boolean;
  /** Accepted: exports are always made from the rows, also of workflows that ended long ago, until they are pruned. */
  readonly allow_direct_query?: boolean;
  /** Accepted, without effect. */
  readonly include_stream_history?: boolean;
}

/** What went wrong, as stored. */
export interface ExportedFailure {
  readonly name: string;
  readonly message: string;
  readonly code?: number;
  readonly stack?: string;
  /** Id of the workflow it speaks of. */
  readonly job_id?: string;
  readonly cause?: ExportedFailure;
}

/** Where in its thread a call stands. */
interface Place {
  readonly timeline_key: string;
  readonly execution_index: number;
  /** The entry of its thread's history that recorded the event, from 0: what `handle.reset` goes back to, in the newest run. */
  readonly entry: number;
}

interface ActivityEnd extends Place {
  readonly activity_type: string;
  readonly input?: unknown;
  readonly scheduled_event_id: number;
}

interface ChildEnd extends Place {
  readonly child_workflow_id: string;
  readonly initiated_event_id: number;
}

/** By type of event. `kind` repeats the type. */
export type WorkflowEventAttributes =
  | {
      readonly kind: 'workflow_execution_started';
      readonly workflow_type: string;
      readonly task_queue: string;
      /** Its search fields; where it has none, its arguments with `enrich_inputs`. */
      readonly input?: unknown;
    }
  | { readonly kind: 'workflow_execution_completed'; readonly result?: unknown }
  | { readonly kind: 'workflow_execution_failed'; readonly failure?: ExportedFailure }
  | ({ readonly kind: 'activity_task_scheduled'; readonly activity_type: string; readonly input?: unknown } & Place)
  | ({ readonly kind: 'activity_task_completed'; readonly result?: unknown } & ActivityEnd)
  | ({ readonly kind: 'activity_task_failed'; readonly failure: ExportedFailure } & ActivityEnd)
  | ({
      readonly kind: 'child_workflow_execution_started';
      readonly child_workflow_id: string;
      /** False for `startChild`. */
      readonly awaited: boolean;
      readonly input?: unknown;
    } & Place)
  | ({ readonly kind: 'child_workflow_execution_completed'; readonly result?: unknown } & ChildEnd)
  | ({ readonly kind: 'child_workflow_execution_failed'; readonly failure: ExportedFailure } & ChildEnd)
  | ({ readonly kind: 'timer_started'; readonly duration_ms: number } & Place)
  | ({
      readonly kind: 'timer_fired';
      /** The `timer_started`; or, of a `condition` that timed out, its `signal_wait_started`. */
      readonly initiated_event_id: number;
      /** Of a `condition` that timed out. */
      readonly signal_name?: string;
    } & Place)
  | ({
      readonly kind: 'signal_wait_started';
      readonly signal_name: string;
      /** After which it times out, when it does. */
      readonly timeout_ms?: number;
    } & Place)
  | ({
      readonly kind: 'workflow_execution_signaled';
      readonly signal_name: string;
      readonly input?: unknown;
      readonly initiated_event_id: number;
    } & Place);

export type WorkflowEventType = WorkflowEventAttributes['kind'];

export type WorkflowEventCategory = 'workflow' | 'activity' | 'child_workflow' | 'timer' | 'signal';

export interface WorkflowExecutionEvent {
  /** 1, 2, ... within the export. What an event refers to has a lower id. */
  readonly event_id: number;
  readonly event_type: WorkflowEventType;
  readonly category: WorkflowEventCategory;
  /** ISO 8601, in order. */
  readonly event_time: string;
  /** Of an end: since its start. */
  readonly duration_ms: number | null;
  /** Of an activity whose name begins with `lt`. */
  readonly is_system: boolean;
  readonly attributes: WorkflowEventAttributes;
}

export interface WorkflowExecutionSummary {
  readonly total_events: number;
  readonly activities: {
    readonly total: number;
    readonly completed: number;
    readonly failed: number;
    readonly system: number;
    readonly user: number;
  };
  readonly child_workflows: { readonly total: number; readonly completed: number; readonly failed: number };
  /** Sleeps that began. */
  readonly timers: number;
  /** Signals that were received. */
  readonly signals: number;
}

/** A workflow as `handle.exportExecution` shows it: what happened, in order. */
export interface WorkflowExecution {
  readonly workflow_id: string;
  readonly workflow_type: string;
  readonly task_queue: string;
  readonly status: 'running' | 'completed' | 'failed';
  readonly start_time: string;
  readonly close_time: string | null;
  readonly duration_ms: number | null;
  /** What it returned, else its search fields, else null. Null with `omit_results`. */
  readonly result: unknown;
  readonly events: readonly WorkflowExecutionEvent[];
  readonly summary: WorkflowExecutionSummary;
  /** In verbose mode: its children, in the order in which they were started. */
  readonly children?: readonly WorkflowExecution[];
  /** With `include_lineage`: who started it, and the root of the tree; null on a root. */
  readonly parent_workflow_id?: string | null;
  readonly origin_id?: string | null;
}
