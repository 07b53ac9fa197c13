/**
 * Cuts one direction of a Postgres connection into protocol messages (type byte, length, body), however TCP sliced it.
 * Large messages are joined once, when complete: a 1 MiB commit must not cost one copy a chunk.
 */
export class MessageSplitter {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** The first message of a client has no type byte. */
  #untyped: boolean;

  constructor(untyped: boolean) {
    this.#untyped = untyped;
  }

  /** The messages that `chunk` completed. */
  push(chunk: Buffer): Buffer[] {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    const messages: Buffer[] = [];
    for (
      let length = this.#nextLength();
      length !== null && length <= this.#pendingBytes;
      length = this.#nextLength()
    ) {
      messages.push(this.#take(length));
      this.#untyped = false;
    }
    return messages;
  }

  /** For what comes before the startup message proper: a request for TLS leaves the connection untyped. */
  expectUntyped(): void {
    this.#untyped = true;
  }

  #nextLength(): number | null {
    const lengthAt = this.#untyped ? 0 : 1;
    if (this.#pendingBytes < lengthAt + 4) return null;
    let head = this.#pending[0] as Buffer;
    if (head.length < lengthAt + 4) head = this.#join();
    return lengthAt + head.readUInt32BE(lengthAt);
  }

  #take(length: number): Buffer {
    const head = this.#pending[0] as Buffer;
    const all = head.length >= length ? head : this.#join();
    const rest = all.subarray(length);
    if (all === head) this.#pending.shift();
    else this.#pending = [];
    if (rest.length > 0) this.#pending.unshift(rest);
    this.#pendingBytes -= length;
    return all.subarray(0, length);
  }

  #join(): Buffer {
    const joined = Buffer.concat(this.#pending);
    this.#pending = [joined];
    return joined;
  }
}
