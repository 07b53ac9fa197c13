/**
 * An abort controller made when somebody asks for its signal. Few activities do, and an AbortSignal, an event target of
 * about 1 KB, for each attempt cost a quarter of a worker's CPU.
 */
export class LazyAbort {
  #controller: AbortController | null = null;
  #aborted = false;
  #reason: unknown;

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** What it was aborted with, where it was. */
  get outcome(): { readonly reason: unknown } | null {
    return this.#aborted ? { reason: this.#reason } : null;
  }

  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
