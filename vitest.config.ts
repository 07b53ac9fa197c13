import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { codeBugs, planting } from './test/support/code-bugs.js';

const withDatabase = ['test/support/global-setup.ts'];

// See scripts/planted-bugs.mjs.
const planted = codeBugs.find(({ name }) => name === process.env.PERDURE_PLANTED_BUG);
const plugins = planted === undefined ? [] : [planting(planted)];

const quickPgliteFile = fileURLToPath(new URL('test/support/quick-pglite.mjs', import.meta.url));

/** A PGlite in memory starts from the image of this run: see test/support/pglite-image.mjs. */
const quickPglite = {
  name: 'quick-pglite',
  enforce: 'pre' as const,
  resolveId: (id: string, importer = '') =>
    id === '@electric-sql/pglite' && !/\/(quick-pglite|pglite-image)\.mjs$/.test(importer) ? quickPgliteFile : null,
};

/** Vitest's own second is short on a machine that has other things to do. What never happens still fails. */
const patientPolls = { poll: { timeout: 40_000 } };

/**
 * The optimising compiler for WebAssembly takes longer than what it saves in a PGlite that lives for a test or two. (It
 * pays where hundreds share one: on-pglite takes 52 s with it and 65 s without.)
 */
const baselineWasm = ['--liftoff-only'];

export default defineConfig({
  test: {
    // A process per file: fixtures, signals and process-wide caches of one file cannot reach another.
    pool: 'forks',
    // More than the two cores of the gate: a fifth of the time of most files is waiting.
    maxWorkers: 3,
    projects: [
      {
        // No database here on purpose: what needs one is a protocol test.
        plugins,
        test: {
          name: 'unit',
          expect: patientPolls,
          include: ['src/**/*.test.ts'],
          exclude: ['src/**/*.server.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        plugins: [quickPglite, ...plugins],
        test: {
          name: 'protocol',
          expect: patientPolls,
          include: ['test/protocol/**/*.test.ts', 'test/support/**/*.test.ts', 'src/**/*.server.test.ts'],
          globalSetup: withDatabase,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        plugins: [quickPglite, ...plugins],
        test: {
          name: 'guarantees',
          expect: patientPolls,
          execArgv: baselineWasm,
          include: ['test/*.test.ts', 'test/attacks/*.test.ts'],
          globalSetup: withDatabase,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
