/** `perdure/testing`: the engine on a database in memory, in virtual time; workflows whose process is killed at every commit. */

export {
  type ActivityExecution,
  type CrashReport,
  type CrashRun,
  CrashTestError,
  type CrashTestOptions,
  crashTest,
  type RepeatedActivity,
  type TestSignal,
} from './crash-test.js';
export { TestEnvironment, type TestEnvironmentOptions } from './test-environment.js';
