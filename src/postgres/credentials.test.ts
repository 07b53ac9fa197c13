import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { withCredentials } from './credentials.js';

const credentials = { user: 'wörker 1', password: 'p@ss/w%rd?&+' };

describe('a connection with credentials of its own is to the same place', () => {
  it.each([
    ['options', { host: 'h', port: 6543, database: 'd', user: 'admin', password: 'admin secret' }],
    ['an address', { connectionString: 'postgres://admin:admin%20secret@h:6543/d' }],
    ['an address without a user', { connectionString: 'postgresql://h:6543/d?application_name=x' }],
    [
      'an address that names the user behind',
      { connectionString: 'postgres://h:6543/d?user=admin&password=admin%20secret' },
    ],
    ['an address beside options', { connectionString: 'postgres://admin:x@h:6543/d', user: 'admin', password: 'y' }],
  ])('as it stands in %s', (_what, options) => {
    for (const driver of [pg.Client, pg.Pool]) {
      const made = withCredentials('test', { class: driver, options }, credentials);
      expect(made.class).toBe(driver);
      expect(new pg.Client(made.options)).toMatchObject({ host: 'h', port: 6543, database: 'd', ...credentials });
      expect(JSON.stringify(made.options)).not.toMatch(/admin/);
    }
    const ofPool = withCredentials('test', { class: new pg.Pool({ ...options, max: 7 }) }, credentials);
    expect(ofPool.class).toBe(pg.Pool);
    expect(ofPool.options).toMatchObject({ max: 7 });
    expect(new pg.Client(ofPool.options)).toMatchObject({ host: 'h', port: 6543, database: 'd', ...credentials });
  });

  it('by a socket', () => {
    const options = { connectionString: 'postgres://admin:x@/d?host=/run/pg' };
    const made = withCredentials('test', { class: pg.Client, options }, credentials);
    expect(new pg.Client(made.options)).toMatchObject({ host: '/run/pg', database: 'd', ...credentials });
  });

  it('and as readonly as it was', () => {
    const made = withCredentials('test', { class: pg.Client, options: {}, readonly: true }, credentials);
    expect(made.readonly).toBe(true);
  });

  it('but PGlite has one session for all', () => {
    expect(() => withCredentials('test', { class: PGlite }, credentials)).toThrow('cannot be used with PGlite');
  });
});
