/** Says once when workflows wait for functions that nobody serves, and once more when that came back after it was mended. */

import type { Logger } from '../core/logger.js';
import type { UnservedWorkflow } from '../postgres/protocol/workers.js';

export class UnservedWatch {
  #known = new Set<string>();

  /** @param loggerOf The logger of a worker of the queue. */
  tell(found: readonly UnservedWorkflow[], loggerOf: (taskQueue: string) => Logger): void {
    const seen = new Set<string>();
    for (const { task_queue: taskQueue, workflow_name: workflowName, waiting } of found) {
      const key = JSON.stringify([taskQueue, workflowName]);
      seen.add(key);
      if (this.#known.has(key)) continue;
      const fields = { taskQueue, workflowName, waiting };
      loggerOf(taskQueue).warn(fields, 'workflows wait for a function that no live worker serves');
    }
    this.#known = seen;
  }
}
