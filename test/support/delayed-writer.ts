import type { Socket } from 'node:net';

/** Writes to a socket after the delay that holds now, in order, and not at all while the proxy is silent. */
export class DelayedWriter {
  readonly #socket: Socket;
  readonly #rules: { readonly delayMs: number; readonly silent: boolean };
  /** `data` is null for the end of the stream. */
  #queue: { readonly dueAt: number; readonly data: Buffer | null }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(socket: Socket, rules: { readonly delayMs: number; readonly silent: boolean }) {
    this.#socket = socket;
    this.#rules = rules;
  }

  write(data: Buffer): void {
    if (!this.#ended) this.#enqueue(data);
  }

  /** After everything written so far. */
  end(): void {
    if (!this.#ended) this.#enqueue(null);
    this.#ended = true;
  }

  drop(): void {
    this.#ended = true;
    this.#queue = [];
    clearTimeout(this.#timer);
  }

  flush(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    while (!this.#rules.silent && this.#queue[0] !== undefined && this.#queue[0].dueAt <= now) {
      const { data } = this.#queue.shift() as { data: Buffer | null };
      if (this.#socket.destroyed) continue;
      if (data === null) this.#socket.end();
      else this.#socket.write(data);
    }
    const next = this.#queue[0];
    if (next !== undefined && !this.#rules.silent) this.#timer = setTimeout(() => this.flush(), next.dueAt - now);
  }

  #enqueue(data: Buffer | null): void {
    this.#queue.push({ dueAt: performance.now() + this.#rules.delayMs, data });
    this.flush();
  }
}
