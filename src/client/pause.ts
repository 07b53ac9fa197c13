/** Pausing and resuming, as handles do it and in bulk. */

import * as v from 'valibot';
import { GetStateError, InactiveJobError, OperationRefusedError } from '../core/errors.js';
import { flag, parseOptions, text } from '../core/options.js';
import { randomNumber } from '../postgres/protocol/commit.js';
import type { Link } from './link.js';

/** Options of `handle.pause`. */
export interface PauseOptions {
  /** Why, for people: `explain()` shows it. Default: none. */
  readonly reason?: string;
  /**
   * Whether the open children it started are paused too, awaited or not, and theirs, generation by generation. A child that is
   * being started this moment may be missed. `resume` has the option too. Default: false.
   */
  readonly descend?: boolean;
}

/** Options of `handle.resume`. */
export type ResumeOptions = Pick<PauseOptions, 'descend'>;

const pauseOptions = v.strictObject({ reason: v.optional(text), descend: v.optional(flag) });
const resumeOptions = v.strictObject({ descend: v.optional(flag) });

/** @returns whether it was running. */
export async function pauseWorkflow(link: Link, workflowId: string, options: PauseOptions): Promise<boolean> {
  const { reason = null, descend = false } = parseOptions('pause', pauseOptions, options);
  const pause = (id: string) => link.pause({ requestNo: randomNumber(), workflowId: id, reason });
  const answer = await pause(workflowId);
  refuseUnlessOpen(workflowId, answer);
  if (descend) await eachDescendant(link, workflowId, pause);
  return answer === 'paused';
}

/** @returns whether anything of it was paused or blocked. */
export async function resumeWorkflow(link: Link, workflowId: string, options: ResumeOptions = {}): Promise<boolean> {
  const { descend = false } = parseOptions('resume', resumeOptions, options);
  const resume = (id: string) => link.resume({ requestNo: randomNumber(), workflowId: id });
  const answer = await resume(workflowId);
  refuseUnlessOpen(workflowId, answer);
  if (descend) await eachDescendant(link, workflowId, resume);
  return answer === 'resumed';
}

function refuseUnlessOpen(workflowId: string, answer: string): void {
  if (answer === 'unknown') throw new GetStateError(workflowId);
  if (answer === 'inactive') throw new InactiveJobError(workflowId);
  if (answer === 'pending') {
    const message = `Job ${workflowId} is only reserved: there is nothing to pause until it is started`;
    throw new OperationRefusedError(workflowId, 'pending', message);
  }
}

/** Generation by generation; those that ended meanwhile do not matter. */
async function eachDescendant(link: Link, workflowId: string, act: (id: string) => Promise<unknown>): Promise<void> {
  for (let parents = [workflowId]; parents.length > 0; ) {
    parents = await link.openChildren(parents);
    await Promise.all(parents.map(act));
  }
}
