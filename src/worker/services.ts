/** What this process serves: the functions of its worker objects, by queue, name and service number. */

import type { Service } from '../postgres/protocol/workers.js';
import type { UserFunction } from './options.js';
import type { Serving } from './serving.js';

export interface ServedWorkflow {
  readonly serving: Serving;
  readonly name: string;
}

export class Services {
  readonly #servings = new Set<Serving>();
  readonly #workflows = new Map<number, ServedWorkflow>();
  readonly #activityQueues = new Map<string, Serving[]>();

  get all(): ReadonlySet<Serving> {
    return this.#servings;
  }

  add(serving: Serving): void {
    this.#servings.add(serving);
  }

  remove(serving: Serving): void {
    this.#servings.delete(serving);
    this.#index();
  }

  /** As the registration names them; {@link number} takes their numbers in the same order. */
  list(): Service[] {
    return [...this.#servings].flatMap((serving): Service[] => [
      ...[...serving.workflows.keys()].map(
        (name): Service => ({ kind: 'workflow', taskQueue: serving.taskQueue, name }),
      ),
      ...(serving.servesActivities ? [{ kind: 'activity', taskQueue: serving.taskQueue, name: '' } as const] : []),
    ]);
  }

  number(services: readonly Service[], numbers: readonly number[]): void {
    const numberOf = new Map(services.map((service, index) => [keyOf(service), numbers[index] as number]));
    for (const serving of this.#servings) {
      const { taskQueue } = serving;
      for (const name of serving.workflows.keys()) {
        const no = numberOf.get(keyOf({ kind: 'workflow', taskQueue, name }));
        if (no !== undefined) serving.workflowServices.set(name, no);
      }
      serving.activityService =
        numberOf.get(keyOf({ kind: 'activity', taskQueue, name: '' })) ?? serving.activityService;
    }
    this.#index();
  }

  workflow(serviceNo: number): ServedWorkflow | undefined {
    return this.#workflows.get(serviceNo);
  }

  /** A workflow by name, where a worker of this process serves it. */
  ofWorkflow(taskQueue: string, name: string): { readonly serving: Serving; readonly serviceNo: number } | null {
    for (const serving of this.#servings) {
      const serviceNo = serving.taskQueue === taskQueue ? serving.workflowServices.get(name) : undefined;
      // Of several worker objects for the same, the one that claims of it are for.
      if (serviceNo !== undefined && this.#workflows.get(serviceNo)?.serving === serving) return { serving, serviceNo };
    }
    return null;
  }

  /** Whether this process has room for work of a service right now. */
  hasRoom(serviceNo: number): boolean {
    if ((this.#workflows.get(serviceNo)?.serving.freeThreads ?? 0) > 0) return true;
    for (const serving of this.#servings) {
      if (serving.activityService === serviceNo && serving.freeActivities > 0) return true;
    }
    return false;
  }

  /** There may be work for a service; for all of them without a number. */
  poke(serviceNo?: number): void {
    for (const serving of this.#servings) {
      if (serviceNo === undefined || this.#workflows.get(serviceNo)?.serving === serving) serving.threadClaims?.poke();
      if (serviceNo === undefined || serving.activityService === serviceNo) serving.taskClaims?.poke();
    }
  }

  activityServings(taskQueue: string): readonly Serving[] {
    return this.#activityQueues.get(taskQueue) ?? [];
  }

  /** An activity's function: what its workflow's worker was given, else what the queue's workers have. */
  activity(
    workflow: { taskQueue: string; workflowName: string },
    taskQueue: string,
    name: string,
  ): UserFunction | null {
    let found: UserFunction | null = null;
    for (const serving of this.activityServings(taskQueue)) {
      const run = serving.activityFunctions.get(name);
      if (run === undefined) continue;
      if (serving.taskQueue === workflow.taskQueue && serving.workflows.has(workflow.workflowName)) return run;
      found ??= run;
    }
    return found;
  }

  #index(): void {
    this.#workflows.clear();
    this.#activityQueues.clear();
    for (const serving of this.#servings) {
      for (const [name, service] of serving.workflowServices) this.#workflows.set(service, { serving, name });
      if (!serving.servesActivities) continue;
      this.#activityQueues.set(serving.taskQueue, [...this.activityServings(serving.taskQueue), serving]);
    }
  }
}

function keyOf({ kind, taskQueue, name }: Service): string {
  return `${kind}\0${taskQueue}\0${name}`;
}
