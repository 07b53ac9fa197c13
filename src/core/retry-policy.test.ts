import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from './errors.js';
import { defaultRetryPolicy, type RetryOptions, resolveRetryPolicy, retryDelayMs } from './retry-policy.js';

describe('resolveRetryPolicy', () => {
  it('gives 50 retries, coefficient 5, from 1 s to 120 s, thrown, when nothing is said', () => {
    const usual = {
      maximumAttempts: 50,
      backoffCoefficient: 5,
      initialIntervalMs: 1_000,
      maximumIntervalMs: 120_000,
      throwOnError: true,
    };
    for (const options of [undefined, {}, { maximumAttempts: undefined, initialInterval: undefined }]) {
      expect(resolveRetryPolicy('start', options)).toEqual(usual);
    }
  });

  it('honours every setting that is given, zero and false included', () => {
    expect(
      resolveRetryPolicy('start', {
        maximumAttempts: 0,
        backoffCoefficient: 1,
        initialInterval: 0,
        maximumInterval: '2 minutes',
        throwOnError: false,
        nonRetryableErrorTypes: ['CardDeclined'],
      }),
    ).toEqual({
      maximumAttempts: 0,
      backoffCoefficient: 1,
      initialIntervalMs: 0,
      maximumIntervalMs: 120_000,
      throwOnError: false,
      nonRetryableErrorTypes: ['CardDeclined'],
    });
  });

  it('completes from the defaults it is handed', () => {
    const workflow = resolveRetryPolicy('start', { maximumAttempts: 3, nonRetryableErrorTypes: ['A'] });
    expect(resolveRetryPolicy('proxyActivities', { backoffCoefficient: 2 }, workflow)).toEqual({
      ...workflow,
      backoffCoefficient: 2,
    });
  });

  it('lets a given interval win over an inherited one that contradicts it', () => {
    expect(resolveRetryPolicy('start', { initialInterval: '5m' })).toMatchObject({
      initialIntervalMs: 300_000,
      maximumIntervalMs: 300_000,
    });
    expect(resolveRetryPolicy('start', { maximumInterval: 100 })).toMatchObject({
      initialIntervalMs: 100,
      maximumIntervalMs: 100,
    });
  });

  it.each<[RetryOptions, string]>([
    [{ maximumAttempts: -1 }, 'retry.maximumAttempts must be a whole number from 0 to 2147483647; got -1'],
    [{ maximumAttempts: 1.5 }, 'retry.maximumAttempts must be a whole number from 0 to 2147483647; got 1.5'],
    [{ maximumAttempts: Number.NaN }, 'retry.maximumAttempts must be a whole number'],
    [{ maximumAttempts: Number.POSITIVE_INFINITY }, 'retry.maximumAttempts must be a whole number'],
    [{ maximumAttempts: '3' as unknown as number }, 'retry.maximumAttempts must be a whole number'],
    [{ backoffCoefficient: 0.5 }, 'retry.backoffCoefficient must be a number from 1; got 0.5'],
    [{ backoffCoefficient: Number.NaN }, 'retry.backoffCoefficient must be a number from 1; got NaN'],
    [
      { backoffCoefficient: Number.POSITIVE_INFINITY },
      'retry.backoffCoefficient must be a number from 1; got Infinity',
    ],
    [{ initialInterval: -1 }, 'retry.initialInterval must be a duration from 0 to 100 years; got -1'],
    [{ initialInterval: '-1s' }, 'retry.initialInterval must be a duration from 0 to 100 years; got "-1s"'],
    [{ maximumInterval: 'soon' }, 'retry.maximumInterval must be a duration from 0 to 100 years; got "soon"'],
    [
      { initialInterval: '2s', maximumInterval: '1s' },
      'retry.maximumInterval must be at least as long as initialInterval; got 1000 ms. Raise it, or lower initialInterval',
    ],
    [{ throwOnError: 1 as unknown as boolean }, 'retry.throwOnError must be true or false; got 1'],
    [{ nonRetryableErrorTypes: ['A', ''] }, 'retry.nonRetryableErrorTypes[1] must be text of 1 to 512 bytes'],
    [{ maxAttempts: 3 } as RetryOptions, 'unknown option "retry.maxAttempts"; did you mean "retry.maximumAttempts"?'],
  ])('refuses %o', (options, message) => {
    expect(() => resolveRetryPolicy('proxyActivities', options)).toThrow(InvalidArgumentError);
    expect(() => resolveRetryPolicy('proxyActivities', options)).toThrow(`proxyActivities: ${message}`);
  });

  it('names the option that holds the policy', () => {
    expect(() => resolveRetryPolicy('start', { maximumAttempts: -1 }, defaultRetryPolicy, 'config')).toThrow(
      /^start: config\.maximumAttempts must be/,
    );
  });
});

describe('retryDelayMs', () => {
  it('begins with the initial interval and multiplies up to the maximum', () => {
    expect([1, 2, 3, 4, 5, 50].map((retry) => retryDelayMs(defaultRetryPolicy, retry))).toEqual([
      1_000, 5_000, 25_000, 120_000, 120_000, 120_000,
    ]);
  });

  it('lies between the intervals and never shrinks, for every policy and retry', () => {
    const policies = fc
      .record({
        backoffCoefficient: fc.double({ min: 1, max: 1e6, noNaN: true }),
        initialInterval: fc.integer({ min: 0, max: 1e9 }),
        more: fc.integer({ min: 0, max: 1e9 }),
      })
      .map(({ more, ...options }) =>
        resolveRetryPolicy('start', { ...options, maximumInterval: options.initialInterval + more }),
      );
    fc.assert(
      fc.property(policies, fc.integer({ min: 1, max: 1e6 }), (policy, retry) => {
        const delay = retryDelayMs(policy, retry);
        expect(delay).toBeGreaterThanOrEqual(policy.initialIntervalMs);
        expect(delay).toBeLessThanOrEqual(policy.maximumIntervalMs);
        expect(retryDelayMs(policy, retry + 1)).toBeGreaterThanOrEqual(delay);
      }),
    );
  });
});
