/**
 * A map of few entries that come and go: most executions have one operation open at a time, and a `Map` of one entry makes
 * itself anew every few `set` and `delete`.
 *
 * Its first entry stands beside the rest. In insertion order, as in a `Map`.
 */
export class SmallMap<K, V> {
  #hasFirst = false;
  #firstKey: K | undefined;
  #firstValue: V | undefined;
  /** All but the first; those that came behind it. */
  #rest: Map<K, V> | null = null;

  get size(): number {
    return (this.#hasFirst ? 1 : 0) + (this.#rest?.size ?? 0);
  }

  get(key: K): V | undefined {
    if (this.#hasFirst && this.#firstKey === key) return this.#firstValue;
    return this.#rest?.get(key);
  }

  has(key: K): boolean {
    return (this.#hasFirst && this.#firstKey === key) || (this.#rest?.has(key) ?? false);
  }

  set(key: K, value: V): this {
    if (this.#hasFirst ? this.#firstKey === key : this.#rest === null) {
      this.#hasFirst = true;
      this.#firstKey = key;
      this.#firstValue = value;
    } else {
      this.#rest ??= new Map();
      this.#rest.set(key, value);
    }
    return this;
  }

  delete(key: K): boolean {
    if (this.#hasFirst && this.#firstKey === key) {
      this.#hasFirst = false;
      this.#firstKey = undefined;
      this.#firstValue = undefined;
      return true;
    }
    const deleted = this.#rest?.delete(key) ?? false;
    if (this.#rest?.size === 0) this.#rest = null;
    return deleted;
  }

  clear(): void {
    this.#hasFirst = false;
    this.#firstKey = undefined;
    this.#firstValue = undefined;
    this.#rest = null;
  }

  *entries(): Generator<[K, V], void> {
    if (this.#hasFirst) yield [this.#firstKey as K, this.#firstValue as V];
    if (this.#rest !== null) yield* this.#rest;
  }

  *keys(): Generator<K, void> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): Generator<V, void> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): Generator<[K, V], void> {
    return this.entries();
  }
}
