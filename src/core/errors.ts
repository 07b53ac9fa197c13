/** All error classes of the engine, by family, and the table that describes them. */
export { ApplicationFailure, type ApplicationFailureOptions } from './application-failure.js';
export { PerdureError } from './branded-error.js';
export { type ErrorEntry, errorEntry, errorFromSqlState, errorTable } from './error-table.js';
export {
  ConnectionError,
  IsolationLevelError,
  LeaseLostError,
  type Mismatch,
  NondeterminismError,
  PayloadCodecError,
  SchemaVersionError,
} from './infrastructure-errors.js';
export {
  ActivityNotFoundError,
  type ActivityNotFoundReason,
  DeterminismError,
  DocumentError,
  DuplicateJobError,
  GetStateError,
  HookRefusedError,
  InactiveJobError,
  InsideTransactionError,
  InvalidArgumentError,
  type OperationRefusal,
  OperationRefusedError,
  PayloadError,
  type PayloadSize,
  PayloadTooLargeError,
  PermissionError,
  QueueFullError,
  SharedPromiseError,
  SignalQuotaError,
  TransactionError,
  type TransactionErrorReason,
  WorkflowContextError,
} from './misuse-errors.js';
export {
  ActivityLostError,
  type ActivityTimeoutType,
  CancelledFailure,
  CompleteAsyncError,
  DurableFatalError,
  DurableMaxedError,
  DurableRetryError,
  DurableTimeoutError,
  TerminatedError,
  type TimeoutType,
} from './outcome-errors.js';
export {
  DurableChildError,
  DurableContinueAsNewError,
  DurableProxyError,
  DurableSleepError,
  DurableWaitForAllError,
  DurableWaitForError,
  SuspensionError,
} from './suspension-errors.js';
