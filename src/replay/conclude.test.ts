import { describe, expect, it } from 'vitest';
import { CancelledFailure, DurableFatalError, DurableMaxedError, DurableTimeoutError } from '../core/errors.js';
import type { Command } from '../core/history.js';
import { defaultRetryPolicy, type RetryPolicy } from '../core/retry-policy.js';
import { conclude } from './conclude.js';
import type { ExecutionInfo } from './instance.js';

function concluded(error: unknown, attempt = 1, retry: Partial<RetryPolicy> = {}): Command {
  const info = { attempt, retry: { ...defaultRetryPolicy, ...retry } } as ExecutionInfo;
  return conclude({ ok: false, error }, info, () => null);
}

describe('the end of a workflow function', () => {
  const info = { attempt: 1, retry: defaultRetryPolicy } as ExecutionInfo;

  it('is its result, encoded', () => {
    const command = conclude({ ok: true, value: [1] }, info, JSON.stringify);
    expect(command).toMatchObject({ kind: 'complete', spec: { result: '[1]' } });
  });

  it('is its failure for good when the result cannot be stored: trying again would not help', () => {
    const command = conclude({ ok: true, value: 1n }, info, () => {
      throw new TypeError('a BigInt');
    });
    expect(command).toMatchObject({
      kind: 'fail',
      spec: { cancelled: false, failure: { message: 'a BigInt', code: 598 } },
    });
  });

  it('is a retry after the delay of its policy, as long as there are attempts', () => {
    const retry = { maximumAttempts: 2, initialIntervalMs: 10, backoffCoefficient: 3 };
    expect(concluded(new Error('x'), 1, retry)).toMatchObject({ kind: 'retry', spec: { attempt: 1, delayMs: 10 } });
    expect(concluded(new Error('x'), 2, retry)).toMatchObject({ kind: 'retry', spec: { attempt: 2, delayMs: 30 } });
    expect(concluded(new Error('x'), 3, retry)).toMatchObject({
      kind: 'fail',
      spec: { cancelled: false, failure: { type: 'DurableMaxedError', code: 597, message: 'x' } },
    });
  });

  it('is a failure at once without retries', () => {
    expect(concluded(new Error('x'), 1, { maximumAttempts: 0 })).toMatchObject({
      kind: 'fail',
      spec: { failure: { code: 597 } },
    });
  });

  it.each([new DurableFatalError('x'), new DurableMaxedError('x'), new DurableTimeoutError('x')])(
    'is a failure at once when it is %o',
    (error) => {
      expect(concluded(error)).toMatchObject({
        kind: 'fail',
        spec: { cancelled: false, failure: { type: error.name } },
      });
    },
  );

  it('is a failure at once when its class is listed as final', () => {
    const listed = concluded(new RangeError('x'), 1, { nonRetryableErrorTypes: ['RangeError'] });
    expect(listed).toMatchObject({ kind: 'fail', spec: { failure: { name: 'RangeError', code: 598 } } });
  });

  it('is cancelled when it let the cancellation through, never retried', () => {
    expect(concluded(new CancelledFailure())).toMatchObject({
      kind: 'fail',
      spec: { cancelled: true, failure: { type: 'CancelledFailure', code: 598 } },
    });
  });

  it.each(['text', 7, null, undefined, { message: 'plain' }])('may be anything that was thrown: %o', (thrown) => {
    expect(concluded(thrown, 1, { maximumAttempts: 1 }).kind).toBe('retry');
    expect(concluded(thrown, 2, { maximumAttempts: 1 }).kind).toBe('fail');
  });
});
