/**
 * Other versions of the library, built and ready to be imported: the next one, made of this one, and the last release, where the
 * clone has its tag.
 */

import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { whenTestFinished } from './lifetime.js';

export interface Library {
  readonly name: string;
  /** To be imported: a file URL. */
  readonly module: string;
}

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What is built here. */
export const thisLibrary: Library = { name: 'this version', module: pathToFileURL(join(root, 'dist/index.js')).href };

/** What an upgrade may bring, see docs/upgrades.md: columns and an index, all functions anew, a function under a new name. */
const NEXT_SQL = `import * as previous from './embedded-sql.previous.js';

const mail = previous.functions.find(({ name }) => name === 'mail').sql;
const renamed = mail.replace(/function mail\\((p_worker_no int), (p_\\w+ bigint\\[\\])\\)/, 'function mail_2($2, $1)');
if (renamed === mail) throw new Error('mail.sql has another signature: change test/support/library-versions.ts');

export const migrations = [
  ...previous.migrations,
  {
    number: previous.migrations.length + 1,
    name: 'next_version',
    sql: \`
      alter table activity_task add column note text;
      alter table history add column note text not null default 'old';
      alter table thread add column note text;
      alter table execution add column note text;
      create index execution_noted on execution (note) where note is not null;
      update execution set note = 'moved' where state <> 'open';
    \`,
  },
];
export const functions = [
  ...previous.functions.map(({ name, sql }) => ({ name, sql: sql + '\\n-- of the next version' })),
  { name: 'mail_2', sql: renamed },
];
`;

/** A library whose schema is a version ahead of this one's, in a folder that goes with the test. */
export function nextLibrary(): Library {
  const folder = temporaryFolder();
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const embedded = join(folder, 'dist/postgres/embedded-sql');
  renameSync(`${embedded}.js`, `${embedded}.previous.js`);
  writeFileSync(`${embedded}.js`, NEXT_SQL);
  const threads = join(folder, 'dist/postgres/protocol/threads.js');
  const before = readFileSync(threads, 'utf8');
  const after = before.replace(/'mail', \[(int\(workerNo\)), (bigints\(known\))\]/, "'mail_2', [$2, $1]");
  if (after === before) throw new Error('fetchMail calls otherwise: change test/support/library-versions.ts');
  writeFileSync(threads, after);
  return { name: 'the next version', module: pathToFileURL(join(folder, 'dist/index.js')).href };
}

/** The tag of the release before this commit, or `PREVIOUS`; null in a clone without tags, as CI makes them. */
export function previousRelease(): string | null {
  if (process.env.PREVIOUS !== undefined) return process.env.PREVIOUS;
  try {
    const described = ['describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*', 'HEAD^'];
    return execFileSync('git', described, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null;
  }
}

/** The library as it was at a commit, built with the tools of today. */
export function libraryAt(commit: string): Library {
  const folder = temporaryFolder();
  const archive = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 2 ** 28 });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
  execFileSync(process.execPath, ['scripts/embed-sql.mjs'], { cwd: folder });
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: folder });
  return { name: commit, module: pathToFileURL(join(folder, 'dist/index.js')).href };
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-version-'));
  whenTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
