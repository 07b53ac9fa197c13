/**
 * Names of prepared statements: only for the few hot calls (15 % off the server's CPU per call), and only where a connection
 * keeps them. Behind a pooler in transaction mode 160 of 240 calls failed with "prepared statement already exists".
 */
import type { DatabaseLogger, Query } from './database.js';
import { messageOf } from './patience.js';

export class StatementNames {
  readonly #logger: DatabaseLogger | undefined;
  /** By text: two namespaces on one connection prepare different texts under the same name of ours. */
  readonly #names = new Map<string, string>();
  #allowed: boolean;

  constructor(allowed: boolean, logger: DatabaseLogger | undefined) {
    this.#allowed = allowed;
    this.#logger = logger;
  }

  of({ name, text }: Query): string | undefined {
    if (!this.#allowed || name === undefined) return undefined;
    let unique = this.#names.get(text);
    if (unique === undefined) {
      // Postgres keeps 63 bytes of it, so what makes it unique stands first.
      unique = `perdure_${this.#names.size}_${name}`.slice(0, 63);
      this.#names.set(text, unique);
    }
    return unique;
  }

  /** A statement was unknown or known twice: there is a pooler in between. No names from now on. */
  giveUp(error: unknown): void {
    if (!this.#allowed) return;
    this.#allowed = false;
    this.#logger?.warn(
      { reason: messageOf(error) },
      "prepared statements do not work on this connection, going on without. Behind a pooler in transaction mode pass pooler: 'transaction'",
    );
  }
}
