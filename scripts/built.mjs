/** A stale build would measure yesterday's code. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Builds when a source is newer than the build, in the current folder; ends the process when that fails. */
export function buildIfNeeded() {
  const built = 'dist/index.js';
  if (existsSync(built) && newest('src', 'sql') <= statSync(built).mtimeMs) return;
  console.error('Building: npm run build');
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

function newest(...folders) {
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}
