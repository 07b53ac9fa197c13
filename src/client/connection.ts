import {
  type ConnectionOptions,
  type ConnectionsByRole,
  isReadonly,
  providerOf,
  shortForm,
} from '../postgres/connection.js';

/** What {@link Connection.connect} makes of a connection: the long form itself, or the short form with options and provider. */
type Connected<C> = C extends ConnectionsByRole
  ? C
  : ConnectionOptions & { readonly options: Record<string, unknown>; readonly provider: string };

/**
 * Puts a connection into the form that clients and workers take, and checks it. Opens nothing: what uses it connects.
 *
 * It is not needed: `{ class, options }` may be given anywhere a connection is asked for. With PGlite in memory it tells how
 * many databases there are: one for each call, since each one copies the options.
 *
 * @example
 * const connection = await Durable.Connection.connect({ class: Pool, options: { connectionString }, readonly: true });
 */
// biome-ignore lint/complexity/noStaticOnlyClass: programs written for HotMesh know it as a class
export class Connection {
  /**
   * The long form (`{ store, ... }`) is given back as it is; of the short form a copy, with its options copied and the
   * `provider` that its class is recognised as. `readonly`, `codec` and `pooler` stay.
   *
   * @throws {InvalidArgumentError} for what is no connection.
   */
  static async connect<C extends ConnectionOptions | ConnectionsByRole>(connection: C): Promise<Connected<C>> {
    const { options, ...given } = shortForm(connection);
    const provider = providerOf(given.class);
    if ('store' in connection) return connection as Connected<C>;
    const connected = {
      ...given,
      options: { ...options },
      provider,
      ...(isReadonly(connection) && { readonly: true }),
    };
    return connected as Connected<C>;
  }

  /** The same as {@link connect}. */
  static readonly create = Connection.connect;
}
