/**
 * The one door for options of public calls. A call declares its option shape beside itself, as a strict valibot object made of
 * the fields below; `parseOptions` refuses the rest in words a user understands.
 */
import * as v from 'valibot';
import { durationMs, durationRule, maxDurationMs } from './duration.js';
import { holdsFields } from './holds-fields.js';
import { identifierRuleFor, isIdentifier } from './identifier.js';
import { InvalidArgumentError } from './misuse-errors.js';
import { nearestName } from './nearest.js';
import { refusal } from './refusal.js';
import { inWords, refusedOption } from './refused-option.js';

/**
 * The options, checked and with every field in its internal form (durations in milliseconds, for example). Keys that are
 * undefined count as not given.
 *
 * @param call The function as the user wrote it, e.g. `start`.
 * @param path Where the object stands in the call when it is not the options themselves, e.g. `retry`.
 * @throws {InvalidArgumentError} for unknown keys, with the nearest known one, and for values that break a field's rule.
 *
 * @example
 * const signalOptions = v.strictObject({ signalId: identifier, expire: v.optional(duration) });
 * const { signalId, expire } = parseOptions('signal', signalOptions, options);
 */
export function parseOptions<S extends v.GenericSchema>(
  call: string,
  schema: S,
  value: unknown,
  path = '',
): v.InferOutput<S> {
  // To valibot an array is an object, and so is a Map without fields.
  if (typeof value === 'object' && value !== null && !holdsFields(value))
    throw refusal(call, path === '' ? 'options' : path, { must: 'an object' }, value);
  const parsed = read(call, schema, value, path);
  if (parsed.success) return parsed.output;
  throw refusedOption(call, schema, parsed.issues, path);
}

/** A getter among the options may throw. Its error is the caller's own and may be anything, so it is the cause and no more. */
function read<S extends v.GenericSchema>(call: string, schema: S, value: unknown, path: string): v.SafeParseResult<S> {
  try {
    return v.safeParse(schema, value);
  } catch (cause) {
    const message = `${call}: ${path === '' ? 'options' : path} cannot be read: a getter of it threw`;
    throw Object.assign(new InvalidArgumentError(message), { cause });
  }
}

/** A length of time in the grammar of `ms`, or in milliseconds. Comes out in milliseconds; zero and less as 0. */
export const duration = v.pipe(
  v.custom<string | number>((value) => durationMs(value) !== null, inWords(durationRule)),
  v.transform((value) => durationMs(value) as number),
);

/** Like {@link duration}, but a negative length is refused. */
export const interval = v.pipe(
  v.custom<string | number>(
    (value) => durationMs(value) !== null && !/^\s*-/.test(String(value)),
    inWords({ ...durationRule, must: 'a duration from 0 to 100 years' }),
  ),
  v.transform((value) => durationMs(value) as number),
);

/** Like {@link interval}, but a length of zero is refused too. */
export const limit = v.pipe(
  interval,
  v.check((ms: number) => ms > 0, inWords({ must: 'a duration longer than 0', todo: 'Leave it out for no limit' })),
);

/**
 * One of some words; the error names the nearest.
 * @param advice What to say to words that are known elsewhere.
 */
export function choice<const W extends string>(
  words: readonly W[],
  advice: Readonly<Record<string, string>> = {},
): v.GenericSchema<W> {
  const quoted = words.map((word) => `'${word}'`);
  const must = `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
  return v.custom<W>(
    (value) => words.includes(value as W),
    ({ input }) => {
      if (typeof input !== 'string') return must;
      const nearest = nearestName(input, words);
      const todo = advice[input] ?? (nearest === undefined ? undefined : `Did you mean '${nearest}'?`);
      return inWords({ must, ...(todo !== undefined && { todo }) });
    },
  );
}

/** A length of time in seconds, from 0 to 100 years. Comes out as it is. */
export const seconds = v.custom<number>(
  (value) => typeof value === 'number' && value >= 0 && value <= maxDurationMs / 1000,
  'a number of seconds from 0 to 100 years',
);

/** An id or name; see identifier.ts. */
export const identifier = v.custom<string>(isIdentifier, ({ input }) => inWords(identifierRuleFor(input)));

/** An id that is generated where it is null or empty. */
export const identifierOrNone = v.custom<string | null>(
  (value) => value === null || value === '' || isIdentifier(value),
  ({ input }) => inWords(identifierRuleFor(input)),
);

/** Free text. */
export const text = v.string('text');

/** True or false. */
export const flag = v.boolean('true or false');

/** A whole number. */
export function wholeNumber(
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
  todo?: string,
): v.GenericSchema<number> {
  const to = max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`;
  return v.custom<number>(
    (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
    inWords({ must: `a whole number from ${min}${to}`, ...(todo !== undefined && { todo }) }),
  );
}

/** A finite number, at least 1. */
export const factor = v.custom<number>((value) => Number.isFinite(value) && (value as number) >= 1, 'a number from 1');

/** Values by name; whoever uses them looks at each. */
export const fieldsByName = v.custom<Readonly<Record<string, unknown>>>(holdsFields, 'an object');

/** A function, of whatever kind. */
export const callback = v.custom<(...args: never) => unknown>((value) => typeof value === 'function', 'a function');
