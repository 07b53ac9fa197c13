/** The schema that a namespace stands for. */
import { InvalidArgumentError } from '../core/errors.js';

const VALID = /^[A-Za-z0-9-]{1,50}$/;
/** Schemas that are there already and hold other things. `a` is the contract's. */
const RESERVED = /^(a|public|information_schema|pg_.*)$/;

/**
 * Lower-cased, runs of other characters folded to `_`. 50 characters leave room for the suffix of the owner role, so nothing is
 * ever cut to Postgres' 63 bytes. Two namespaces may fold onto one schema: the migration refuses the second.
 *
 * @throws InvalidArgumentError for a name that is not valid, or reserved.
 */
export function schemaName(namespace: string): string {
  if (typeof namespace !== 'string' || !VALID.test(namespace)) {
    throw new InvalidArgumentError(
      `namespace: config.appId [${shown(namespace)}] is invalid: a namespace must be 1 to 50 letters, digits or hyphens`,
    );
  }
  const schema = namespace.toLowerCase().replace(/[^a-z0-9]+/g, '_');
  if (RESERVED.test(schema)) {
    throw new InvalidArgumentError(`namespace: config.appId [${namespace}] is reserved. Choose another name`);
  }
  return schema;
}

function shown(namespace: unknown): string {
  return typeof namespace === 'string' ? JSON.stringify(namespace.slice(0, 80)).slice(1, -1) : typeof namespace;
}
