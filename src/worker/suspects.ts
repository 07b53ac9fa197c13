/**
 * Tries threads that workers died with, one at a time, and says which of them are quarantined.
 *
 * Owns: when the next one is tried. Does not own: who is a suspect (sql/functions/count_deaths.sql), running it
 * (owned-threads.ts): it is claimed like any other thread.
 *
 * Invariant: this process holds at most one suspect. Should it die, that one did it.
 */

import type { Logger } from '../core/logger.js';
import { type Suspect, trySuspect } from '../postgres/protocol/workers.js';
import type { HostContext } from './host-context.js';

/** How a thread under trial stands; null: this process does not own it. */
export interface Trial {
  readonly lastCommitNo: number | null;
  /** When it last had something to do, by the monotonic clock; null: it has now. */
  readonly idleSince: number | null;
  /** All it waits for is durable, and wakes it: its code has nothing to do. */
  readonly rests: boolean;
}

export interface SuspectsOptions {
  readonly host: HostContext;
  readonly trial: (threadNo: number) => Trial | null;
  /** Claims a thread, though nothing woke it. */
  readonly want: (threadNo: number) => void;
}

/** What would end the process once it wakes is there at once in the next trial: a timer that is due, a signal in its inbox. */
const RESTS_MS = 100;
/** Its code awaits something that is not durable, which may take long. */
const QUIET_MS = 7_000;
/** Another worker took it, or it was paused or ended meanwhile. */
const UNCLAIMED_MS = 2_000;
const LOOK_MS = 10;

export class Suspects {
  readonly #options: SuspectsOptions;
  #busy = false;

  constructor(options: SuspectsOptions) {
    this.#options = options;
  }

  /** There may be suspects: tries those that this process serves, until there are none. */
  async look(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let survived: number[] | null = []; survived !== null; ) survived = await this.#tryNext(survived);
    } finally {
      this.#busy = false;
    }
  }

  /** @returns who survived, to be told with the next call; null when there is nothing to try. */
  async #tryNext(survived: readonly number[]): Promise<number[] | null> {
    const { host, want } = this.#options;
    const { workerNo } = host.registration;
    if (host.closed || workerNo === 0) return null;
    const services = [...host.services.all]
      .filter(({ draining }) => !draining)
      .flatMap((serving) => [...serving.workflowServices.values()]);
    const { quarantineAfter } = host.tuning;
    const found = await trySuspect(host.lanes.side, host.schema, { workerNo, services, survived, quarantineAfter });
    let tried: Suspect | null = null;
    for (const suspect of found) {
      if (suspect.quarantined) this.#quarantined(suspect);
      else tried = suspect;
    }
    if (tried === null) return null;
    want(tried.thread_no);
    return (await this.#survives(tried)) ? [tried.thread_no] : [];
  }

  /** Resolves when it has got on, or has nothing left to do; with false when it was never here. */
  async #survives({ thread_no, last_commit_no }: Suspect): Promise<boolean> {
    const { host, trial } = this.#options;
    const wantedAt = host.monotonic();
    let here = false;
    while (!host.closed) {
      const now = trial(thread_no);
      if (now === null) {
        if (here) return true; // parked, or ended
        if (host.monotonic() - wantedAt > UNCLAIMED_MS) return false;
      } else {
        here = true;
        if (now.lastCommitNo !== last_commit_no) return true;
        const quietMs = now.idleSince === null ? 0 : host.monotonic() - now.idleSince;
        if (quietMs > (now.rests ? RESTS_MS : QUIET_MS)) return true;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return false;
  }

  #quarantined({ thread_no, service_no, deaths, workflow_id, run, hook_no, parent_workflow_id, origin_id }: Suspect) {
    const { host } = this.#options;
    const served = host.services.workflow(service_no);
    const logger: Logger = served?.serving.logger ?? host.logger;
    const facts = {
      workflowId: workflow_id,
      workflowName: served?.name ?? '',
      taskQueue: served?.serving.taskQueue ?? '',
      run,
    };
    logger.error(
      { namespace: host.namespace, ...facts, ...(hook_no !== null && { hook: hook_no }), threadNo: thread_no, deaths },
      'a workflow is quarantined: its workers died with it',
    );
    host.metrics.quarantined(facts.workflowName);
    served?.serving.events?.workflow('quarantined', {
      ...facts,
      originId: origin_id,
      parentWorkflowId: parent_workflow_id,
    });
  }
}
