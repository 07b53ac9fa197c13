/**
 * The base of every error class of the engine, and how its classes recognise their instances.
 *
 * A program can hold two copies of this package (its own and one of a dependency). With ordinary classes
 * `error instanceof DurableFatalError` is then false for an error made by the other copy, and a failure that was
 * meant to be final would be retried. So each class leaves a mark from the global symbol registry on its prototype, and
 * `instanceof` looks for that mark. A user's own subclass has no mark and is recognised the ordinary way.
 */

/** Own static property of a marked class: the symbol that its instances carry. */
const MARK = Symbol.for('perdure.error.mark');

/** Property of every instance: the name of its class, out of reach of a user's own `type` field. */
const TYPE = Symbol.for('perdure.error.type');

/** Base class of all errors that the engine makes. Never thrown itself. */
export abstract class PerdureError extends Error {
  /** Name of the engine's class, the same for a user's subclass of it. Not enumerable. */
  declare readonly type: string;
  /** Id of the workflow the error speaks of, where it is known. */
  declare job_id?: string;

  static {
    // Defined, not declared: a declared static method changes how TypeScript narrows after `instanceof`.
    Object.defineProperty(this, Symbol.hasInstance, { value: isInstance });
    markErrorClass(this, 'PerdureError');
  }
}

/**
 * Gives an error class its name, its `type` and the mark that `instanceof` looks for. Called once, in the class's static
 * block; the name is spelled out because bundlers rename classes.
 */
export function markErrorClass(errorClass: abstract new (...args: never) => Error, type: string): void {
  const mark = Symbol.for(`perdure.error.${type}`);
  Object.defineProperty(errorClass, MARK, { value: mark });
  Object.defineProperties(errorClass.prototype, {
    [mark]: { value: true },
    [TYPE]: { value: type },
    // Like the names of built-in errors: on the prototype, writable on the instance.
    name: { value: type, writable: true, configurable: true },
    type: { value: type, writable: true, configurable: true },
  });
}

/** Name of the engine's class that an error belongs to, from whichever copy of the package; undefined for all other values. */
export function engineType(value: unknown): string | undefined {
  if (!(value instanceof PerdureError)) return undefined;
  try {
    return (value as { readonly [TYPE]?: string })[TYPE];
  } catch {
    return undefined; // a Proxy that only claims to be one
  }
}

function isInstance(this: { readonly [MARK]?: symbol; prototype: object }, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  try {
    if (Object.hasOwn(this, MARK)) return (this[MARK] as symbol) in value;
    return Object.prototype.isPrototypeOf.call(this.prototype, value);
  } catch {
    // A revoked or hostile Proxy. Users throw what they like, and a `catch` block must be able to look at it.
    return false;
  }
}
