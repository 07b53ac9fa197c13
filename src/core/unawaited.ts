/**
 * The promise of a durable call. It may be left unawaited, or be awaited later than it rejects; in Node either would end
 * the process. So it counts as handled; whoever awaits it sees the rejection all the same.
 */
export function unawaited<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
