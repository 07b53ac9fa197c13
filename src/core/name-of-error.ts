import { readField } from './plain-data.js';

const maxName = 200;

/**
 * The name of a thrown value's class as its author meant it: a `name` that the error or its very class sets, else the
 * name of the class. So `class CardDeclined extends Error {}` is a CardDeclined, though its `name` says "Error".
 */
export function nameOfError(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null) return 'Error';
  const prototype = prototypeOf(thrown);
  const inherited = !hasOwn(thrown, 'name') && !(prototype && hasOwn(prototype, 'name'));
  const itsClass = readField(thrown, 'constructor');
  const className = inherited && typeof itsClass === 'function' ? readField(itsClass, 'name') : undefined;
  const named = isName(className) && className !== 'Object' && className !== 'Array';
  const name = named ? className : readField(thrown, 'name');
  return isName(name) ? name.slice(0, maxName) : 'Error';
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function prototypeOf(value: object): object | null {
  try {
    return Object.getPrototypeOf(value);
  } catch {
    return null;
  }
}

function hasOwn(value: object, key: string): boolean {
  try {
    return Object.hasOwn(value, key);
  } catch {
    return false;
  }
}
