/**
 * Numbers claims, upward, so that a claim can be repeated when its answer was lost, and so that what older claims took
 * and nobody heard of can be told from what a claim under way may still bring.
 */
export class ClaimNumbers {
  readonly #inFlight = new Set<number>();
  #next = 1;

  /** Runs a claim under a number of its own. */
  async claim<T>(run: (claimNo: number) => Promise<T>): Promise<T> {
    const claimNo = this.draw();
    this.#inFlight.add(claimNo);
    try {
      return await run(claimNo);
    } finally {
      this.#inFlight.delete(claimNo);
    }
  }

  draw(): number {
    return this.#next++;
  }

  /** All claims below this number have been answered. */
  get answeredBefore(): number {
    return Math.min(this.#next, ...this.#inFlight);
  }
}
