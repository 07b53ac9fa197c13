/** npm run demo: installs and builds what is missing, then runs demo/supervisor.mjs with the arguments given. */
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { installIfNeeded } from './dependencies.mjs';

process.chdir(join(import.meta.dirname, '..'));
installIfNeeded();
if (!isBuilt()) {
  console.log('Building: npm run build');
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) process.exit(status ?? 1);
}
await import('../demo/supervisor.mjs');

/** Whether nothing that the build reads is newer than what it wrote. */
function isBuilt() {
  const built = statSync('dist/index.js', { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = ['src', 'sql'].flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }));
  return sources.every((entry) => !entry.isFile() || statSync(join(entry.parentPath, entry.name)).mtimeMs <= built);
}
