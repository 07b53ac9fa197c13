import { AsyncResource } from 'node:async_hooks';
import type { EmissionPage, EmissionQuery, EmissionRow } from '../postgres/protocol/emissions.js';

/** An event that a workflow emitted. */
export interface Emission {
  /** Grows with each event of the namespace. What to go on behind (`from`) after this one has been dealt with. */
  readonly position: number;
  readonly topic: string;
  readonly data: unknown;
  readonly workflowId: string;
  /** The run within the workflow id: 0, and one more with each `continueAsNew`. */
  readonly run: number;
  readonly emittedAt: Date;
}

/** One event after the other: the next comes when the promise of the last has resolved. */
export type EmissionCallback = (emission: Emission) => unknown;

/** What `client.workflow.subscribe` gives. */
export interface Subscription {
  /**
   * Everything up to here has been dealt with: the callback has returned, or it was not asked for. Store it, and
   * pass it as `from` to go on in another process.
   */
  readonly position: number;
  /**
   * Resolves when the subscription was ended, by {@link unsubscribe} or with its client, and the callback that was under way
   * has ended: `position` then stays. Rejects with what the callback threw, or when an event cannot be read: nothing more is
   * delivered then, and `position` stands before that event.
   */
  readonly ended: Promise<void>;
  /** Ends it: nothing more comes, whatever has been read already. May be called by the callback. */
  unsubscribe(): void;
}

/** Decodes an event and calls the callback with it. */
export type DealWith = (row: EmissionRow) => unknown;

/** A subscription as its reader sees it. */
export class OpenSubscription implements Subscription {
  readonly ended: Promise<void>;
  readonly #interest: Omit<EmissionQuery, 'after'>;
  readonly #dealWith: DealWith;
  readonly #forget: (subscription: OpenSubscription) => void;
  #position: number;
  #isDelivering = false;
  #isOpen = true;
  /** Ended meanwhile: tells so when the event under way has been dealt with. */
  #tellEnded: (() => void) | null = null;
  #resolveEnded: () => void = () => {};
  #rejectEnded: (error: unknown) => void = () => {};

  constructor(query: EmissionQuery, dealWith: DealWith, forget: (subscription: OpenSubscription) => void) {
    const { after, ...interest } = query;
    this.#position = after;
    this.#interest = interest;
    // A hint of a worker in this process would else bring its workflow's context along.
    this.#dealWith = AsyncResource.bind(dealWith);
    this.#forget = forget;
    this.ended = new Promise((resolve, reject) => {
      this.#resolveEnded = resolve;
      this.#rejectEnded = reject;
    });
  }

  get position(): number {
    return this.#position;
  }

  /** Whether more may be brought: not while the callback has the last. */
  get isIdle(): boolean {
    return this.#isOpen && !this.#isDelivering;
  }

  get query(): EmissionQuery {
    return { after: this.#position, ...this.#interest };
  }

  /** @returns when all of it has been dealt with. */
  async take({ rows, upTo }: EmissionPage): Promise<void> {
    if (!this.#isOpen) return;
    this.#isDelivering = true;
    await this.#deliver(rows, upTo);
    this.#isDelivering = false;
    this.#tellEnded?.();
  }

  /** The database has gone back behind its position (a standby that lagged was promoted): from there on all is new. */
  goBackTo(last: number): void {
    this.#position = Math.min(this.#position, last);
  }

  unsubscribe(): void {
    this.#end(this.#resolveEnded);
  }

  async #deliver(rows: readonly EmissionRow[], upTo: number): Promise<void> {
    try {
      for (const row of rows) {
        if (!this.#isOpen) return;
        await this.#dealWith(row);
        this.#position = row.emission_no;
      }
      this.#position = upTo;
    } catch (error) {
      this.#end(() => this.#rejectEnded(error));
    }
  }

  /** Nothing more comes; it is told when the event under way has been dealt with. */
  #end(settle: () => void): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#forget(this);
    if (this.#isDelivering) this.#tellEnded = settle;
    else settle();
  }
}
