import { onTestFinished, TestRunner } from 'vitest';

/**
 * Releases at the end of the running test (beforeEach belongs to it). In beforeAll and at module level no test is
 * running: there the caller releases.
 */
export function whenTestFinished(release: () => void | Promise<void>): void {
  if (TestRunner.getCurrentTest() !== undefined) onTestFinished(release);
}
