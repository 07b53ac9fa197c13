/**
 * Calls that take part in a transaction of the user's own.
 *
 * Owns: the order of a call: what must not wait for the user's commit is done on our own connection, the rest in the
 * transaction. Does not own: what is a transaction (postgres/caller-transaction.ts).
 */

import * as v from 'valibot';
import { TransactionError } from '../core/errors.js';
import {
  type CallerTransaction,
  checkTransaction,
  type Joined,
  joinTransaction,
  PLACE,
} from '../postgres/caller-transaction.js';
import type { Database, Lane, QueryOptions } from '../postgres/database.js';
import { untilFree } from '../postgres/held-row.js';
import {
  cancelInTransaction,
  declareInTransaction,
  declareWorkflow,
  type KeptOut,
  signalInTransaction,
  startInTransaction,
} from '../postgres/protocol/caller-transactions.js';
import type { SignalAnswer, SignalItem, StartAnswer, StartItem } from '../postgres/protocol/executions.js';

/** The option `transaction`, looked into by {@link transactionOf}. */
export const transactionOption = v.optional(v.unknown());

/** @throws {InvalidArgumentError} for what can be no transaction. */
export function transactionOf(call: string, value: unknown): CallerTransaction | undefined {
  return value === undefined ? undefined : checkTransaction(call, value);
}

/** How a link reaches the database by itself. */
export interface OwnConnection {
  readonly kind: Database['kind'];
  readonly schema: string;
  readonly lane: Lane;
  readonly patience: QueryOptions & { readonly giveUpAfterMs: number };
}

export class CallerTransactions {
  readonly #own: OwnConnection;
  #place: Promise<string> | null = null;

  constructor(own: OwnConnection) {
    this.#own = own;
  }

  /** Asks where the database is, which cannot be asked any more where its one connection is in the user's transaction. */
  async prepare(): Promise<void> {
    if (this.#own.kind === 'pglite') await this.#ownPlace(false);
  }

  async start(item: StartItem, transaction: CallerTransaction): Promise<StartAnswer> {
    const joined = await this.#join('start', transaction);
    const { schema } = this.#own;
    let answer = await startInTransaction(joined, schema, item);
    if (answer === 'undeclared') {
      await this.#declare(joined, item);
      answer = await startInTransaction(joined, schema, item);
    }
    if (typeof answer === 'object') return answer;
    throw keptOut('start', answer, `the id "${item.workflowId}"`);
  }

  async signal(item: SignalItem, transaction: CallerTransaction): Promise<SignalAnswer> {
    const answer = await signalInTransaction(await this.#join('signal', transaction), this.#own.schema, item);
    if (!isKeptOut(answer)) return answer;
    throw keptOut('signal', answer, `the signal "${item.signalId}" or its receiver`);
  }

  async cancel(workflowId: string, chainNo: number | null, transaction: CallerTransaction): Promise<boolean> {
    const answer = await cancelInTransaction(
      await this.#join('cancel', transaction),
      this.#own.schema,
      workflowId,
      chainNo,
    );
    if (!isKeptOut(answer)) return answer === 'asked';
    throw keptOut('cancel', answer, `the workflow "${workflowId}"`);
  }

  #join(call: string, transaction: CallerTransaction): Promise<Joined> {
    return joinTransaction(call, transaction, (anew) => this.#ownPlace(anew));
  }

  /** The row of a new name is committed at once: in an open transaction it would hold up workers that serve the name. */
  async #declare(joined: Joined, item: StartItem): Promise<void> {
    const { kind, schema, lane, patience } = this.#own;
    if (kind === 'pglite') await declareInTransaction(joined, schema, item);
    else await untilFree(() => declareWorkflow(lane, schema, item, patience), patience.giveUpAfterMs);
  }

  #ownPlace(anew: boolean): Promise<string> {
    if (anew && this.#own.kind === 'pglite' && this.#place !== null) return this.#place;
    if (this.#place === null || anew) {
      const { lane, patience } = this.#own;
      const asked = lane.query<{ place: string }>({ text: `select ${PLACE} as place`, values: [] }, patience);
      const place = asked.then(([row]) => row?.place ?? '');
      place.catch(() => {
        if (this.#place === place) this.#place = null;
      });
      this.#place = place;
    }
    return this.#place;
  }
}

function isKeptOut(status: string): status is KeptOut {
  return status === 'outside' || status === 'held';
}

function keptOut(call: string, status: string, what: string): Error {
  if (status === 'held') {
    return new TransactionError(
      `${call}: another transaction has held ${what} for 5 s. Roll back and try again, or wait until that has ended`,
      'held',
    );
  }
  if (status !== 'outside') return new TypeError(`${call}: the database answered ${status}`);
  return new TransactionError(
    `${call}: the connection that was given as transaction is in none. Say begin on it before, and give a client, not a Pool`,
    'outside',
  );
}
