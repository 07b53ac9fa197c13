/** `perdure/testing`: the engine on a database in memory, in virtual time. */

export { TestEnvironment, type TestEnvironmentOptions } from './test-environment.js';
