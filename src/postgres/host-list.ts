/**
 * Several servers of which one takes writes: `postgres://a:5432,b:5432/app?target_session_attrs=read-write`, as libpq has it.
 * `pg` knows one host.
 *
 * Owns: reading the list, and asking a server whether it takes writes. Does not own: how a connection is made (client-source.ts).
 */
import { InvalidArgumentError } from '../core/errors.js';
import { nearestName } from '../core/nearest.js';
import { shownValue } from '../core/shown-value.js';
import { type ClientSource, within } from './client-source.js';
import type { PgClient } from './pg-driver.js';
import { mayPass } from './reaction.js';

type PgOptions = Readonly<Record<string, unknown>>;

/** A server that has not answered by then is left to itself while the next is asked too. A dead machine answers nothing. */
const NEXT_AFTER_MS = 1_000;

/** What the engine can work with: each of its calls writes. */
const WRITABLE = ['read-write', 'primary'];

/** Schema, user and password; hosts; the rest. */
const URL_PARTS = /^(postgres(?:ql)?:\/\/(?:[^@/?]*@)?)([^/?]*)(.*)$/s;

/** The options for each server, in order; null where one server is named and anything goes: the ordinary case. */
export function serversOf(options: PgOptions): PgOptions[] | null {
  const wish = wishOf(options);
  if (wish !== undefined && !WRITABLE.includes(wish)) {
    const meant = nearestName(wish, WRITABLE);
    throw new InvalidArgumentError(
      `connection: target_session_attrs must be 'read-write' or 'primary'; got ${shownValue(wish)}. ` +
        (meant === undefined ? 'The engine writes with every call' : `Did you mean '${meant}'?`),
    );
  }
  const servers = byConnectionString(options) ?? byHost(options);
  return servers.length > 1 || wish !== undefined ? servers : null;
}

/** Connects to the first of several servers that takes writes, beginning with the last that did. */
export function writableSource(servers: readonly ClientSource[]): ClientSource {
  const owners = new WeakMap<PgClient, ClientSource>();
  let preferred = 0;
  const ownerOf = (client: PgClient) => owners.get(client) as ClientSource;
  return {
    open: (purpose, deadlineMs) =>
      new Promise((resolve, reject) => {
        const failures: unknown[] = [];
        let tried = 0;
        let won = false;
        const tryNext = () => {
          if (won || tried === servers.length) return;
          const index = (preferred + tried++) % servers.length;
          const impatience = setTimeout(tryNext, NEXT_AFTER_MS);
          const source = servers[index] as ClientSource;
          openWritable(source, purpose, deadlineMs)
            .then(
              (client) => {
                if (won) return source.destroy(client);
                won = true;
                preferred = index;
                owners.set(client, source);
                resolve(client);
              },
              (error: unknown) => {
                failures.push(error);
                if (failures.length === servers.length) reject(new NoServerError(failures));
                else tryNext();
              },
            )
            .finally(() => clearTimeout(impatience));
        };
        tryNext();
      }),
    end: (client) => ownerOf(client).end(client),
    ...(servers.some(({ giveBack }) => giveBack !== undefined) && {
      giveBack: (client: PgClient) => ownerOf(client).giveBack?.(client),
    }),
    destroy: (client) => ownerOf(client).destroy(client),
  };
}

/** Says of a server that it is there, and no use: until it is promoted. */
class ReadOnlyServerError extends Error {
  readonly code = 'EREADONLY';

  constructor() {
    super('a server that answered takes no writes: it is a standby, or read-only');
  }
}

/** What each of them said. Its code tells the lane whether waiting may mend it, as the system's codes do: see mayPass(). */
class NoServerError extends AggregateError {
  readonly code: string;

  constructor(failures: readonly unknown[]) {
    super(failures, '');
    this.code = failures.some(mayPass) ? 'ENOSERVER' : 'ERR_NO_SERVER';
  }
}

async function openWritable(source: ClientSource, purpose: string, deadlineMs: number): Promise<PgClient> {
  const client = await source.open(purpose, deadlineMs);
  try {
    const asked = client.query(
      'select pg_is_in_recovery() or current_setting($$transaction_read_only$$)::bool as read_only',
    );
    const { rows } = await within(deadlineMs, asked);
    if (rows[0]?.read_only === true) throw new ReadOnlyServerError();
    return client;
  } catch (error) {
    source.destroy(client);
    throw error;
  }
}

function wishOf(options: PgOptions): string | undefined {
  const { connectionString, target_session_attrs: given } = options;
  const inUrl =
    typeof connectionString === 'string' ? /[?&]target_session_attrs=([^&#]*)/.exec(connectionString)?.[1] : undefined;
  const wish = inUrl === undefined ? given : decodeURIComponent(inUrl);
  if (wish !== undefined && typeof wish !== 'string')
    throw new InvalidArgumentError(`connection: target_session_attrs must be a string; got ${shownValue(wish)}`);
  return wish;
}

function byConnectionString(options: PgOptions): PgOptions[] | null {
  const { connectionString } = options;
  if (typeof connectionString !== 'string') return null;
  const [, head = '', hosts = '', rest = ''] = URL_PARTS.exec(connectionString) ?? [];
  if (!hosts.includes(',')) return [options];
  return hosts.split(',').map((host) => {
    if (host === '')
      throw new InvalidArgumentError('connection: the list of hosts of connectionString has an empty one');
    return { ...options, connectionString: `${head}${host}${rest}` };
  });
}

/** `host: 'a,b'` with `port: '5432,5433'`, or one port for all. */
function byHost(options: PgOptions): PgOptions[] {
  const { host, port } = options;
  const hosts = typeof host === 'string' ? host.split(',') : [host];
  if (hosts.length === 1) return [options];
  const ports = typeof port === 'string' ? port.split(',') : [port];
  if (hosts.includes(''))
    throw new InvalidArgumentError(`connection: host has an empty one in its list; got ${shownValue(host)}`);
  if (ports.length !== 1 && ports.length !== hosts.length) {
    throw new InvalidArgumentError(
      `connection: port must be one for all hosts or one for each of the ${hosts.length}; got ${ports.length}`,
    );
  }
  return hosts.map((host, index) => {
    const own = ports[ports.length === 1 ? 0 : index];
    return { ...options, host, ...(own !== undefined && { port: Number(own) }) };
  });
}
