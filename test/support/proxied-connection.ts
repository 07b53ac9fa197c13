/**
 * One client connection and its counterpart at the server.
 *
 * 1. A client's messages are forwarded in whole requests (to the Sync or simple query that the server answers), so a
 *    cut falls between requests, never inside one.
 * 2. The server ends each answer with ReadyForQuery, in the order of the requests; the startup counts as the first.
 *    Counting both sides tells which answer belongs to a request, also when several are in flight.
 * 3. When the client goes, what it sent is still delivered before the server is told: as with a real network.
 */
import { connect, type Socket } from 'node:net';
import { DelayedWriter } from './delayed-writer.js';
import { MessageSplitter } from './pg-messages.js';

export type Moment = 'before-forward' | 'after-forward' | 'at-answer';

export interface Aim {
  readonly moment: Moment;
  matches(request: Buffer): boolean;
  hit(): void;
}

/** What a connection asks of the proxy it belongs to. */
export interface FaultRules {
  readonly delayMs: number;
  readonly silent: boolean;
  readonly onClientData: ((request: Buffer) => void) | null;
  readonly onServerData: ((data: Buffer) => void) | null;
  /** The aim that this request meets; it is then spent. */
  takeAim(request: Buffer): Aim | null;
}

const CANCEL_REQUEST = 80877102;
const TLS_REQUEST = 80877103;
const GSS_REQUEST = 80877104;

/** Simple query, Sync, function call: the server answers each with one ReadyForQuery. */
const ANSWERED = new Set(['Q', 'S', 'F']);
/** Forwarded at once: password, Flush, Terminate and the three of COPY. */
const UNANSWERED = new Set(['p', 'H', 'X', 'd', 'c', 'f']);

export class ProxiedConnection {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #rules: FaultRules;
  readonly #toClient: DelayedWriter;
  readonly #toServer: DelayedWriter;
  readonly #fromClient = new MessageSplitter(true);
  readonly #fromServer = new MessageSplitter(false);
  #started = false;
  #request: Buffer[] = [];
  #requests = 0;
  #answers = 0;
  /** The aim at the answer of request number `of`. */
  #withheld: { aim: Aim; of: number } | null = null;

  constructor(client: Socket, target: { host: string; port: number }, rules: FaultRules, closed: () => void) {
    this.#client = client;
    this.#rules = rules;
    this.#server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    this.#toClient = new DelayedWriter(client, rules);
    this.#toServer = new DelayedWriter(this.#server, rules);

    client.on('data', (chunk) => this.#clientSent(chunk));
    client.on('end', () => this.#toServer.end());
    this.#server.on('data', (chunk) => this.#serverSent(chunk));
    this.#server.on('end', () => this.#toClient.end());
    this.#server.on('error', () => this.#client.resetAndDestroy());
    client.on('error', () => {}); // 'close' follows
    client.on('close', () => {
      this.#toServer.end();
      if (this.#server.destroyed) closed();
    });
    this.#server.on('close', () => {
      this.#toClient.end();
      if (client.destroyed) closed();
    });
    this.silenceChanged();
  }

  cut(): void {
    this.#toClient.drop();
    this.#toServer.drop();
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
  }

  silenceChanged(): void {
    for (const socket of [this.#client, this.#server]) {
      if (this.#rules.silent) socket.pause();
      else socket.resume();
    }
    this.#toClient.flush();
    this.#toServer.flush();
  }

  #clientSent(chunk: Buffer): void {
    for (const message of this.#fromClient.push(chunk)) {
      if (!this.#started) this.#startup(message);
      else this.#collect(message);
    }
  }

  #startup(message: Buffer): void {
    const code = message.readUInt32BE(4);
    if (code === TLS_REQUEST || code === GSS_REQUEST) {
      // No encryption: the proxy has to read what passes.
      this.#toClient.write(Buffer.from('N'));
      this.#fromClient.expectUntyped();
      return;
    }
    this.#started = code !== CANCEL_REQUEST;
    this.#requests += 1;
    this.#toServer.write(message);
  }

  #collect(message: Buffer): void {
    this.#request.push(message);
    const type = String.fromCharCode(message[0] as number);
    if (!ANSWERED.has(type) && !UNANSWERED.has(type)) return;
    const request = Buffer.concat(this.#request);
    this.#request = [];
    if (ANSWERED.has(type)) this.#forward(request);
    else this.#toServer.write(request);
  }

  #forward(request: Buffer): void {
    if (this.#withheld !== null || this.#client.destroyed) return; // sent behind a query whose connection is being cut
    this.#rules.onClientData?.(request);
    const aim = this.#rules.takeAim(request);
    if (aim?.moment === 'before-forward') {
      this.cut();
      aim.hit();
      return;
    }
    this.#requests += 1;
    this.#toServer.write(request);
    if (aim?.moment === 'at-answer') this.#withheld = { aim, of: this.#requests };
    if (aim?.moment === 'after-forward') {
      this.#toClient.drop();
      this.#client.resetAndDestroy(); // its 'close' ends the server's side, behind the request (invariant 3)
      aim.hit();
    }
  }

  #serverSent(chunk: Buffer): void {
    const passed: Buffer[] = [];
    for (const message of this.#fromServer.push(chunk)) {
      if (!this.#withholds()) passed.push(message);
      if (message[0] === 0x5a /* Z, ReadyForQuery */) this.#answers += 1;
    }
    const data = Buffer.concat(passed);
    if (data.length > 0 && !this.#client.destroyed) {
      this.#rules.onServerData?.(data);
      this.#toClient.write(data);
    }
    if (this.#withheld !== null && this.#answers >= this.#withheld.of) {
      const { aim } = this.#withheld;
      this.#withheld = null;
      this.cut();
      aim.hit();
    }
  }

  #withholds(): boolean {
    return this.#withheld !== null && this.#answers >= this.#withheld.of - 1;
  }
}
