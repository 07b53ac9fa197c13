/**
 * Private Postgres clusters for tests, benchmarks and the demo.
 *
 * Owns: finding (or installing) the binaries, the life of one cluster in one folder.
 * Does not own: databases inside it (test/support/database.ts).
 *
 * 1. A cluster never outlives the process that started it, however that process ends: see guard().
 * 2. It listens on 127.0.0.1 only, below the kernel's ephemeral ports: see freePort().
 * 3. The server keeps its port over stop() and start(), so clients can reconnect.
 * 4. What follows another is a standby, by streaming replication, under the application name {@link STANDBY}.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  appendFileSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const OLDEST_MAJOR = 15;
const READY_WITHIN_MS = 120_000;
/** In bytes. The largest clusters of a test run take a third of it. */
const MEMORY_NEEDED = 3 * 1024 ** 3;

/** What a primary calls its standbys in `synchronous_standby_names`. */
export const STANDBY = 'perdure_standby';

/** Made for tests: nothing in a test cluster has to survive power loss. A benchmark passes `{ fsync: 'on' }`. */
const DEFAULT_SETTINGS = {
  max_connections: 200,
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  fsync: 'off',
  timezone: 'UTC',
  log_line_prefix: '%m [%p] %a ',
};

/** @param {import('./postgres.d.mts').ClusterOptions} options */
export async function startCluster({
  dir: givenDir,
  port: givenPort,
  settings = {},
  follows,
  inMemory = false,
  walSegmentMb = 16,
} = {}) {
  const binDir = findPostgres() ?? installPostgres();
  const account = serverAccount();
  const parent = inMemory ? memoryFolder() : tmpdir();
  const dir = givenDir === undefined ? mkdtempSync(join(parent, 'perdure-postgres-')) : resolve(givenDir);
  const guardian = guard(givenDir === undefined ? dir : '');
  const dataDir = join(dir, 'data');
  const logFile = join(dir, 'postgres.log');

  mkdirSync(dir, { recursive: true });
  if (account.uid !== undefined) chownSync(dir, account.uid, account.gid);
  const inFolder = { ...account, cwd: dir };
  if (follows === undefined && !existsSync(join(dataDir, 'PG_VERSION')))
    initialise(binDir, dataDir, walSegmentMb, inFolder);

  const port = givenPort ?? (await freePort());
  const flags = ['-D', dataDir, '-p', String(port), '-h', '127.0.0.1', '-k', ''];
  for (const [name, value] of Object.entries({ ...DEFAULT_SETTINGS, ...settings }))
    flags.push('-c', `${name}=${value}`);

  /** @type {import('node:child_process').ChildProcess | null} */
  let server = null;

  async function start() {
    if (server !== null) return;
    const log = openSync(logFile, 'a');
    const child = spawn(join(binDir, 'postgres'), flags, { ...account, cwd: dir, stdio: ['ignore', log, log] });
    closeSync(log);
    server = child;
    guardian.watch(child.pid);
    child.once('exit', () => {
      guardian.watch(undefined);
      server = null;
    });
    child.unref();
    await untilReady(child, dataDir, logFile);
  }

  async function stop(mode = 'fast') {
    if (server === null) return;
    const exited = once(server, 'exit');
    server.ref();
    server.kill(mode === 'immediate' ? 'SIGQUIT' : 'SIGINT');
    await exited;
  }

  async function restart(mode = 'fast') {
    await stop(mode);
    await start();
  }

  /** Begins again as a copy of `primary`, whatever it was before. */
  async function follow(primary) {
    await stop('immediate');
    rmSync(dataDir, { recursive: true, force: true });
    // Not the synchronous one: the proxies of a test run in this process, and the primary may be behind one.
    const flags = ['-d', primary.url, '-D', dataDir, '-X', 'stream', '--checkpoint=fast', '--no-sync'];
    await promisify(execFile)(join(binDir, 'pg_basebackup'), flags, inFolder);
    const conninfo = `host=127.0.0.1 port=${primary.port} user=postgres application_name=${STANDBY}`;
    appendFileSync(join(dataDir, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\n`);
    writeFileSync(join(dataDir, 'standby.signal'), '');
    await start();
  }

  /** Of a standby: makes it a primary; resolves when it takes writes. */
  async function promote() {
    await promisify(execFile)(join(binDir, 'pg_ctl'), ['promote', '-w', '-D', dataDir], inFolder);
  }

  /** See postgres.d.mts. What starts later has it from the postmaster, hence that one first. */
  async function limitFiles(bytes, pids) {
    const script =
      'limit=$1; shift; for pid; do prlimit --pid "$pid" --fsize="$limit": || [ "$pid" != "$1" ] || exit 1; done';
    const all = [server.pid, ...pids].map(String);
    await promisify(execFile)(
      'sh',
      ['-c', script, 'sh', bytes === null ? 'unlimited' : String(bytes), ...all],
      inFolder,
    );
  }

  async function remove() {
    await stop('immediate');
    guardian.release();
    if (givenDir === undefined) rmSync(dir, { recursive: true, force: true });
  }

  try {
    await (follows === undefined ? start() : follow(follows));
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    dir,
    port,
    binDir,
    logFile,
    start,
    stop,
    restart,
    follow,
    promote,
    limitFiles,
    remove,
  };
}

/** The folder of the newest suitable binaries, or null. `PERDURE_PG_BIN` is taken at its word or refused. */
export function findPostgres() {
  const named = process.env.PERDURE_PG_BIN;
  if (named) {
    if (majorVersion(named) >= OLDEST_MAJOR) return named;
    throw new Error(`PERDURE_PG_BIN=${named} holds no Postgres >= ${OLDEST_MAJOR} (initdb and postgres are needed).`);
  }
  const onPath = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const found = [...onPath, ...debianFolders()].find((folder) => majorVersion(folder) >= OLDEST_MAJOR);
  // The folder on PATH may hold links to the server alone; pg_basebackup and the rest are beside the real file.
  return found === undefined ? null : dirname(realpathSync(join(found, 'postgres')));
}

function debianFolders() {
  const root = '/usr/lib/postgresql';
  if (!existsSync(root)) return [];
  const newestFirst = readdirSync(root).sort((a, b) => Number(b) - Number(a));
  return newestFirst.map((version) => join(root, version, 'bin'));
}

function majorVersion(folder) {
  try {
    accessSync(join(folder, 'initdb'), constants.X_OK);
    const answer = execFileSync(join(folder, 'postgres'), ['--version'], { encoding: 'utf8', stdio: 'pipe' });
    return Number(/(\d+)/.exec(answer)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function installPostgres() {
  const byHand = `Install it (Debian: apt-get install postgresql) or set PERDURE_PG_BIN to the folder of its binaries.`;
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    throw new Error(`Postgres >= ${OLDEST_MAJOR} was not found. ${byHand}`);
  }
  // Debian's package creates and starts a cluster of its own on port 5432 unless told not to. A file in this folder
  // says so; createcluster.conf itself is the package's, and dpkg stops to ask when it finds it already there.
  const policyDir = '/etc/postgresql-common/createcluster.d';
  const policy = join(policyDir, 'perdure.conf');
  mkdirSync(policyDir, { recursive: true });
  writeFileSync(policy, 'create_main_cluster = false\n');
  const options = {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  };
  try {
    console.error(`Postgres >= ${OLDEST_MAJOR} was not found: installing Debian's package.`);
    execFileSync('apt-get', ['update', '-q'], options);
    execFileSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'postgresql'], options);
  } finally {
    rmSync(policy, { force: true });
  }
  const found = findPostgres();
  if (found === null) throw new Error(`Debian's package is older than Postgres ${OLDEST_MAJOR}. ${byHand}`);
  return found;
}

/**
 * A database is 300 files. On a disk, making and dropping one costs up to 200 ms of system time, in memory 30 ms; a test
 * run makes hundreds. Containers often have 64 MB there, which a cluster would fill: then it lives on the disk.
 */
function memoryFolder() {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    accessSync('/dev/shm', constants.W_OK);
    if (bavail * bsize >= MEMORY_NEEDED) return '/dev/shm';
  } catch {
    // there is none outside Linux
  }
  return tmpdir();
}

/** Postgres refuses to run as root. */
function serverAccount() {
  if (process.getuid?.() !== 0) return {};
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const account = accounts.find(([name]) => name === 'postgres') ?? accounts.find(([name]) => name === 'nobody');
  if (account === undefined)
    throw new Error('Postgres cannot run as root, and there is neither a user "postgres" nor "nobody".');
  return { uid: Number(account[2]), gid: Number(account[3]) };
}

function initialise(binDir, dataDir, walSegmentMb, options) {
  const flags = ['-D', dataDir, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'];
  flags.push(`--wal-segsize=${walSegmentMb}`);
  try {
    execFileSync(join(binDir, 'initdb'), flags, { ...options, stdio: 'pipe' });
  } catch (error) {
    throw new Error(`initdb failed in ${dataDir}: ${error.stderr}`, { cause: error });
  }
}

/**
 * The kernel hands out ports from 32768 up for outgoing connections. A listening port up there can be taken while the
 * server restarts, and a client that retries a closed local port can even connect to itself. So pick one below.
 */
async function freePort() {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const probe = createServer();
    const free = await new Promise((settle) => {
      probe.once('error', () => settle(false));
      probe.listen(port, '127.0.0.1', () => settle(true));
    });
    if (!free) continue;
    await new Promise((closed) => probe.close(closed));
    return port;
  }
}

/** postmaster.pid is what pg_ctl reads too: line 1 the pid, line 8 the state. It needs no driver. */
async function untilReady(child, dataDir, logFile) {
  const deadline = Date.now() + READY_WITHIN_MS;
  const pidFile = join(dataDir, 'postmaster.pid');
  while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
    const lines = existsSync(pidFile) ? readFileSync(pidFile, 'utf8').split('\n') : [];
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return;
    await sleep(10);
  }
  const log = readFileSync(logFile, 'utf8').split('\n').slice(-20).join('\n');
  throw new Error(`Postgres did not start; the end of ${logFile}:\n${log}`);
}

/**
 * Invariant 1. Postgres does not notice the death of the process that spawned it, and handlers for `exit` and signals
 * miss SIGKILL. A shell in a process group of its own reads a pipe from us: when we end in any way the pipe closes,
 * and the shell stops the server and removes the folder.
 */
function guard(folder) {
  const script = `
    while read -r line; do pid=$line; done
    [ "$pid" = done ] && exit
    [ -n "$pid" ] && kill -QUIT "$pid" && sleep 1
    [ -n "$1" ] && rm -rf "$1"`;
  const shell = spawn('sh', ['-c', script, 'sh', folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  shell.stdin.on('error', () => {}); // the guardian was killed first; nothing left to tell it
  shell.unref();
  shell.stdin.unref();
  return {
    watch: (pid) => shell.stdin.write(`${pid ?? ''}\n`),
    release: () => shell.stdin.end('done\n'),
  };
}
