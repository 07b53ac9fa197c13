import { expect, it } from 'vitest';
import { NondeterminismError, PayloadCodecError } from '../core/errors.js';
import { SqlError } from '../postgres/sql-error.js';
import { blockedBecause } from './blocked-reason.js';

const sqlError = (code: string, message: string) =>
  new SqlError(Object.assign(new Error(message), { code, severity: 'ERROR' }));

it('blames the code where the history does not fit it', () => {
  const reason = new NondeterminismError({ entry: 7, recorded: 'a', produced: 'b', location: null });
  const { line, words } = blockedBecause(reason);
  expect(line).toMatch(/does not fit the code/);
  expect(words).toMatch(/^NondeterminismError: /);
});

it('blames the database where that failed', () => {
  const { line, words } = blockedBecause(sqlError('XX001', 'invalid page in block 3'));
  expect(line).toMatch(/the database failed/);
  expect(words).toBe(
    'the database failed at it again and again, with its internal error XX001: invalid page in block 3',
  );
});

it.each([new PayloadCodecError('no key'), sqlError('22P02', 'invalid input')])(
  'says of anything else what it is: %s',
  (reason) => {
    const { line, words } = blockedBecause(reason);
    expect(line).not.toMatch(/code|database/);
    expect(words).toBe(`${reason.name}: ${reason.message}`);
  },
);
