import pg from 'pg';
import { expect, it } from 'vitest';
import { startPrivateCluster } from './private-cluster.js';

it.each(['fast', 'immediate'] as const)(
  'a cluster keeps its port and what was committed over a %s restart',
  async (mode) => {
    const cluster = await startPrivateCluster({ settings: { max_connections: 33 } });
    expect(await ask(cluster.url, 'create table kept as select 1 as n')).toEqual([]);
    await cluster.stop(mode);
    await expect(ask(cluster.url, 'select 1')).rejects.toThrow('ECONNREFUSED');
    await cluster.start();
    expect(await ask(cluster.url, 'select n from kept')).toEqual([{ n: 1 }]);
    expect(await ask(cluster.url, 'show max_connections')).toEqual([{ max_connections: '33' }]);
  },
);

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
