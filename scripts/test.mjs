/**
 * npm test: installs if needed, builds (fixtures run the built package) and runs vitest with the arguments given.
 * It ends with a line for each test that failed and `N passed, N failed[, N skipped]`, for people and machines alike.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { installIfNeeded } from './dependencies.mjs';

process.chdir(join(import.meta.dirname, '..'));
installIfNeeded();
const built = spawnSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit', shell: process.platform === 'win32' });
if (built.status !== 0) {
  console.log('The build failed; no test was run.');
  finish({ passed: 0, failed: 1, skipped: 0 });
}

const reportDir = mkdtempSync(join(tmpdir(), 'perdure-test-'));
const report = join(reportDir, 'report.json');
const vitest = [
  'node_modules/vitest/vitest.mjs',
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${report}`,
];
const run = spawnSync(process.execPath, [...vitest, ...process.argv.slice(2)], { stdio: 'inherit' });
const results = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : null;
const counts = results === null ? { passed: 0, failed: 0, skipped: 0 } : count(results);
if (results !== null) tellFailures(results);
rmSync(reportDir, { recursive: true, force: true });

if (counts.passed + counts.failed === 0) {
  console.log('No test was executed.');
  counts.failed = 1;
} else if (run.status !== 0 && counts.failed === 0) {
  console.log(
    `Vitest reported an error outside of a test (${run.signal ?? `exit code ${run.status}`}); it counts as one failure.`,
  );
  counts.failed = 1;
}
finish(counts);

/** A file that could not be loaded has no tests to its name; it counts as one failure. */
function count(results) {
  const filesLost = results.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests + filesLost.length,
    skipped: results.numPendingTests + results.numTodoTests,
  };
}

function tellFailures(results) {
  const firstLine = (text = '') => stripVTControlCharacters(text).split('\n', 1)[0];
  for (const file of results.testResults) {
    const name = relative(process.cwd(), file.name);
    const failed = file.assertionResults.filter((test) => test.status === 'failed');
    for (const test of failed) console.log(`failed: ${name}: ${test.fullName}: ${firstLine(test.failureMessages[0])}`);
    if (file.status === 'failed' && failed.length === 0) console.log(`failed: ${name}: ${firstLine(file.message)}`);
  }
}

function finish({ passed, failed, skipped }) {
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  process.exit(failed > 0 ? 1 : 0);
}
