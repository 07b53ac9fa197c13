/** Interceptors on the worker's side: user code around the bodies of activities, layer by layer. */

/**
 * Around each attempt of an activity, where it runs. `Durable.activity.getContext()` works, durable calls do not. Its
 * time counts towards `startToCloseTimeout`, and what it throws is what the attempt failed with.
 *
 * @example
 * Durable.registerActivityInboundInterceptor({
 *   execute: async (activityName, args, next) => await tracer.span(activityName, next),
 * });
 */
export interface ActivityInboundCallsInterceptor {
  /**
   * @param args The body's arguments; changing the array before `next()` changes them.
   * @returns the attempt's result: `next()`'s, or another one.
   */
  // biome-ignore lint/suspicious/noExplicitAny: interceptors see arguments and results of every type
  execute(activityName: string, args: any[], next: () => Promise<any>): Promise<unknown>;
}

/** A body within its interceptors, as a body. */
export function throughActivityInbound(
  interceptors: readonly ActivityInboundCallsInterceptor[],
  activityName: string,
  run: (...args: never[]) => unknown,
): (...args: never[]) => Promise<unknown> {
  return async (...args) => {
    const at = (index: number): Promise<unknown> => {
      const interceptor = interceptors[index];
      if (interceptor === undefined) return Promise.resolve(run(...args));
      return Promise.resolve(interceptor.execute(activityName, args, async () => at(index + 1)));
    };
    return await at(0);
  };
}
