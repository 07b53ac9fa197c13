import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ConnectionError } from '../core/errors.js';
import { lockFolder } from './pglite-folder-lock.js';

let parent: string;
let folder: string;
let file: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'perdure-lock-'));
  folder = join(parent, 'data');
  file = `${folder}.lock`;
});
afterEach(() => rmSync(parent, { recursive: true }));

const lockOf = (holder: object) => writeFileSync(file, JSON.stringify({ started: null, token: 'theirs', ...holder }));

it('is one file beside the folder, gone after the release', async () => {
  const lock = await lockFolder(folder);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid });
  lock.release();
  expect(existsSync(file)).toBe(false);
});

it('is refused while its holder lives, and taken over when it is dead', async () => {
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  lockOf({ pid: other.pid });
  await expect(lockFolder(folder)).rejects.toThrow(ConnectionError);
  await expect(lockFolder(folder)).rejects.toThrow(`in use by process ${other.pid}`);
  other.kill('SIGKILL');
  await once(other, 'exit');
  (await lockFolder(folder)).release();
});

it.runIf(process.platform === 'linux')('is taken over from an earlier process of the same pid', async () => {
  lockOf({ pid: process.pid, started: '1' });
  (await lockFolder(folder)).release();
});

it('is refused to a second thread of this process', async () => {
  const lock = await lockFolder(folder);
  await expect(lockFolder(folder)).rejects.toThrow('another thread of this process');
  lock.release();
});

it('is given to one of two that take over at once', async () => {
  lockOf({ pid: 2 ** 22 + 1 });
  const settled = await Promise.allSettled([lockFolder(folder), lockFolder(folder)]);
  expect(settled.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
});

it('is taken over when its writer died over it', async () => {
  writeFileSync(file, '{"pi');
  await expect(lockFolder(folder)).rejects.toThrow('process unknown');
  utimesSync(file, 0, 0);
  (await lockFolder(folder)).release();
});
