/** The public API of Perdure. */

// inside an activity
export { type ActivityContext, type ActivityTransaction, activity } from './activity/context.js';
export type { ActivityInboundCallsInterceptor } from './activity/interceptors.js';

// clients
export type { BulkOptions, BulkResetOptions, BulkResult } from './client/bulk.js';
export { Client, type ClientHookOptions, type ClientOptions } from './client/client.js';
export { Connection } from './client/connection.js';
export { Engine, type TopicCallback } from './client/engine.js';
export type { ExecutionList, ExecutionPage, ExecutionSummary, ListOptions } from './client/execution-list.js';
export type {
  DurableJobExport,
  ExecutionExportOptions,
  ExportedFailure,
  ExportOptions,
  ExportSection,
  TimelineEntry,
  TimelineValue,
  Transition,
  WorkflowEventAttributes,
  WorkflowEventCategory,
  WorkflowEventType,
  WorkflowExecution,
  WorkflowExecutionEvent,
  WorkflowExecutionSummary,
} from './client/export-types.js';
export type { Exporter } from './client/exporter.js';
export { WorkflowHandle } from './client/handle.js';
export type { PauseOptions, ResumeOptions } from './client/pause.js';
export type { PruneOptions } from './client/prune.js';
export type { ResetOptions, RetryWorkflowOptions } from './client/reset.js';
export type { SignalOptions } from './client/signal-options.js';
export type { SignalWithStartOptions, StartOptions } from './client/start-options.js';
export type { WorkflowState, WorkflowStateMetadata } from './client/state.js';
export type { SubscribeOptions } from './client/subscribe.js';
export type { Emission, EmissionCallback, Subscription } from './client/subscription.js';
export {
  listWorkerRoles,
  type ProvisionWorkerRoleOptions,
  provisionWorkerRole,
  type RevokeWorkerRoleOptions,
  type RotateWorkerPasswordOptions,
  revokeWorkerRole,
  rotateWorkerPassword,
  type WorkerRole,
} from './client/worker-roles.js';
export type { PayloadCodec } from './codec/payload-codec.js';
export type { EntityRow } from './core/document-engine.js';
export type { EntityConditions } from './core/entity-conditions.js';
export * as Errors from './core/errors.js';
export type { ExecutionFilter, ExecutionStatus, Moment, TimeRange } from './core/execution-filter.js';
export type { ExecutionHistory, RecordedEntry, ThreadHistoryRecord } from './core/execution-history.js';
export type {
  ActivityDetails,
  Awaited,
  ErrorSeen,
  Explanation,
  Reason,
  ReasonDetails,
  SeenWorker,
  SimilarSignal,
  ThreadExplanation,
} from './core/explanation.js';
export type { HookOptions } from './core/hook-options.js';
export { uuid } from './core/identifier.js';
export type { EventsConfig, SystemEvent } from './core/lifecycle-events.js';
export type { Log, Logger, LogMethod } from './core/logger.js';
export type { RetryOptions } from './core/retry-policy.js';
export type { SearchOptions, SearchValue } from './core/search-fields.js';
export type {
  ParentClosePolicy,
  StartTerms,
  WorkflowIdConflictPolicy,
  WorkflowIdReusePolicy,
} from './core/start-terms.js';
export type { TerminateOptions } from './core/termination.js';
export type { WorkflowArguments, WorkflowResult } from './core/workflow-types.js';
export { Durable, guid, shutdown } from './durable.js';
// words
export type { CallerTransaction } from './postgres/caller-transaction.js';
export type { ConnectionOptions, ConnectionsByRole } from './postgres/connection.js';
export type { WorkerCredentials } from './postgres/credentials.js';
export { migrationScript, SCHEMA_VERSION } from './postgres/migrate.js';
export type { Archive, ArchivedEntry, ArchivedExecution, ArchivedStep } from './worker/archived-execution.js';
export type { WorkerInterceptors } from './worker/interceptors.js';
export type { UserFunction, UserFunctions, WorkerOptions, WorkerTuning } from './worker/options.js';
// workers
export { type ActivityWorkerOptions, registerActivityWorker, Worker } from './worker/worker.js';
export type { CancellationScopeOptions } from './workflow/cancellation.js';
export type { ChildWorkflowOptions } from './workflow/child.js';
export type { ConditionOptions } from './workflow/condition.js';
export type { OnceOptions } from './workflow/emit.js';

export { Entity } from './workflow/entity.js';
export type { PageOptions } from './workflow/entity-finders.js';

export type { BatchHook, ExecHookOptions } from './workflow/hook.js';

export type { WorkflowInfo } from './workflow/info.js';
export type {
  Next,
  WorkflowContextMap,
  WorkflowInboundCallsInterceptor,
  WorkflowInboundCallsInterceptor as WorkflowInterceptor,
  WorkflowOutboundCallsInterceptor,
  WorkflowOutboundCallsInterceptor as ActivityInterceptor,
} from './workflow/interceptors.js';
export {
  type ActivityCall,
  type ActivityOptions,
  type ActivityProxy,
  proxyActivities,
} from './workflow/proxy-activities.js';
export type { StepOptions } from './workflow/run.js';
export { Search } from './workflow/search.js';
// inside a workflow
export { didInterrupt } from './workflow/workflow.js';
export { workflow } from './workflow.js';
