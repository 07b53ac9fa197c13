/**
 * What the package exports, function by function, found by walking it: what is added later is found too.
 *
 * A class gives its constructor, its statics and the methods of an instance; an instance also what its fields and getters hold
 * (`client.workflow.bulk.pause`). What two names stand for is found once.
 */

export type Call = (...args: never[]) => unknown;

/** An instance to call the methods of a class on. Asked for at each call. */
export type Instances = ReadonlyMap<unknown, () => object>;

/** Users' own things, which an instance keeps. */
const GIVEN = new Set(['connection', 'events']);
const INHERITED: ReadonlySet<unknown> = new Set([
  Object.prototype,
  Function.prototype,
  Error.prototype,
  Array.prototype,
]);
const OF_EVERY_FUNCTION = new Set(['prototype', 'length', 'name', 'caller', 'arguments', 'constructor']);

/** @throws {Error} for a class with methods that has no instance. */
export function publicFunctions(roots: Readonly<Record<string, unknown>>, instances: Instances): Map<string, Call> {
  const walk = new Walk(instances);
  for (const [name, value] of Object.entries(roots)) walk.visit(name, value, () => value);
  return walk.found;
}

class Walk {
  readonly found = new Map<string, Call>();
  readonly #instances: Instances;
  readonly #seen = new Set<unknown>();

  constructor(instances: Instances) {
    this.#instances = instances;
  }

  /** @param current What is to be called later: the instance on whose path this value was found may be another one then. */
  visit(path: string, value: unknown, current: () => unknown): void {
    if (!isObject(value) || this.#seen.has(value)) return;
    this.#seen.add(value);
    if (typeof value !== 'function') {
      this.#fields(path, value, current as () => object);
    } else if (isClass(value)) {
      this.#class(path, value as unknown as new (...args: never[]) => object);
    } else {
      this.found.set(path, (...args) => (current() as Call)(...args));
    }
  }

  #class(path: string, made: new (...args: never[]) => object): void {
    // An error takes what JavaScript's own take, and is used by the engine alone.
    const isError = made.prototype instanceof Error;
    if (!isError) this.found.set(`new ${path}`, (...args) => new made(...args));
    for (const name of Object.getOwnPropertyNames(made))
      if (!OF_EVERY_FUNCTION.has(name)) this.#member(`${path}.${name}`, made, name, () => made);
    const instance = this.#instances.get(made);
    if (instance !== undefined) this.#fields(`${path}#`, instance(), instance);
    else if (methodsOf(made.prototype).length > 0 && !isError) throw new Error(`there is no instance of ${path}`);
  }

  /** What an object holds itself, and what its class gives it. */
  #fields(path: string, object: object, current: () => object): void {
    const dot = path.endsWith('#') ? '' : '.';
    for (const name of [...Object.getOwnPropertyNames(object), ...methodsOf(Object.getPrototypeOf(object))])
      if (!GIVEN.has(name) && !OF_EVERY_FUNCTION.has(name)) this.#member(`${path}${dot}${name}`, object, name, current);
  }

  #member(path: string, owner: object, name: string, current: () => object): void {
    const member = (object: object) => (object as Record<string, unknown>)[name];
    const value = member(owner);
    if (typeof value === 'function' && !isClass(value)) {
      if (this.#seen.has(value)) return;
      this.#seen.add(value);
      this.found.set(path, (...args) => {
        const holder = current();
        return (member(holder) as Call).apply(holder, args);
      });
    } else {
      this.visit(path, value, () => member(current()));
    }
  }
}

/** Names of methods and getters, its ancestors' too. */
function methodsOf(prototype: object): string[] {
  const names: string[] = [];
  for (let at = prototype; at !== null && !INHERITED.has(at); at = Object.getPrototypeOf(at))
    names.push(...Object.getOwnPropertyNames(at).filter((name) => name !== 'constructor'));
  return names;
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function isClass(value: unknown): boolean {
  return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
}
