/** A database that several clients and workers of this process use; the last one to release it closes it. */
import { ConnectionError } from '../core/errors.js';
import type { Database, Lane, Listener, Row, TransactionJob, TransactionOptions } from './database.js';

export abstract class SharedDatabase implements Database {
  abstract readonly kind: Database['kind'];
  #users = 1;
  readonly #closed: () => void;

  /** @param closed Told when the last user has gone, before anything is closed. */
  constructor(closed: () => void) {
    this.#closed = closed;
  }

  abstract lane(purpose: string, repeated?: () => void): Lane;
  abstract transaction(options: TransactionOptions, job: TransactionJob): Promise<Row[]>;
  abstract listen(channel: string, heard: (payload: string) => void, reconnected: () => void): Promise<Listener | null>;

  /** Whether it is this object. */
  isOn(_db: object): boolean {
    return false;
  }

  /** One user more. */
  retain(): this {
    this.#users++;
    return this;
  }

  async release(): Promise<void> {
    this.#users--;
    if (this.#users !== 0) return;
    this.#closed();
    await this.close();
  }

  protected assertOpen(): void {
    if (this.#users <= 0) throw new ConnectionError('this database was released by its last user');
  }

  protected abstract close(): Promise<void>;
}
