/**
 * Hints between processes: "there may be something on queue 12". They make things faster and are never needed: every reader
 * also polls, and whoever can connect can send or flood them.
 *
 * Owns: collecting hints, sending them as a statement of its own (inside the commits NOTIFY costs 38 to 46 % of them, at 4 to 8
 * committers), delivering them here and from other processes. Does not own: what a hint means.
 *
 * 1. A hint holds a kind and perhaps a small number, no id and no data: everybody can LISTEN. `q12`: work for service 12.
 *    `w7`: mail for worker 7. `r5`: chain 5 has ended. `m`: something was emitted. `t` tidying, `x` limits in time of tasks, `o`
 *    of runs, `d` descendants to end, `p` pruning, `u` suspects: housekeeping. `a`: see {@link LOST}. (`e5`, run 5 was ended or
 *    begun from outside, is for whoever gets it with an answer, and is not sent: {@link changedRuns}.)
 * 2. Nothing here is waited for and nothing throws. What cannot be sent is dropped.
 * 3. A hint given here is heard here even if the database is away, and once: what a notifier sent itself is ignored when
 *    it comes back.
 */
import { randomBytes } from 'node:crypto';
import type { Database, DatabaseLogger, Lane, Listener } from './database.js';
import { messageOf } from './patience.js';
import type { ResultRow, StartAnswer, StartItem, TakenHere } from './protocol/executions.js';

/** "Anything may have been missed": after the listening connection was made, or made again. Never comes from outside. */
export const ANYTHING = '*';

/** Hints were lost with the answer they came with: whoever hears this looks everywhere. */
export const LOST = 'a';

/** Parts what an answer says: hints to be told, and runs of which lifecycle events tell. */
export function changedRuns(hints: string | null): {
  readonly hints: readonly string[];
  readonly runs: readonly number[];
} {
  if (hints === null || hints === '') return NOTHING;
  const told: string[] = [];
  const runs: number[] = [];
  for (const hint of hints.split(',')) {
    if (/^e\d/.test(hint)) runs.push(Number(hint.slice(1)));
    else if (hint !== '') told.push(hint);
  }
  return { hints: told, runs };
}

const NOTHING = { hints: [], runs: [] };

const HINT = /^[a-z]{1,8}\d{0,16}$/;
const STATEMENT_EVERY_MS = 5;
/** Postgres takes 8,000 bytes. What does not fit goes with the next statement. */
const MOST_BYTES = 7_000;
/** A hint older than this is worth nothing: readers have polled. */
const GIVE_UP_AFTER_MS = 2_000;
/** What a flood can make us handle of one message. */
const MOST_HINTS_HEARD = 1_000;

export interface NotifierOptions {
  /** Whether hints go to other processes and come from them. Once on for a schema of a database, on for all who share it. */
  readonly remote?: boolean;
  readonly logger?: DatabaseLogger | undefined;
}

/** A worker of this process, as clients of this process see it. */
export interface StartsHere {
  /**
   * Sends starts as calls under a claim of the worker's, as far as it serves their workflows and has room: what was started
   * is here at once.
   */
  start(items: readonly StartItem[], send: SendStarts): Promise<StartAnswer[]>;
}

export type SendStarts = (here: TakenHere | null) => Promise<StartAnswer[]>;

const shared = new WeakMap<Database, Map<string, Notifier>>();

/** The notifier of a schema, one per database and process. Each caller closes it once. */
export function openNotifier(database: Database, schema: string, options: NotifierOptions = {}): Notifier {
  const bySchema = shared.get(database) ?? new Map<string, Notifier>();
  shared.set(database, bySchema);
  const known = bySchema.get(schema);
  if (known !== undefined) return known.join(options);
  const notifier = new Notifier(database, schema, options, () => bySchema.delete(schema));
  bySchema.set(schema, notifier);
  return notifier;
}

export class Notifier {
  readonly #database: Database;
  readonly #channel: string;
  readonly #logger: DatabaseLogger | undefined;
  readonly #forget: () => void;
  /** Marks what this notifier sent. Functions that notify by themselves, in a caller's transaction, send bare hints. */
  readonly #sender = randomBytes(6).toString('hex');
  readonly #subscribers = new Set<(hint: string) => void>();
  /** Set while this process has a worker. */
  startsHere: StartsHere | null = null;
  readonly #endings = new Set<(ending: ResultRow) => void>();
  #users = 1;
  #isRemote: boolean;

  #delivering: Set<string> | null = null;

  readonly #outgoing = new Set<string>();
  #lane: Lane | null = null;
  #sending: Promise<void> | null = null;

  #listening: Promise<Listener | null> | null = null;

  constructor(database: Database, schema: string, { remote = true, logger }: NotifierOptions, forget: () => void) {
    this.#database = database;
    this.#channel = `perdure_${schema}`;
    this.#logger = logger;
    this.#forget = forget;
    this.#isRemote = remote;
  }

  /** One user more. */
  join({ remote = true }: NotifierOptions): this {
    this.#users++;
    this.#isRemote ||= remote;
    if (this.#subscribers.size > 0) this.#listen();
    return this;
  }

  /** Tells subscribers here, in the next macrotask, and other processes, unless `localOnly`. */
  notify(hint: string, { localOnly = false }: { readonly localOnly?: boolean } = {}): void {
    this.#deliver(hint);
    if (localOnly || !this.#isRemote || this.#users === 0) return;
    this.#outgoing.add(hint);
    this.#sending ??= this.#send();
  }

  /** Calls `heard` with each hint, and with {@link ANYTHING}. The first subscriber makes the notifier listen. */
  subscribe(heard: (hint: string) => void): () => void {
    this.#subscribers.add(heard);
    this.#listen();
    return () => this.#subscribers.delete(heard);
  }

  /** A chain has ended, durably, and this process knows how: whoever waits for it here need not ask. */
  ended(ending: ResultRow): void {
    for (const heard of this.#endings) heard(ending);
  }

  onEnded(heard: (ending: ResultRow) => void): () => void {
    this.#endings.add(heard);
    return () => this.#endings.delete(heard);
  }

  /** One user less; the last one ends both connections. */
  async close(): Promise<void> {
    this.#users--;
    if (this.#users !== 0) return;
    this.#forget();
    this.#subscribers.clear();
    this.#outgoing.clear();
    const listener = await this.#listening;
    await listener?.close().catch((error: unknown) => this.#note('listening could not be ended', error));
    await this.#sending;
    await this.#lane?.close();
  }

  /** Collected until the macrotask: a batch that concerns one queue a hundred times is one hint. */
  #deliver(hint: string): void {
    if (this.#delivering !== null) {
      this.#delivering.add(hint);
      return;
    }
    const hints = new Set([hint]);
    this.#delivering = hints;
    setImmediate(() => {
      this.#delivering = null;
      for (const heard of this.#subscribers) {
        for (const each of hints) this.#tell(heard, each);
      }
    });
  }

  #tell(heard: (hint: string) => void, hint: string): void {
    try {
      heard(hint);
    } catch (error) {
      this.#note('a subscriber failed', error);
    }
  }

  /** One statement at a time, and none within 5 ms of the last: what comes meanwhile goes with the next. */
  async #send(): Promise<void> {
    await new Promise(setImmediate);
    while (this.#outgoing.size > 0) {
      const pause = new Promise((resolve) => setTimeout(resolve, STATEMENT_EVERY_MS));
      const query = { text: 'select pg_notify($1, $2)', name: 'notify', values: [this.#channel, this.#takePayload()] };
      try {
        this.#lane ??= this.#database.lane('notify');
        await this.#lane.query(query, { giveUpAfterMs: GIVE_UP_AFTER_MS });
      } catch (error) {
        this.#note('hints were not sent', error);
      }
      await pause;
    }
    this.#sending = null;
  }

  #takePayload(): string {
    const hints: string[] = [];
    let bytes = this.#sender.length + 1;
    for (const hint of this.#outgoing) {
      bytes += hint.length + 1;
      if (bytes > MOST_BYTES) break;
      this.#outgoing.delete(hint);
      hints.push(hint);
    }
    return `${this.#sender}:${hints.join()}`;
  }

  #listen(): void {
    if (!this.#isRemote || this.#listening !== null) return;
    const listening = this.#database.listen(
      this.#channel,
      (payload) => this.#receive(payload),
      () => this.#deliver(ANYTHING),
    );
    this.#listening = listening.catch((error: unknown) => {
      this.#note('listening failed', error);
      this.#listening = null;
      return null;
    });
  }

  #receive(payload: string): void {
    const [sender, hints] = split(payload);
    if (sender === this.#sender) return;
    for (const hint of hints.split(',', MOST_HINTS_HEARD)) if (HINT.test(hint)) this.#deliver(hint);
  }

  #note(what: string, error: unknown): void {
    this.#logger?.warn({ channel: this.#channel, reason: messageOf(error) }, `${what}; polling goes on`);
  }
}

function split(payload: string): [sender: string | null, hints: string] {
  const colon = payload.indexOf(':');
  return colon < 0 ? [null, payload] : [payload.slice(0, colon), payload.slice(colon + 1)];
}
