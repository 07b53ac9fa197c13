/** What a worker with credentials of its own serves, of what it brings. */
import { PermissionError } from '../core/errors.js';
import type { Grants } from '../postgres/protocol/roles.js';
import type { Serving } from './serving.js';

/**
 * Leaves out the activities of its queue where only the workflows are granted: they run on workers of their own.
 *
 * @param grants Null: any queue.
 * @throws {PermissionError} when it brings functions that it may not serve. The database would refuse them too, in other words.
 */
export function keepWithin(grants: Grants | null, serving: Serving): void {
  if (grants === null) return;
  const { taskQueue, workflows, activityFunctions } = serving;
  // Workflows of a queue named like that have the stream name of activities: see is_served.
  const servesWorkflows = grants.streams.includes(taskQueue) && !taskQueue.endsWith('-activity');
  serving.servesActivities = grants.streams.includes(`${taskQueue}-activity`);
  if (workflows.size > 0 && !servesWorkflows) throw missing('workflows', taskQueue, grants);
  if (activityFunctions.size > 0 && !serving.servesActivities) {
    throw missing('activities', `${taskQueue}-activity`, grants);
  }
}

function missing(what: string, stream: string, { streams }: Grants): PermissionError {
  const granted = streams.map((name) => `"${name}"`).join(', ');
  return new PermissionError(
    `Worker.create: its credentials may not serve the ${what} of "${stream}", but ${granted}. Provision the role with that stream name`,
  );
}
