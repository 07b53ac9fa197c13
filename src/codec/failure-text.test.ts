import { describe, expect, it } from 'vitest';
import { DurableFatalError, PayloadCodecError, TerminatedError } from '../core/errors.js';
import { type Failure, failureFromError } from '../core/failure.js';
import { decodeFailure, encodeFailure } from './failure-text.js';

describe('the text of a failure', () => {
  it.each([
    [
      'a cause and fields',
      Object.assign(new Error('m', { cause: new DurableFatalError('inner') }), { code: 'E', a: [1] }),
    ],
    ['members', new AggregateError([new TypeError('one'), 'two'], 'm')],
    ['an id and a code of its own', new TerminatedError('m', { code: 444, job_id: 'a' })],
    ['NUL and lone surrogates', new Error('\0\ud800')],
  ])('keeps %s', (_, error) => {
    const failure = failureFromError(error);
    expect(decodeFailure(encodeFailure(failure))).toEqual(failure);
  });

  it('stays within bounds for the worst of failures, which loses all but its essence', () => {
    let error: Error = new Error('\0'.repeat(100_000));
    for (let i = 0; i < 20; i++) error = new DurableFatalError('\0'.repeat(100_000), { cause: error });
    const failure = failureFromError(error);
    expect(JSON.stringify(failure).length).toBeGreaterThan(1024 * 1024);
    const text = encodeFailure(failure);
    expect(text.length).toBeLessThan(1024 * 1024);
    const { cause, ...essence } = failure;
    expect(decodeFailure(text)).toEqual(essence);
  });

  it.each(['', 'secret', '"secret"', 'null', '["secret"]', '{"message":"secret"'])(
    'that is %j is refused without quoting it',
    (text) => {
      expect(() => decodeFailure(text)).toThrow(PayloadCodecError);
      expect(() => decodeFailure(text)).not.toThrow(/secret/);
    },
  );

  it('written by hand may lack anything, and what has the wrong type counts as missing', () => {
    const empty: Failure = { name: 'Error', message: '', stack: '' };
    expect(decodeFailure('{}')).toEqual(empty);
    expect(
      decodeFailure(
        '{"name":1,"message":{},"stack":[],"type":2,"code":"598","nonRetryable":"yes","cause":"text","errors":{},"job_id":3,"details":[]}',
      ),
    ).toEqual(empty);
    expect(decodeFailure(`${'{"cause":'.repeat(5_000)}{}${'}'.repeat(5_000)}`)).toMatchObject({
      cause: { cause: empty },
    });
  });
});
