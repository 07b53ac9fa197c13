/** A connection as another role: the same database, reached the same way. */
import * as v from 'valibot';
import { InvalidArgumentError } from '../core/errors.js';
import { parseOptions } from '../core/options.js';
import { shownKind } from '../core/shown-value.js';
import { type ConnectionOptions, type ConnectionsByRole, isReadonly, providerOf, shortForm } from './connection.js';
import { isPgPool, type PgPoolClass } from './pg-driver.js';

/** Who to connect as. What `provisionWorkerRole` resolves to will do as it is. */
export type WorkerCredentials =
  | { readonly user: string; readonly password: string }
  | { readonly roleName: string; readonly password: string };

const name = v.pipe(v.string('text'), v.minLength(1, 'text'));
const shape = v.strictObject({ user: v.optional(name), roleName: v.optional(name), password: v.optional(v.unknown()) });

/** @throws {InvalidArgumentError} unless they name one role, and its password. The password is in no message. */
export function checkCredentials(call: string, value: unknown): { readonly user: string; readonly password: string } {
  // Nothing of what was given is shown: it may be the password itself.
  if (typeof value !== 'object' || value === null)
    throw new InvalidArgumentError(`${call}: workerCredentials must be an object; got ${shownKind(value)}`);
  const { password } = value as { password?: unknown };
  const { user, roleName } = parseOptions(call, shape, { ...value, password: null }, 'workerCredentials');
  if (typeof password !== 'string' || password === '')
    throw new InvalidArgumentError(`${call}: workerCredentials.password must be text; got ${shownKind(password)}`);
  const role = user ?? roleName;
  if (role === undefined || (user !== undefined && roleName !== undefined)) {
    throw new InvalidArgumentError(
      `${call}: workerCredentials must have either user or roleName; got ${role === undefined ? 'neither' : 'both'}`,
    );
  }
  return { user: role, password };
}

/**
 * The connection, made with these credentials instead of its own. Of a Pool a new one is made, with the same options.
 *
 * @throws {InvalidArgumentError} for PGlite, which has one session for all, and no passwords.
 */
export function withCredentials(
  call: string,
  connection: ConnectionOptions | ConnectionsByRole,
  { user, password }: { readonly user: string; readonly password: string },
): ConnectionOptions {
  const given = shortForm(connection);
  if (providerOf(given.class) === 'pglite') {
    throw new InvalidArgumentError(
      `${call}: workerCredentials cannot be used with PGlite: its one session is a superuser's. Leave them out`,
    );
  }
  const { class: driver } = given;
  const ofPool = isPgPool(driver);
  const options = ofPool ? driver.options : given.options;
  const { connectionString } = (options ?? {}) as { connectionString?: unknown };
  return {
    ...given,
    class: ofPool ? (driver.constructor as PgPoolClass) : driver,
    options: {
      ...options,
      user,
      password,
      ...(typeof connectionString === 'string' && { connectionString: addressOf(connectionString, user, password) }),
    },
    readonly: isReadonly(connection),
  };
}

/** What a connection string says of user and password counts more than the options beside it. */
function addressOf(connectionString: string, user: string, password: string): string {
  if (connectionString.startsWith('/')) return connectionString; // a socket and a database
  const [place = '', query = ''] = connectionString.split(/\?(.*)/s);
  const parameters = new URLSearchParams(query);
  parameters.set('user', user);
  parameters.set('password', password);
  return `${place.replace(/^([a-z]+:\/\/)[^/]*@/i, '$1')}?${parameters}`;
}
