/**
 * What clients of this process start and this process serves is owned by it with the start itself: one round trip and one
 * write of the thread less than by a claim, which finds nothing any more.
 *
 * Owns: for which starts there is room. Does not own: threads (owned-threads.ts), the call (client/link.ts).
 *
 * 1. It is a claim like others: with a number of its own, so that a lost answer is found out and given back, and counted
 *    against the limits of its worker from before the call.
 * 2. Whoever loses its lease meanwhile starts all the same, for others to claim.
 */

import type { SendStarts, StartsHere } from '../postgres/notifications.js';
import type { StartAnswer, StartItem } from '../postgres/protocol/executions.js';
import type { ClaimedThread } from '../postgres/protocol/threads.js';
import type { HostContext } from './host-context.js';
import { isLeaseLost } from './registration.js';
import type { Serving } from './serving.js';

/** Services of which all that a call starts is taken, and how many threads of each worker object that makes. */
interface Room {
  readonly services: readonly number[];
  readonly servings: ReadonlyMap<Serving, number>;
}

export class StartsOfProcess implements StartsHere {
  readonly #host: HostContext;
  readonly #adopt: (rows: readonly ClaimedThread[], claimNo: number) => void;

  /** @param adopt Takes in what is owned now. */
  constructor(host: HostContext, adopt: (rows: readonly ClaimedThread[], claimNo: number) => void) {
    this.#host = host;
    this.#adopt = adopt;
  }

  async start(items: readonly StartItem[], send: SendStarts): Promise<StartAnswer[]> {
    const { registration, claims } = this.#host;
    const room = registration.alive && !this.#host.closed ? this.#roomFor(items) : null;
    if (room === null) return send(null);
    try {
      return await claims.claim((claimNo) => this.#startUnder(claimNo, items, room, send));
    } catch (error) {
      if (!isLeaseLost(error)) throw error;
      this.#host.callFailed('start', error);
      return await send(null);
    }
  }

  async #startUnder(claimNo: number, items: readonly StartItem[], { services, servings }: Room, send: SendStarts) {
    const { registration } = this.#host;
    const { workerNo } = registration;
    let kept = 0;
    for (const [serving, count] of servings) {
      serving.threads += count;
      kept += count;
    }
    let rows: ClaimedThread[] = [];
    try {
      const answers = await send({ workerNo, claimNo, services });
      rows = rowsOf(items, answers);
      return answers;
    } finally {
      for (const [serving, count] of servings) serving.threads -= count;
      // What was started by who we were before goes on with the next to claim it.
      if (registration.workerNo === workerNo && !this.#host.closed) this.#adopt(rows, claimNo);
      // Whoever looked for work meanwhile may have found no room.
      if (rows.length < kept)
        for (const serving of servings.keys()) if (serving.freeThreads > 0) serving.threadClaims?.poke();
    }
  }

  /** The services of which all that the call starts has room here; null: none. */
  #roomFor(items: readonly StartItem[]): Room | null {
    const wanted = new Map<number, { readonly serving: Serving; count: number }>();
    for (const { taskQueue, workflowName, terms } of items) {
      if (terms !== null) return null;
      const found = this.#host.services.ofWorkflow(taskQueue, workflowName);
      if (found === null) continue;
      const known = wanted.get(found.serviceNo);
      if (known === undefined) wanted.set(found.serviceNo, { serving: found.serving, count: 1 });
      else known.count++;
    }
    const services: number[] = [];
    const servings = new Map<Serving, number>();
    for (const [serviceNo, { serving, count }] of wanted) {
      const taken = servings.get(serving) ?? 0;
      if (serving.freeThreads - serving.reservedThreads < taken + count) continue;
      servings.set(serving, taken + count);
      services.push(serviceNo);
    }
    return services.length === 0 ? null : { services, servings };
  }
}

/** As a claim would have answered them. */
function rowsOf(items: readonly StartItem[], answers: readonly StartAnswer[]): ClaimedThread[] {
  return answers.flatMap(({ runNo, owned }, index) => {
    const item = items[index];
    if (owned === undefined || item === undefined) return [];
    return {
      thread_no: runNo,
      run_no: runNo,
      chain_no: runNo,
      request_no: item.requestNo,
      epoch: 1,
      service_no: owned.serviceNo,
      last_seq: null,
      last_commit_no: null,
      created_ms: owned.createdMs,
      clock_ms: owned.createdMs,
      workflow_id: item.workflowId,
      run: 0,
      args: item.args,
      config: item.config,
      expire_s: item.expireS,
      cancel_requested: false,
      parent_workflow_id: item.parentWorkflowId,
      origin_id: item.originId,
      trace: item.trace,
      lineage: null,
      hook_no: null,
      hook_signal: null,
      timers: null,
      tasks: null,
      mail: null,
    };
  });
}
