import { InvalidArgumentError } from './misuse-errors.js';
import { shownValue } from './shown-value.js';

/** No known name is nearly as long; what is longer is not worth comparing. */
const maxCompared = 64;

/** The known name that `name` is probably a misspelling of, letter case aside. Undefined when none is near. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > maxCompared) return undefined;
  let nearest: string | undefined;
  let shortest = Infinity;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    const allowed = Math.max(name.length, candidate.length) / 3;
    if (distance <= allowed && distance < shortest) [nearest, shortest] = [candidate, distance];
  }
  return nearest;
}

/**
 * The error for an option that does not exist: `start: unknown option "workflowID"; did you mean "workflowId"?`, or the list of
 * those that do when none is near.
 *
 * @param call The function as the user wrote it.
 * @param parent Path of the object that holds the option, e.g. `config`; empty for the options themselves.
 */
export function unknownOption(call: string, key: string, known: readonly string[], parent = ''): InvalidArgumentError {
  const full = (name: string): string => shownValue(parent === '' ? name : `${parent}.${name}`);
  const nearest = nearestName(key, known);
  const advice = nearest === undefined ? `known are ${known.join(', ')}` : `did you mean ${full(nearest)}?`;
  return new InvalidArgumentError(`${call}: unknown option ${full(key)}; ${advice}`);
}

/** Levenshtein: the fewest letters to insert, drop or replace. One row of the table is kept. */
function editDistance(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replace = (above[column - 1] as number) + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replace, (above[column] as number) + 1, (current[column - 1] as number) + 1));
    }
    above = current;
  }
  return above[to.length] as number;
}
