import { afterEach, expect, it, vi } from 'vitest';
import { InvalidArgumentError } from '../core/errors.js';
import { defaultExpireS } from './default-expire.js';

afterEach(() => vi.unstubAllEnvs());

it.each([
  [undefined, null],
  ['', null],
  ['0', 0],
  ['1', 1],
  [' 86400 ', 86_400],
])('HMSH_EXPIRE_JOB_SECONDS=%s keeps what has ended for %s seconds', (text, seconds) => {
  vi.stubEnv('HMSH_EXPIRE_JOB_SECONDS', text);
  expect(defaultExpireS('Client')).toBe(seconds);
});

it.each(['soon', '-1', 'NaN', 'Infinity', '1e15'])('HMSH_EXPIRE_JOB_SECONDS=%s is refused', (text) => {
  vi.stubEnv('HMSH_EXPIRE_JOB_SECONDS', text);
  expect(() => defaultExpireS('Client')).toThrow(InvalidArgumentError);
  expect(() => defaultExpireS('Client')).toThrow(`got "${text}"`);
});
