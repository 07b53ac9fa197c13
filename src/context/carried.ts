/**
 * What the engine carries through a user's code: the workflow or the activity that it runs as, never both.
 *
 * One AsyncLocalStorage for the two: each one costs every promise of the process a hook and a property (two of them took 7 %
 * of a busy worker's CPU), and so an activity is in no workflow, whatever started it.
 */

import { AsyncLocalStorage } from 'node:async_hooks';

/** Who put it there knows it again by its own class. */
export const carried = new AsyncLocalStorage<object>();
