/** How a protocol function is called: the text of the statement and its typed parameters. */

import type { ArrayParameter, Parameter, Query } from '../database.js';
import { quoteIdentifier } from '../quoting.js';

type ScalarType = 'int' | 'bigint' | 'text' | 'boolean' | 'double precision';

/** A parameter with its type as Postgres names it. */
export type Argument = { readonly cast: string; readonly value: Parameter };

export const int = (value: number | null): Argument => ({ cast: 'int', value });
export const bigint = (value: number | null): Argument => ({ cast: 'bigint', value });
export const text = (value: string | null): Argument => ({ cast: 'text', value });
export const boolean = (value: boolean): Argument => ({ cast: 'boolean', value });
export const double = (value: number | null): Argument => ({ cast: 'double precision', value });

type Items = ArrayParameter['items'];

const array =
  (type: ArrayParameter['type'], cast: ScalarType) =>
  (items: Items): Argument => ({ cast: `${cast}[]`, value: { type, items } });

export const ints = array('int4', 'int');
export const bigints = array('int8', 'bigint');
export const texts = array('text', 'text');
export const booleans = array('bool', 'boolean');
export const doubles = array('float8', 'double precision');

/**
 * `select * from <schema>.<name>(...)`. The text depends on nothing but schema and function, so hot calls are prepared
 * under the function's name.
 */
export function call(schema: string, name: string, args: readonly Argument[], { prepare = false } = {}): Query {
  const parameters = args.map((argument, index) => `$${index + 1}::${argument.cast}`).join(', ');
  return {
    text: `select * from ${quoteIdentifier(schema)}.${name}(${parameters})`,
    values: args.map((argument) => argument.value),
    ...(prepare && { name: `${schema}_${name}` }),
  };
}
