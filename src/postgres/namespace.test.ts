import { expect, it } from 'vitest';
import { InvalidArgumentError } from '../core/errors.js';
import { schemaName } from './namespace.js';

it.each([
  ['durable', 'durable'],
  ['interceptor-test', 'interceptor_test'],
  ['A--B', 'a_b'],
  ['9lives', '9lives'],
])('namespace %s lives in schema %s', (namespace, schema) => expect(schemaName(namespace)).toBe(schema));

it.each(['', 'a_b', 'a b', 'x'.repeat(51), 'x"; drop schema y; --', 'ü', 'x\n'])(
  'namespace %j is invalid',
  (namespace) => {
    expect(() => schemaName(namespace)).toThrow(InvalidArgumentError);
    expect(() => schemaName(namespace)).toThrow(/config\.appId \[.*\] is invalid/);
  },
);

it.each(['a', 'A', 'public', 'pg-catalog', 'information-schema'])('namespace %s is reserved', (namespace) => {
  expect(() => schemaName(namespace)).toThrow(`config.appId [${namespace}] is reserved`);
});
