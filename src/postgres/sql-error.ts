/** An error that Postgres answered with, from either driver. */
import { errorFromSqlState, PermissionError } from '../core/errors.js';

const MISSING_RIGHT = '42501';

/** What `pg` and PGlite put on the errors they make of an ErrorResponse. */
interface ServerError extends Error {
  readonly code: string;
  readonly severity: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly constraint?: string;
  /** The C function that raised it: unlike message and severity never translated. */
  readonly routine?: string;
}

/** The statement was refused. `code` is the SQLSTATE; those of class `PD` are raised by our own functions. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  readonly code: string;
  declare readonly detail?: string;
  declare readonly hint?: string;

  constructor(cause: ServerError) {
    super(cause.message, { cause });
    this.code = cause.code;
    if (cause.detail !== undefined) this.detail = cause.detail;
    if (cause.hint !== undefined) this.hint = cause.hint;
  }
}

/** Whether the server said it, as opposed to the socket or the driver. `severity` tells: EPIPE looks like a SQLSTATE too. */
export function isServerError(error: unknown): error is ServerError {
  if (!(error instanceof Error)) return false;
  const { code, severity } = error as Partial<ServerError>;
  return typeof severity === 'string' && typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code);
}

/** Internal errors (XX) and errors of the system around the server (58): nothing that the statement asked for. */
export function isServerFault(error: unknown): boolean {
  return (error instanceof SqlError || isServerError(error)) && /^(XX|58)/.test(error.code);
}

/**
 * What a lane throws for what the server said. A missing right is told as such wherever it shows, on the first look at the schema or in any
 * call: nobody deals with it by its code. Everything else goes by its SQLSTATE, which callers look at: see {@link knownError}.
 */
export function serverFailure(error: ServerError): Error {
  const failure = new SqlError(error);
  return error.code === MISSING_RIGHT ? new PermissionError(error.message, { cause: failure }) : failure;
}

/** The error of ours that an SQLSTATE stands for; anything else as it is. */
export function knownError(error: unknown): unknown {
  return error instanceof SqlError ? (errorFromSqlState(error.code, error.message) ?? error) : error;
}
