import { describe, expect, it } from 'vitest';
import {
  ActivityLostError,
  ApplicationFailure,
  CancelledFailure,
  DuplicateJobError,
  DurableFatalError,
  DurableMaxedError,
  DurableRetryError,
  DurableTimeoutError,
  TerminatedError,
} from './errors.js';
import {
  childError,
  errorFromFailure,
  type Failure,
  failureFromError,
  finalActivityError,
  finalWorkflowFailure,
  isRetryable,
  nextRetryDelayMs,
} from './failure.js';

class CardDeclined extends Error {
  readonly card = { last4: '4242' };
}

describe('isRetryable', () => {
  it.each([
    [new Error('m'), true],
    [Object.assign(new Error('m'), { code: 598 }), true],
    ['thrown text', true],
    [new DurableRetryError('m'), true],
    [new DuplicateJobError('a'), true],
    [new DurableFatalError('m'), false],
    [new DurableMaxedError('m'), false],
    [new DurableTimeoutError('m'), false],
    [new ActivityLostError('m'), false],
    [new CancelledFailure(), false],
    [new TerminatedError('m'), false],
    [new (class extends DurableFatalError {})('m'), false],
    [new ApplicationFailure('m'), true],
    [ApplicationFailure.retryable('m', 'Busy'), true],
    [ApplicationFailure.nonRetryable('m', 'Busy'), false],
    [Object.assign(new Error('m'), { nonRetryable: true }), false],
    [Object.assign(new Error('m'), { nonRetryable: 'yes' }), true],
  ])('of %s is %s', (thrown, expected) => {
    expect(isRetryable(thrown)).toBe(expected);
  });

  it('is false for classes that the policy lists', () => {
    expect(isRetryable(new CardDeclined('m'), ['Other', 'CardDeclined'])).toBe(false);
    expect(isRetryable(new CardDeclined('m'), ['Other'])).toBe(true);
    expect(isRetryable(new (class Mine extends DuplicateJobError {})('a'), ['DuplicateJobError'])).toBe(false);
  });
});

describe('an ApplicationFailure', () => {
  it('is listed by its type', () => {
    expect(isRetryable(ApplicationFailure.retryable('m', 'Busy'), ['Busy'])).toBe(false);
    expect(isRetryable(ApplicationFailure.retryable('m', 'Busy'), ['Idle'])).toBe(true);
    expect(isRetryable('Busy', ['Busy'])).toBe(true);
  });

  it('arrives with what it was made of', () => {
    const cause = new TypeError('inner');
    const original = ApplicationFailure.create({ message: 'm', type: 'Busy', details: [{ left: 3 }], cause });
    const { cause: arrived } = finalActivityError(failureFromError(original));
    expect(arrived).toBeInstanceOf(ApplicationFailure);
    expect(arrived).toMatchObject({ name: 'ApplicationFailure', message: 'm', type: 'Busy', details: [{ left: 3 }] });
    expect((arrived as Error).cause).toBeInstanceOf(TypeError);
  });

  it.each<[object, string]>([
    [{ nextRetryDelay: 'soon' }, 'ApplicationFailure: nextRetryDelay must be a duration'],
    [{ nonRetriable: true }, 'ApplicationFailure: unknown option "nonRetriable"; did you mean "nonRetryable"?'],
    [{ nonRetryable: 'yes' }, 'ApplicationFailure: nonRetryable must be true or false; got "yes"'],
    [{ type: 7 }, 'ApplicationFailure: type must be text; got 7'],
    [{ details: { left: 3 } }, 'ApplicationFailure: details must be an array; got an object'],
  ])('is not made of %o', (options, message) => {
    expect(() => ApplicationFailure.create(options)).toThrow(message);
    expect(() => new ApplicationFailure('m', options)).toThrow(message);
  });
});

it.each([
  [ApplicationFailure.create({ nextRetryDelay: '2s' }), 2_000],
  [ApplicationFailure.create({ nextRetryDelay: 0 }), 0],
  [Object.assign(new Error('m'), { nextRetryDelay: 150 }), 150],
  [Object.assign(new Error('m'), { nextRetryDelay: 'soon' }), null],
  [new Error('m'), null],
  ['2s', null],
  [null, null],
])('the next attempt after %s is wanted in %s ms', (thrown, ms) => {
  expect(nextRetryDelayMs(thrown)).toBe(ms);
});

describe("an activity's failure, in the workflow", () => {
  it('is a DurableFatalError with the same message, the remote stack and the original as cause', () => {
    const original = Object.assign(new CardDeclined('no money'), { code: '23505' });
    const error = finalActivityError(failureFromError(original));
    expect(error).toBeInstanceOf(DurableFatalError);
    expect(error).toMatchObject({ name: 'DurableFatalError', code: 598, message: 'no money', stack: original.stack });
    expect(error.cause).toMatchObject({ name: 'CardDeclined', code: '23505', card: { last4: '4242' } });
  });

  it.each([
    new DurableFatalError('m'),
    new DurableMaxedError('m'),
    new DurableTimeoutError('m'),
    new ActivityLostError('m'),
  ])('keeps its class when that is final: $name', (original) => {
    for (const throwOnError of [true, false]) {
      const error = finalActivityError(failureFromError(original), { throwOnError });
      expect(Object.getPrototypeOf(error)).toBe(Object.getPrototypeOf(original));
      expect(error).toMatchObject({ code: original.code, stack: original.stack });
    }
  });

  it('does not pass for a cancellation or termination of the workflow', () => {
    for (const foreign of [new CancelledFailure(), new TerminatedError('m', { code: 444 })]) {
      const error = finalActivityError(failureFromError(foreign));
      expect(error).not.toBeInstanceOf(foreign.constructor as typeof Error);
      expect(error).toMatchObject({ code: 598, cause: { name: foreign.name } });
    }
  });

  it('is an Error with code 599 where it is returned', () => {
    const error = finalActivityError(failureFromError(new CardDeclined('m')), { throwOnError: false });
    expect(error).toBeInstanceOf(DurableRetryError);
    expect(error).toMatchObject({ code: 599, message: 'm', cause: { name: 'CardDeclined' } });
  });
});

describe("a workflow's failure", () => {
  it('has code 597 when the retries were used up, and keeps name, stack, cause and fields', () => {
    const original = new CardDeclined('no money', { cause: new TypeError('inner') });
    const error = errorFromFailure(finalWorkflowFailure(original, true));
    expect(error).toBeInstanceOf(DurableMaxedError);
    expect(error).toMatchObject({
      name: 'CardDeclined',
      code: 597,
      message: 'no money',
      stack: original.stack,
      card: { last4: '4242' },
      cause: { name: 'TypeError', message: 'inner' },
    });
  });

  it('has code 598 when the error ended the retries', () => {
    expect(finalWorkflowFailure(new CardDeclined('m'), false)).toMatchObject({
      code: 598,
      type: 'DurableFatalError',
      name: 'CardDeclined',
    });
  });

  it("keeps the code of a driver's error in a cause", () => {
    const error = errorFromFailure(
      finalWorkflowFailure(Object.assign(new Error('m'), { code: '23505', table: 't' }), true),
    );
    expect(error).toMatchObject({ code: 597, table: 't', cause: { code: '23505' } });
  });

  it.each([
    [new DurableFatalError('m')],
    [new DurableMaxedError('m')],
    [new DurableTimeoutError('m')],
    [new ActivityLostError('m')],
  ])('is the final error that the function threw or let pass: %s', (original) => {
    expect(finalWorkflowFailure(original, true)).toEqual(failureFromError(original));
  });

  it('of a cancellation has code 598 and stays a cancellation', () => {
    const error = errorFromFailure(finalWorkflowFailure(new CancelledFailure(), false));
    expect(error).toBeInstanceOf(CancelledFailure);
    expect(error).toMatchObject({
      code: 598,
      type: 'CancelledFailure',
      name: 'CancelledFailure',
      message: 'Workflow cancelled',
    });
  });

  it('is no termination when another workflow was terminated', () => {
    const failure = finalWorkflowFailure(new TerminatedError('enough', { code: 444, job_id: 'child' }), false);
    expect(failure).toMatchObject({
      type: 'DurableFatalError',
      code: 598,
      message: 'enough',
      cause: { code: 444, job_id: 'child' },
    });
    expect(failure).not.toHaveProperty('job_id');
  });
});

describe("a child's failure, in the parent", () => {
  const childFailure = (thrown: unknown, exhausted = false): Failure => finalWorkflowFailure(thrown, exhausted);

  it('keeps class, message and stack when it is final, exhaustion included', () => {
    for (const [failure, errorClass] of [
      [childFailure(new DurableFatalError('m')), DurableFatalError],
      [childFailure(new DurableTimeoutError('m')), DurableTimeoutError],
      [childFailure(new CardDeclined('m'), true), DurableMaxedError],
    ] as const) {
      expect(childError(failure)).toBeInstanceOf(errorClass);
      expect(childError(failure)).toMatchObject({ message: 'm', stack: failure.stack, code: failure.code });
    }
  });

  it('carries reason and code of a termination', () => {
    const error = childError({
      name: 'TerminatedError',
      type: 'TerminatedError',
      code: 444,
      message: 'enough',
      stack: '',
      job_id: 'c',
    });
    expect(error).toBeInstanceOf(TerminatedError);
    expect(error).toMatchObject({ message: 'enough', code: 444, job_id: 'c' });
  });

  it('is fatal, and no cancellation, when the child was cancelled', () => {
    const error = childError(childFailure(new CancelledFailure()));
    expect(error).toBeInstanceOf(DurableFatalError);
    expect(error).not.toBeInstanceOf(CancelledFailure);
    expect(error).toMatchObject({ code: 598, message: 'Workflow cancelled' });
    expect(error.cause).toBeInstanceOf(CancelledFailure);
  });

  it('is never retried by the parent', () => {
    for (const thrown of [
      new Error('m'),
      new CancelledFailure(),
      new DurableRetryError('m'),
      new TerminatedError('m'),
    ]) {
      for (const exhausted of [true, false])
        expect(isRetryable(childError(childFailure(thrown, exhausted)))).toBe(false);
    }
    expect(isRetryable(childError({ name: 'Error', message: 'm', stack: '' }))).toBe(false);
  });
});
