import { defineConfig } from 'vitest/config';
import { codeBugs, planting } from './test/support/code-bugs.js';

const withDatabase = ['test/support/global-setup.ts'];

// See scripts/planted-bugs.mjs.
const planted = codeBugs.find(({ name }) => name === process.env.PERDURE_PLANTED_BUG);
const plugins = planted === undefined ? [] : [planting(planted)];

export default defineConfig({
  test: {
    // A process per file: fixtures, signals and process-wide caches of one file cannot reach another.
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        // No database here on purpose: what needs one is a protocol test.
        plugins,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          exclude: ['src/**/*.server.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        plugins,
        test: {
          name: 'protocol',
          include: ['test/protocol/**/*.test.ts', 'test/support/**/*.test.ts', 'src/**/*.server.test.ts'],
          globalSetup: withDatabase,
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        plugins,
        test: {
          name: 'guarantees',
          include: ['test/*.test.ts', 'test/attacks/*.test.ts'],
          globalSetup: withDatabase,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
