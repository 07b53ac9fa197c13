/**
 * The one table of the engine's errors: class, code, SQLSTATE, and what to say about it. The documentation's list and the
 * translation of errors raised in SQL both come from here. SQLSTATE class `PD` is ours: Postgres uses only `P0` among the
 * classes with P, and leaves the others to applications.
 */
import { ApplicationFailure } from './application-failure.js';
import type { PerdureError } from './branded-error.js';
import {
  ConnectionError,
  IsolationLevelError,
  LeaseLostError,
  NondeterminismError,
  PayloadCodecError,
  SchemaVersionError,
} from './infrastructure-errors.js';
import {
  ActivityNotFoundError,
  DeterminismError,
  DocumentError,
  DuplicateJobError,
  GetStateError,
  HookRefusedError,
  InactiveJobError,
  InsideTransactionError,
  InvalidArgumentError,
  OperationRefusedError,
  PayloadError,
  PayloadTooLargeError,
  PermissionError,
  QueueFullError,
  SharedPromiseError,
  SignalQuotaError,
  TransactionError,
  WorkflowContextError,
} from './misuse-errors.js';
import {
  ActivityLostError,
  CancelledFailure,
  CompleteAsyncError,
  DurableFatalError,
  DurableMaxedError,
  DurableRetryError,
  DurableTimeoutError,
  TerminatedError,
} from './outcome-errors.js';
import {
  DurableChildError,
  DurableContinueAsNewError,
  DurableProxyError,
  DurableSleepError,
  DurableWaitForAllError,
  DurableWaitForError,
} from './suspension-errors.js';

type ErrorClass = { readonly prototype: PerdureError };

/** One row of {@link errorTable}. */
export interface ErrorEntry {
  /** Name of the class, equal to the `type` of its instances. */
  readonly type: string;
  readonly errorClass: ErrorClass;
  /** When it is seen: misuse is thrown at once, an outcome is stored, infrastructure is retried by the engine. */
  readonly family: 'misuse' | 'outcome' | 'infrastructure' | 'suspension';
  /** Value of `code` on instances; null where they have none. */
  readonly code: number | null;
  /** SQLSTATE under which the protocol functions raise it; null where only TypeScript does. */
  readonly sqlState: string | null;
  /** Makes the error from the message raised in SQL; given where `sqlState` is. */
  readonly fromSql?: (message: string) => PerdureError;
  /** What happened. */
  readonly meaning: string;
  /** What to do next. */
  readonly remedy: string;
}

export const errorTable: readonly ErrorEntry[] = [
  {
    type: 'DurableFatalError',
    errorClass: DurableFatalError,
    family: 'outcome',
    code: 598,
    sqlState: null,
    meaning: 'An activity, child or workflow failed and is not retried.',
    remedy: 'See `cause` for the original error. Mend the reason and start again.',
  },
  {
    type: 'DurableMaxedError',
    errorClass: DurableMaxedError,
    family: 'outcome',
    code: 597,
    sqlState: null,
    meaning: 'All retries were used up.',
    remedy: 'Mend the reason in the message, or allow more with `maximumAttempts`.',
  },
  {
    type: 'DurableTimeoutError',
    errorClass: DurableTimeoutError,
    family: 'outcome',
    code: 596,
    sqlState: null,
    meaning: 'An activity exceeded one of its limits; `timeoutType` and the message say which.',
    remedy: 'Allow more time, let the activity do less per call, or, where nobody took it, start workers of its queue.',
  },
  {
    type: 'ApplicationFailure',
    errorClass: ApplicationFailure,
    family: 'outcome',
    code: null,
    sqlState: null,
    meaning: 'A failure of a function of yours that says itself whether and when it is retried.',
    remedy: 'See its `type` and `details`.',
  },
  {
    type: 'CompleteAsyncError',
    errorClass: CompleteAsyncError,
    family: 'outcome',
    code: null,
    sqlState: null,
    meaning: 'Not a failure: thrown by an activity whose result comes from outside.',
    remedy: 'Complete it with `client.activity.complete(taskToken, result)`.',
  },
  {
    type: 'DurableRetryError',
    errorClass: DurableRetryError,
    family: 'outcome',
    code: 599,
    sqlState: null,
    meaning: 'A failure that may be retried.',
    remedy: 'Nothing while retries are left. With `throwOnError: false` it is the last failure of the activity.',
  },
  {
    type: 'ActivityLostError',
    errorClass: ActivityLostError,
    family: 'outcome',
    code: 598,
    sqlState: null,
    meaning: 'The worker died during the activity, several times in a row.',
    remedy: 'Look for what ends the process in the activity: memory, process.exit, native code.',
  },
  {
    type: 'CancelledFailure',
    errorClass: CancelledFailure,
    family: 'outcome',
    code: null,
    sqlState: null,
    meaning: 'The workflow was asked to cancel.',
    remedy: 'Let it pass, or catch it, clean up in `CancellationScope.nonCancellable` and return.',
  },
  {
    type: 'TerminatedError',
    errorClass: TerminatedError,
    family: 'outcome',
    code: 410,
    sqlState: null,
    meaning: 'The workflow was terminated from outside; `code` is 410 or the one that was given.',
    remedy: 'The message is the reason given by whoever terminated it.',
  },
  {
    type: 'InvalidArgumentError',
    errorClass: InvalidArgumentError,
    family: 'misuse',
    code: null,
    sqlState: 'PD003',
    fromSql: (message) => new InvalidArgumentError(message),
    meaning: 'An argument or option was refused; nothing was done.',
    remedy: 'The message names the argument, the rule and what was given.',
  },
  {
    type: 'PermissionError',
    errorClass: PermissionError,
    family: 'misuse',
    code: null,
    sqlState: '42501',
    fromSql: (message) => new PermissionError(message),
    meaning: 'The database role of the connection lacks a right; nothing was done.',
    remedy: 'Grant what the message names to the role (docs/roles.md), or connect as another one.',
  },
  {
    type: 'PayloadError',
    errorClass: PayloadError,
    family: 'misuse',
    code: null,
    sqlState: null,
    meaning: 'A value cannot be stored as JSON.',
    remedy: 'Convert what the path in the message points to.',
  },
  {
    type: 'PayloadTooLargeError',
    errorClass: PayloadTooLargeError,
    family: 'misuse',
    code: null,
    sqlState: 'PD004',
    fromSql: (message) => new PayloadTooLargeError(message),
    meaning: 'A value is larger than what may be stored in one piece.',
    remedy: 'Store it elsewhere and pass a reference, or raise the limit.',
  },
  {
    type: 'DuplicateJobError',
    errorClass: DuplicateJobError,
    family: 'misuse',
    code: null,
    sqlState: 'PD409',
    fromSql: (message) => new DuplicateJobError(jobIdIn(message), message),
    meaning: 'The workflow id is taken, by a running workflow or a finished one that is still kept.',
    remedy: 'Use another id, or take a handle to the existing workflow.',
  },
  {
    type: 'GetStateError',
    errorClass: GetStateError,
    family: 'misuse',
    code: 404,
    sqlState: 'PD404',
    fromSql: (message) => new GetStateError(jobIdIn(message), message),
    meaning: 'No workflow of this id is stored: it never existed, or was pruned.',
    remedy: 'Check id and namespace; a longer `expire` keeps finished workflows longer.',
  },
  {
    type: 'InactiveJobError',
    errorClass: InactiveJobError,
    family: 'misuse',
    code: null,
    sqlState: 'PD410',
    fromSql: (message) => new InactiveJobError(jobIdIn(message), message),
    meaning: 'The workflow is finished, so what was asked of it cannot be done any more.',
    remedy: 'Read its outcome with `result()`.',
  },
  {
    type: 'HookRefusedError',
    errorClass: HookRefusedError,
    family: 'misuse',
    code: null,
    sqlState: null,
    meaning: 'The workflow takes no hook: it was started with `signalIn: false`, or is only reserved.',
    remedy: 'Start it without `signalIn: false`, or open the hook once it is started.',
  },
  {
    type: 'OperationRefusedError',
    errorClass: OperationRefusedError,
    family: 'misuse',
    code: null,
    sqlState: null,
    meaning: 'The workflow cannot be paused, reset or retried as it stands; `reason` says why. Nothing was changed.',
    remedy: 'See `reason` and the message: it names what is possible, e.g. the entries to go back to.',
  },
  {
    type: 'QueueFullError',
    errorClass: QueueFullError,
    family: 'misuse',
    code: 429,
    sqlState: null,
    meaning: 'As much waits on the task queue as `maxBacklog` of the client allows. Nothing was started.',
    remedy: 'Start it later, add workers, or let the client wait for room (`onFull`).',
  },
  {
    type: 'SignalQuotaError',
    errorClass: SignalQuotaError,
    family: 'misuse',
    code: 429,
    sqlState: 'PD429',
    fromSql: (message) => new SignalQuotaError(null, message),
    meaning: 'As many signals are kept under the id, or for the workflow, as may be. This one was not accepted.',
    remedy: 'Send it later, let somebody wait for them, or keep more: `limit_kept_signals` (docs/overload.md).',
  },
  {
    type: 'DocumentError',
    errorClass: DocumentError,
    family: 'misuse',
    code: null,
    sqlState: null,
    meaning: 'A search or entity call met something else than it works on. Nothing was changed.',
    remedy: 'Look at what stands at the place that the message names; set it right, or use another place.',
  },
  {
    type: 'ActivityNotFoundError',
    errorClass: ActivityNotFoundError,
    family: 'misuse',
    code: null,
    sqlState: null,
    meaning: 'No activity waits for what was sent under a task token: wrong token, finished, or a later attempt.',
    remedy: '`reason` says which. The outcome that was recorded first counts.',
  },
  {
    type: 'WorkflowContextError',
    errorClass: WorkflowContextError,
    family: 'misuse',
    code: null,
    sqlState: null,
    meaning: 'A function that belongs inside a workflow was called where no workflow runs.',
    remedy:
      'Call it from a function that a worker runs; wrap callbacks of emitters and queues with AsyncResource.bind.',
  },
  {
    type: 'InsideTransactionError',
    errorClass: InsideTransactionError,
    family: 'misuse',
    code: null,
    sqlState: null,
    meaning: 'A call was made inside a transaction on the PGlite object that it needs itself.',
    remedy: 'Make the call before the transaction, or when that has ended.',
  },
  {
    type: 'TransactionError',
    errorClass: TransactionError,
    family: 'misuse',
    code: null,
    sqlState: 'PD006',
    fromSql: (message) => new TransactionError(message, 'ended'),
    meaning: 'A call could not take part in a transaction of yours, or a transactional activity had none any more.',
    remedy:
      '`reason` and the message say why. Pass the client inside its transaction; leave commit and rollback to whoever began it.',
  },
  {
    type: 'SharedPromiseError',
    errorClass: SharedPromiseError,
    family: 'misuse',
    code: null,
    sqlState: null,
    meaning:
      'A durable call ran in the context of another execution than the one it was made for, or an execution went on because of another one.',
    remedy: 'Do not share promises, caches or loaders between workflows, or wrap the callback with AsyncResource.bind.',
  },
  {
    type: 'DeterminismError',
    errorClass: DeterminismError,
    family: 'misuse',
    code: null,
    sqlState: null,
    meaning: "Workflow code called what differs in a replay, under a worker with `determinism: 'strict'`.",
    remedy: 'Use the durable call that the message names, or put the call into an activity.',
  },
  {
    type: 'ConnectionError',
    errorClass: ConnectionError,
    family: 'infrastructure',
    code: null,
    sqlState: null,
    meaning: 'The database could not be reached in time; the call may or may not have taken effect.',
    remedy: "Check the database (`cause` has the driver's error), then repeat the call with the same id.",
  },
  {
    type: 'IsolationLevelError',
    errorClass: IsolationLevelError,
    family: 'infrastructure',
    code: null,
    sqlState: 'PD001',
    fromSql: (message) => new IsolationLevelError(message),
    meaning: 'The transaction has another isolation level than READ COMMITTED.',
    remedy: 'Begin the transaction with `isolation level read committed`.',
  },
  {
    type: 'LeaseLostError',
    errorClass: LeaseLostError,
    family: 'infrastructure',
    code: null,
    sqlState: 'PD002',
    fromSql: (message) => new LeaseLostError(message, workerNoIn(message)),
    meaning: 'The worker was declared dead, or its work now belongs to another worker.',
    remedy: 'Nothing: the work is done again. If it is frequent, look for a blocked event loop.',
  },
  {
    type: 'SchemaVersionError',
    errorClass: SchemaVersionError,
    family: 'infrastructure',
    code: null,
    sqlState: 'PD005',
    fromSql: (message) => new SchemaVersionError(message),
    meaning: "The namespace's schema and this code do not fit together.",
    remedy: 'Upgrade the side that the message names.',
  },
  {
    type: 'PayloadCodecError',
    errorClass: PayloadCodecError,
    family: 'infrastructure',
    code: null,
    sqlState: null,
    meaning: 'Stored text could not be read or written.',
    remedy: 'Register the codec and key it was written with; what waited then goes on.',
  },
  {
    type: 'NondeterminismError',
    errorClass: NondeterminismError,
    family: 'infrastructure',
    code: null,
    sqlState: null,
    meaning: 'The code did something else than the history records. The workflow is blocked, not failed.',
    remedy: 'Deploy code that fits the history; put changes behind `patched()`.',
  },
  suspension('DurableSleepError', DurableSleepError, 588),
  suspension('DurableWaitForAllError', DurableWaitForAllError, 589),
  suspension('DurableChildError', DurableChildError, 590),
  suspension('DurableProxyError', DurableProxyError, 591),
  suspension('DurableContinueAsNewError', DurableContinueAsNewError, 592),
  suspension('DurableWaitForError', DurableWaitForError, 595),
];

function suspension(type: string, errorClass: ErrorClass, code: number): ErrorEntry {
  return {
    type,
    errorClass,
    family: 'suspension',
    code,
    sqlState: null,
    meaning: 'Never thrown: Perdure suspends without throwing.',
    remedy: 'Kept so that programs that name the class go on working.',
  };
}

const byType = new Map(errorTable.map((entry) => [entry.type, entry]));
const bySqlState = new Map(errorTable.map((entry) => [entry.sqlState, entry]));

/** The row of a class by its name, which is also the `type` of its instances. */
export function errorEntry(type: string): ErrorEntry | undefined {
  return byType.get(type);
}

/**
 * The error for a SQLSTATE of ours, with the message that SQL raised. Null for any other state: such an error is Postgres'
 * own and keeps its class. Where the class has a `jobId`, it is read from the message.
 *
 * @example
 * throw errorFromSqlState(error.code, error.message) ?? error;
 */
export function errorFromSqlState(sqlState: string, message: string): PerdureError | null {
  return bySqlState.get(sqlState)?.fromSql?.(message) ?? null;
}

/** The id in one of the contract's messages: `Duplicate job: <id>`, `<id> Not Found`, `Job <id> not found` and the like. */
function jobIdIn(message: string): string {
  const known = /^Duplicate job: (.*)$|^(.*) Not Found$|^Job (.*) (?:not found|already completed|is .*)$/s.exec(
    message,
  );
  return known?.[1] ?? known?.[2] ?? known?.[3] ?? '';
}

function workerNoIn(message: string): number | null {
  const known = /^worker (\d+) /.exec(message);
  return known === null ? null : Number(known[1]);
}
