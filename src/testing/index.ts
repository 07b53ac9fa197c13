/**
 * `perdure/testing`: the engine on a database in memory, in virtual time; workflows whose process is killed at every commit;
 * recorded histories on new code.
 */

export {
  type AssertReplaysOptions,
  assertReplays,
  ReplayError,
  type ReplayMismatch,
  type ReplayReport,
} from './assert-replays.js';
export {
  type ActivityExecution,
  type CrashReport,
  type CrashRun,
  CrashTestError,
  type RepeatedActivity,
} from './crash-report.js';
export { crashTest } from './crash-test.js';
export type { CrashTestOptions, TestSignal } from './crash-test-options.js';
export type { HistorySource } from './history-files.js';
export {
  type MockActivities,
  type MockActivity,
  type MockCall,
  mockActivities,
  resetMocks,
} from './mock-activities.js';
export { TestEnvironment, type TestEnvironmentOptions } from './test-environment.js';
