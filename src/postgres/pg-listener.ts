/**
 * LISTEN on a connection of its own, for as long as it is wanted.
 *
 * Owns: one connection, connecting again, noticing that it went silent. What was sent in between is lost; `reconnected` says so.
 */
import { backoffMs } from './backoff.js';
import { type ClientSource, within } from './client-source.js';
import type { ConnectPacer } from './connect-pacer.js';
import { Patience } from './patience.js';
import type { PgClient } from './pg-driver.js';

const DEADLINE_MS = 10_000;
/** A listener never sends, so a connection that a firewall forgot looks idle for ever. Asking twice a minute ends that. */
const HEARTBEAT_MS = 30_000;
/** A connection that broke sooner counts as a failure, so a server that accepts and hangs up is not asked in a tight loop. */
const LASTING_MS = 10_000;

export class PgListener {
  readonly #source: ClientSource;
  readonly #pacer: ConnectPacer;
  readonly #channel: string;
  readonly #heard: (payload: string) => void;
  readonly #reconnected: () => void;
  readonly #patience = new Patience({});
  readonly #ended: Promise<void>;
  /** Ends the connection of the moment. */
  #hangUp: () => void = () => {};

  constructor(
    source: ClientSource,
    pacer: ConnectPacer,
    channel: string,
    heard: (payload: string) => void,
    reconnected: () => void,
  ) {
    this.#source = source;
    this.#pacer = pacer;
    this.#channel = channel;
    this.#heard = heard;
    this.#reconnected = reconnected;
    this.#ended = this.#run();
  }

  async close(): Promise<void> {
    this.#patience.lose(new Error('no longer listening'));
    this.#hangUp();
    await this.#ended;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#patience.isLost) {
      try {
        await this.#pacer.turn(this.#patience);
        const client = await this.#pacer.attempt(() => this.#source.open('listen', DEADLINE_MS));
        const since = performance.now();
        await this.#untilBroken(client);
        failures = performance.now() - since < LASTING_MS ? failures + 1 : 1;
        await this.#patience.pause(backoffMs(failures));
      } catch {
        // The pacer has said so once, and its next turn waits.
      }
    }
  }

  async #untilBroken(client: PgClient): Promise<void> {
    const heartbeat = setInterval(
      () => within(DEADLINE_MS, client.query('select 1')).catch(this.#hangUp),
      HEARTBEAT_MS,
    );
    heartbeat.unref();
    try {
      await new Promise<void>((broken) => {
        this.#hangUp = broken;
        client.on('error', () => broken());
        client.on('end', broken);
        client.on('notification', ({ channel, payload }) => {
          if (channel === this.#channel) this.#heard(payload ?? '');
        });
        if (this.#patience.isLost) broken();
        else within(DEADLINE_MS, client.query(`listen "${this.#channel}"`)).then(this.#reconnected, () => broken());
      });
    } finally {
      clearInterval(heartbeat);
      this.#hangUp = () => {};
      this.#source.destroy(client);
    }
  }
}
