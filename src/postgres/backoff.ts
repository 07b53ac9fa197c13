/** Pauses between attempts: exponential up to a second, jittered so that a fleet does not return in step. */
const LONGEST_MS = 1_000;

/** Never shorter than the series itself, so at the end of it there is at most one attempt a second. */
export function backoffMs(failures: number, firstMs = 50): number {
  const series = Math.min(LONGEST_MS, firstMs * 2 ** Math.min(failures - 1, 20));
  return series * (1 + Math.random() / 2);
}
