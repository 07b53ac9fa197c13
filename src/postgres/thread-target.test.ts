import pg from 'pg';
import { expect, it } from 'vitest';
import { threadTarget } from './thread-target.js';

const server = { host: 'a', port: 5433, user: 'u', database: 'd' };

it('the Client and the Pool of pg can be made in another thread, with what they are given', () => {
  for (const driver of [pg.Client, pg.Pool]) {
    expect(threadTarget({ class: driver, options: { ...server, password: 'p' } })).toMatchObject({
      module: expect.stringContaining('pg'),
      servers: [{ ...server, password: 'p' }],
    });
  }
});

it('a Pool of the program tells its options too, the hidden ones included', async () => {
  const ssl = { rejectUnauthorized: false, key: 'k' };
  const pool = new pg.Pool({ ...server, password: 'p', ssl, max: 7 });
  expect(threadTarget({ class: pool })).toMatchObject({ servers: [{ ...server, password: 'p', ssl: { key: 'k' } }] });
  expect(threadTarget({ class: pool })).not.toHaveProperty('servers.0.max');
  await pool.end();
});

it('each server of a list is one to be tried', () => {
  const connectionString = 'postgres://u@a:1,b:2/d?target_session_attrs=read-write';
  expect(threadTarget({ class: pg.Client, options: { connectionString } })).toMatchObject({
    servers: [
      { connectionString: expect.stringContaining('@a:1/') },
      { connectionString: expect.stringContaining('@b:2/') },
    ],
  });
});

it('what cannot be handed over is named', () => {
  const asked = { ...server, password: async () => 'p' };
  expect(threadTarget({ class: pg.Client, options: asked })).toMatch(/cannot be handed to a thread: password/);
  expect(threadTarget({ class: pg.Client, options: { ...server, stream: () => null } })).toMatch(/thread: stream/);
  class Own extends pg.Client {}
  expect(threadTarget({ class: Own, options: server })).toMatch(/not by way of the Client or Pool of the pg/);
  expect(threadTarget({ class: pg.Pool, options: { ...server, Client: Own } })).toMatch(/a Client of its own/);
});
