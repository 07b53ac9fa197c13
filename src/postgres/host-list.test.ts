import { EventEmitter } from 'node:events';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../core/errors.js';
import type { ClientSource } from './client-source.js';
import { shortForm } from './connection.js';
import { serversOf, writableSource } from './host-list.js';
import type { PgClient } from './pg-driver.js';
import { mayPass } from './reaction.js';

describe('the servers of a connection', () => {
  it.each<[string, Record<string, unknown>, unknown[] | null]>([
    ['one host', { connectionString: 'postgres://u:p@a:1/d' }, null],
    ['one host by name', { host: 'a', port: 1 }, null],
    ['nothing', {}, null],
    [
      'a list in the URL',
      { connectionString: 'postgresql://u:p%40@a:1,[::1]:2,c/d?x=1', max: 3 },
      ['u:p%40@a:1', 'u:p%40@[::1]:2', 'u:p%40@c'].map((at) => ({
        connectionString: `postgresql://${at}/d?x=1`,
        max: 3,
      })),
    ],
    [
      'a list without user and database',
      { connectionString: 'postgres://a,b' },
      [{ connectionString: 'postgres://a' }, { connectionString: 'postgres://b' }],
    ],
    [
      'hosts and ports',
      { host: 'a,b', port: '1,2' },
      [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
    ],
    [
      'hosts and one port',
      { host: 'a,b', port: 1 },
      [
        { host: 'a', port: 1 },
        { host: 'b', port: 1 },
      ],
    ],
    ['hosts alone', { host: 'a,b' }, [{ host: 'a' }, { host: 'b' }]],
    [
      'one that is to take writes',
      { connectionString: 'postgres://a/d?target_session_attrs=primary' },
      [{ connectionString: 'postgres://a/d?target_session_attrs=primary' }],
    ],
  ])('are read from %s', (_what, options, servers) => {
    expect(serversOf(options)).toEqual(servers);
  });

  it.each<[Record<string, unknown>, string]>([
    [
      { connectionString: 'postgres://a,b/d?target_session_attrs=readwrite' },
      "target_session_attrs must be 'read-write' or 'primary'; got \"readwrite\". Did you mean 'read-write'?",
    ],
    [{ host: 'a', target_session_attrs: 'standby' }, 'The engine writes with every call'],
    [{ host: 'a', target_session_attrs: 1 }, 'target_session_attrs must be a string; got'],
    [{ host: 'a,b,c', port: '1,2' }, 'port must be one for all hosts or one for each of the 3; got 2'],
    [{ host: 'a,' }, 'host has an empty one in its list'],
    [{ connectionString: 'postgres://a,,b/d' }, 'connectionString has an empty one'],
  ])('are refused: %j', (options, message) => {
    for (const driver of [pg.Client, pg.Pool]) {
      const look = () => shortForm({ class: driver, options });
      expect(look).toThrow(InvalidArgumentError);
      expect(look).toThrow(message);
    }
  });
});

type Behaviour = 'writable' | 'standby' | 'refuses' | 'silent' | 'wrong password';

/** Servers that behave as they are told at the moment; who connected is noted. */
class Servers {
  readonly tried: number[] = [];
  readonly destroyed: number[] = [];
  readonly source: ClientSource;

  constructor(readonly behaviours: Behaviour[]) {
    this.source = writableSource(behaviours.map((_, index) => this.#server(index)));
  }

  async connect(): Promise<number> {
    const client = await this.source.open('test', 5_000);
    return (client as PgClient & { server: number }).server;
  }

  #server(index: number): ClientSource {
    return {
      open: async () => {
        this.tried.push(index);
        const behaviour = this.behaviours[index];
        if (behaviour === 'refuses') throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
        if (behaviour === 'wrong password') throw Object.assign(new Error('no'), { code: '28P01', severity: 'FATAL' });
        if (behaviour === 'silent') await new Promise(() => {});
        const query = async () => ({ rows: [{ read_only: behaviour === 'standby' }] });
        return Object.assign(new EventEmitter(), { server: index, query }) as unknown as PgClient;
      },
      async end() {},
      destroy: (client) => void this.destroyed.push((client as PgClient & { server: number }).server),
    };
  }
}

describe('of several servers', () => {
  it('the one that takes writes is connected to, and first the next time', async () => {
    const servers = new Servers(['standby', 'refuses', 'writable']);
    expect(await servers.connect()).toBe(2);
    expect(servers.destroyed).toEqual([0]);
    expect(await servers.connect()).toBe(2);
    expect(servers.tried).toEqual([0, 1, 2, 2]);
  });

  it('another is found when they change places', async () => {
    const servers = new Servers(['writable', 'standby']);
    expect(await servers.connect()).toBe(0);
    servers.behaviours.splice(0, 2, 'refuses', 'writable');
    expect(await servers.connect()).toBe(1);
    servers.behaviours.splice(0, 2, 'writable', 'standby');
    expect(await servers.connect()).toBe(0);
  });

  it('one that does not answer holds nobody up', async () => {
    expect(await new Servers(['silent', 'writable']).connect()).toBe(1);
  });

  it('none will do: what each said is told, and whether time may mend it', async () => {
    const told = (behaviours: Behaviour[]) => new Servers(behaviours).connect().catch((error: unknown) => error);
    const passing = await told(['wrong password', 'standby']);
    expect(passing).toMatchObject({
      errors: [{ code: '28P01' }, { message: expect.stringContaining('takes no writes') }],
    });
    expect(mayPass(passing)).toBe(true);
    expect(mayPass(await told(['wrong password', 'wrong password']))).toBe(false);
  });
});
