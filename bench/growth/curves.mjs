/** The curves, by name. */
import { cache } from './cache.mjs';
import { distance } from './distance.mjs';
import { fairness } from './fairness.mjs';
import { finished } from './finished.mjs';
import { flood } from './flood.mjs';
import { longHistory } from './long-history.mjs';
import { parked } from './parked.mjs';
import { payloads } from './payloads.mjs';
import { processes } from './processes.mjs';
import { remote } from './remote.mjs';

/**
 * @typedef {object} Curve
 * @property {string} title
 * @property {number} minutes at most, at the full size, on two cores
 * @property {Record<string, number>} size
 * @property {Record<string, number>} quick the size for `--quick`
 * @property {Record<string, string>} [settings] of the cluster
 * @property {Record<string, import('../measures.mjs').Figure>} figures
 * @property {string[]} notMeasured
 * @property {(stage: import('./stage.mjs').Stage, size: any) => Promise<void>} run
 */

/** @type {Record<string, Curve>} */
export const curves = {
  parked,
  finished,
  history: longHistory,
  cache,
  processes,
  fairness,
  payloads,
  flood,
  remote,
  distance,
};
