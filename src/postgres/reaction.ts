/**
 * What a lane does about a failure. Nothing here is ever blamed on a caller's data: see docs/architecture.md, "Lost answers".
 */
import { isServerError, isServerFault } from './sql-error.js';

export type Reaction =
  /** The connection is gone, or good for nothing: take a new one and send the query again. */
  | 'reconnect'
  /** Send the query again on the same connection, a little later. */
  | 'repeat'
  /** The same, some times: a fault of the server's own, which may be over in a moment or stay for ever. */
  | 'retry'
  /** A pooler gave us another server connection than the one that knows our statement: go on without names. */
  | 'unprepare'
  /** The caller's. */
  | 'throw';

const CONNECTION = '08';
const CANNOT_CONNECT_NOW = /^57P/;
const REPEAT = /^(40001|40P01|53...|57...|58030)$/;
const READ_ONLY = '25006';
const UNIQUE_VIOLATION = '23505';
const NAME_TAKEN = '42P05';
const NAME_UNKNOWN = '26000';

/** Everything that the server did not say itself (socket errors, a closed client, our deadline) means a broken connection. */
export function reactionTo(error: unknown): Reaction {
  if (!isServerError(error)) return 'reconnect';
  const { code, routine, constraint } = error;
  if (code.startsWith(CONNECTION) || CANNOT_CONNECT_NOW.test(code)) return 'reconnect';
  if (REPEAT.test(code)) return 'repeat';
  if (isServerFault(error)) return 'retry';
  // The same entry was being committed, by an earlier sending of this call or from outside. Now it can be seen: see commit.sql.
  if (code === UNIQUE_VIOLATION && constraint === 'history_pkey') return 'repeat';
  if (code === NAME_TAKEN || code === NAME_UNKNOWN) return 'unprepare';
  // Connected to a primary that has become a standby. A new connection finds the new primary, by and by.
  if (code === READ_ONLY) return 'reconnect';
  // "cached plan must not change result type": a migration replaced the function. A new connection prepares anew.
  if (routine === 'RevalidateCachedQuery') return 'reconnect';
  return 'throw';
}

/** Whether connecting may succeed later without anybody changing a setting. With a wrong password or database name it will not. */
export function mayPass(connectError: unknown): boolean {
  if (isServerError(connectError)) return /^(08|25006|53|55|57)/.test(connectError.code);
  const { code, message } = connectError as { code?: unknown; message?: unknown };
  // ECONNREFUSED, ENOTFOUND, EAI_AGAIN, ...; not ERR_INVALID_ARG_TYPE, not DEPTH_ZERO_SELF_SIGNED_CERT.
  if (typeof code === 'string') return /^E(?!RR_)/.test(code);
  // The last two are what pg says of a client whose backend ended between its connecting and its first query.
  return typeof message === 'string' && /terminated|timeout|no answer|not queryable|connection ended/i.test(message);
}
