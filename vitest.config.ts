import { defineConfig } from 'vitest/config';

const withDatabase = ['test/support/global-setup.ts'];

export default defineConfig({
  test: {
    // A process per file: fixtures, signals and process-wide caches of one file cannot reach another.
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        // No database here on purpose: what needs one is a protocol test.
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          exclude: ['src/**/*.server.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'protocol',
          include: ['test/protocol/**/*.test.ts', 'test/support/**/*.test.ts', 'src/**/*.server.test.ts'],
          globalSetup: withDatabase,
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
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
