/**
 * npm run jest: whether `perdure/testing` works in jest, which is not among our dependencies: 270 packages and 55 MB for one question.
 * Installs it into a folder of its own, from the registry, and runs test/fixtures/any-runner.mjs there. Needs a build.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const JEST = 'jest@30';
const root = join(import.meta.dirname, '..');
const project = mkdtempSync(join(tmpdir(), 'perdure-jest-'));
try {
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  run('npm', ['install', '--no-audit', '--no-fund', '--silent', JEST]);
  symlinkSync(root, join(project, 'node_modules/perdure'), 'junction');
  mkdirSync(join(project, 'test'));
  writeFileSync(
    join(project, 'test/order.test.js'),
    `import { describe, it } from '@jest/globals';
import { testsOfAWorkflow } from 'perdure-test-any-runner';
testsOfAWorkflow({ describe, it });
`,
  );
  const mapper = { '^perdure-test-any-runner$': join(root, 'test/fixtures/any-runner.mjs') };
  const config = { transform: {}, testTimeout: 60_000, moduleNameMapper: mapper };
  // Jest loads ES modules behind this flag only: https://jestjs.io/docs/ecmascript-modules
  run(process.execPath, [
    '--experimental-vm-modules',
    'node_modules/jest/bin/jest.js',
    '--config',
    JSON.stringify(config),
  ]);
} finally {
  rmSync(project, { recursive: true, force: true });
}

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: project, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) process.exitCode = 1;
}
