import * as v from 'valibot';
import { parseDuration } from '../core/duration.js';
import { parseOptions } from '../core/options.js';
import type { CallerTransaction } from '../postgres/caller-transaction.js';
import { transactionOf, transactionOption } from './caller-transactions.js';

/** How long a signal that nobody awaits yet is kept, unless `expire` says otherwise. */
export const SIGNAL_EXPIRE_MS = 10 * 60 * 1000;

/** Options of `client.workflow.signal` and `handle.signal`. */
export interface SignalOptions {
  /** How long it is kept when nobody waits for it. Default 10 minutes. */
  readonly expire?: string | number;
  /** Your own open transaction: the signal is sent when it commits, and never was when it is rolled back. See docs/transactions.md. */
  readonly transaction?: CallerTransaction;
}

const signalOptions = v.strictObject({ expire: v.optional(v.unknown()), transaction: transactionOption });

/** @throws {InvalidArgumentError} */
export function resolveSignalOptions(options: string | number | SignalOptions | undefined): {
  expireMs: number;
  transaction: CallerTransaction | undefined;
} {
  const given = typeof options === 'object' ? parseOptions('signal', signalOptions, options) : { expire: options };
  const { expire, transaction } = given as { expire?: string | number; transaction?: unknown };
  return {
    expireMs: expire === undefined ? SIGNAL_EXPIRE_MS : parseDuration('signal', expire, 'expire'),
    transaction: transactionOf('signal', transaction),
  };
}
