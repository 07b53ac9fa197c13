/**
 * Which fault comes next. A plan either has so many of each and is over when they have happened, or goes on by weights for as long as it is
 * asked.
 */

/** What cannot happen here (there is no PgBouncer, say) is not asked for for ever. */
const IN_VAIN_AT_MOST = 5;

export class Plan {
  readonly #random: () => number;
  readonly #isCounted: boolean;
  /** Of each fault: how many are to come, or its weight. */
  readonly #left: Map<string, number>;
  readonly #happened = new Map<string, { times: number; count: number }>();
  readonly #inVain = new Map<string, number>();

  /** @param isCounted `faults` says how many single faults of each there shall be, rather than how often each comes in relation. */
  constructor(faults: Readonly<Record<string, number>>, isCounted: boolean, random: () => number) {
    this.#left = new Map(Object.entries(faults).filter(([, n]) => n > 0));
    this.#isCounted = isCounted;
    this.#random = random;
  }

  /** @returns null when all has happened that was planned, or may be planned no more. */
  next(): string | null {
    const weights = [...this.#left].map(([name, left]) => [name, this.#weightOf(name, left)] as const);
    let at = this.#random() * weights.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of weights) {
      at -= weight;
      if (at < 0) return name;
    }
    return weights.at(-1)?.[0] ?? null;
  }

  /** @param count Of single faults; 0 when there was nothing to break. */
  happened(name: string, count: number): void {
    if (!this.#isCounted) return;
    const inVain = count > 0 ? 0 : (this.#inVain.get(name) ?? 0) + 1;
    this.#inVain.set(name, inVain);
    const before = this.#happened.get(name) ?? { times: 0, count: 0 };
    if (count > 0) this.#happened.set(name, { times: before.times + 1, count: before.count + count });
    const left = (this.#left.get(name) ?? 0) - count;
    if (left <= 0 || inVain >= IN_VAIN_AT_MOST) this.#left.delete(name);
    else this.#left.set(name, left);
  }

  /** As many calls as are still needed of it, so that those end together of which one call is many faults. */
  #weightOf(name: string, left: number): number {
    if (!this.#isCounted) return left;
    const { times, count } = this.#happened.get(name) ?? { times: 1, count: 1 };
    return (left * times) / count;
  }
}
