/** PgBouncer in transaction mode, in front of a database of the run; for tests that skip it where it is not installed. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { until } from './worker.js';

const found = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  .map((folder) => join(folder, 'pgbouncer'))
  .find((file) => existsSync(file));

/** Whether there is one to start (Debian: apt-get install pgbouncer). */
export const havePooler = found !== undefined;

export interface Pooler {
  url(databaseUrl: string): string;
  start(): Promise<void>;
  /** At once, as in a crash. */
  stop(): Promise<void>;
  remove(): Promise<void>;
}

export async function startPooler(databaseUrl: string, poolSize: number): Promise<Pooler> {
  const { hostname, port, username } = new URL(databaseUrl);
  const dir = mkdtempSync(join(tmpdir(), 'perdure-pgbouncer-'));
  chmodSync(dir, 0o755);
  const own = await freePort();
  const file = join(dir, 'pgbouncer.ini');
  writeFileSync(
    file,
    `[databases]
* = host=${hostname} port=${port} user=${username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${own}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 200
server_login_retry = 1
`,
  );
  let server: ChildProcess | null = null;
  const pooler: Pooler = {
    url(given) {
      const url = new URL(given);
      url.hostname = '127.0.0.1';
      url.port = String(own);
      return url.href;
    },
    async start() {
      server = spawn(found as string, ['-q', file], { ...account(), stdio: 'ignore' });
      await until('pgbouncer listens', () => listens(own));
    },
    async stop() {
      const running = server;
      server = null;
      if (running === null || running.exitCode !== null) return;
      const exited = once(running, 'exit');
      running.kill('SIGKILL');
      await exited;
    },
    async remove() {
      await pooler.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  await pooler.start();
  return pooler;
}

/** PgBouncer refuses to run as root. */
function account(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const [, , uid, gid] = (/^(postgres|nobody):.*$/m.exec(readFileSync('/etc/passwd', 'utf8'))?.[0] ?? '').split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
