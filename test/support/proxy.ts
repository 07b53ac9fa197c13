/**
 * A TCP proxy in front of Postgres that breaks connections on demand.
 *
 * Owns: which fault applies now. Does not own: one connection's traffic (proxied-connection.ts).
 */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { whenTestFinished } from './lifetime.js';
import { type Aim, type FaultRules, type Moment, ProxiedConnection } from './proxied-connection.js';

export type { Moment } from './proxied-connection.js';

export interface ProxyTarget {
  readonly host?: string;
  readonly port: number;
}

/** In front of `target` (a database URL, or host and port). Closed when the running test ends. */
export async function startProxy(target: string | ProxyTarget): Promise<PostgresProxy> {
  const { hostname, port } =
    typeof target === 'string' ? new URL(target) : { hostname: target.host, port: target.port };
  const proxy = new PostgresProxy(hostname ?? '127.0.0.1', Number(port || 5432));
  await proxy.listen();
  whenTestFinished(() => proxy.close());
  return proxy;
}

export class PostgresProxy implements FaultRules {
  /** Added to each direction; a round trip takes twice as long. The order is kept. */
  delayMs = 0;
  /** Sees each complete request (to its Sync) before it is forwarded. */
  onClientData: ((request: Buffer) => void) | null = null;
  /** Sees each piece of an answer before it is forwarded. */
  onServerData: ((data: Buffer) => void) | null = null;

  readonly #host: string;
  #port: number;
  readonly #server: Server;
  readonly #open = new Set<ProxiedConnection>();
  #aims: Aim[] = [];
  #refusing = false;
  #silent = false;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
    this.#server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (client) =>
      this.#accept(client),
    );
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#open.size;
  }

  get silent(): boolean {
    return this.#silent;
  }

  /** The same database, through the proxy. */
  url(databaseUrl: string): string {
    const url = new URL(databaseUrl);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.href;
  }

  /** New connections lead to this port from now on. Open ones stay where they are. */
  pointTo(port: number): void {
    this.#port = port;
  }

  /** Resets every open connection, on both sides. */
  cut(): void {
    for (const connection of [...this.#open]) connection.cut();
  }

  /** While on, new connections are reset as soon as they are made. Open ones go on. */
  refuse(on: boolean): void {
    this.#refusing = on;
  }

  /**
   * While on, nothing passes in either direction and nobody is told: new connections are accepted and stay silent.
   * What was sent meanwhile arrives when it is turned off, as after a network partition.
   */
  blackHole(on: boolean): void {
    this.#silent = on;
    for (const connection of this.#open) connection.silenceChanged();
  }

  /**
   * Cuts the connection of the next query whose bytes match, once. Resolves when the cut was made.
   *
   * - `before-forward`: the server never sees the query.
   * - `after-forward`: the server runs the query; its effect may appear a moment after the client saw the cut.
   * - `at-answer`: the server answered completely (so it committed); the client gets no byte of the answer.
   *
   * A prepared statement's text is sent once only; later queries carry its name.
   */
  cutNextQuery(moment: Moment, matches: string | ((request: Buffer) => boolean) = () => true): Promise<void> {
    const test = typeof matches === 'string' ? (request: Buffer) => request.includes(matches) : matches;
    return new Promise((hit) => this.#aims.push({ moment, matches: test, hit }));
  }

  takeAim(request: Buffer): Aim | null {
    const aim = this.#aims.find((candidate) => candidate.matches(request)) ?? null;
    this.#aims = this.#aims.filter((candidate) => candidate !== aim);
    return aim;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    const connection = new ProxiedConnection(client, { host: this.#host, port: this.#port }, this, () =>
      this.#open.delete(connection),
    );
    this.#open.add(connection);
  }
}
