/** What a random program calls, as the engine has it, for one execution as one instance. */

import type { Instance } from '../../src/replay/instance.js';
import { workflow } from '../../src/workflow/workflow.js';
import type { Calls } from './simulated-program.js';
import { turn } from './simulated-worker.js';

const activities = workflow.proxyActivities<Record<string, (...args: unknown[]) => unknown>>();

export interface CallsOptions {
  /** How many turns an await that is not durable takes in this execution. */
  readonly vary?: (turns: number) => number;
  /** Code from before its patches. */
  readonly old?: boolean;
}

/** One execution of a program as one instance: the engine's calls, and which operation stands at which path. */
export class EngineCalls implements Calls {
  readonly paths = new Map<number, string>();
  /** Which patches applied, by path. */
  readonly patches = new Map<string, boolean>();
  /** The path at which it asks for a patch. */
  patching = '';
  /** Awaits under way that are not durable. */
  inFlight = 0;
  readonly #instance: Instance;
  readonly #options: CallsOptions;

  constructor(instance: Instance, options: CallsOptions) {
    this.#instance = instance;
    this.#options = options;
  }

  get attempt(): number {
    return this.#instance.info.attempt;
  }

  #at<T>(path: string, call: () => Promise<T>): Promise<T> {
    const { pending } = this.#instance;
    const before = pending.size;
    const promise = call();
    if (pending.size > before) this.paths.set([...pending.keys()].at(-1) as number, path);
    return promise;
  }

  activity(name: string, args: readonly unknown[], path: string): Promise<unknown> {
    return this.#at(path, () => (activities[name] as (...args: unknown[]) => Promise<unknown>)(...args));
  }

  sleep(ms: number, path: string): Promise<unknown> {
    return this.#at(path, () => workflow.sleep(ms));
  }

  condition(id: string, timeoutMs: number | null, path: string): Promise<unknown> {
    return this.#at(path, () => workflow.condition(id, timeoutMs ?? undefined));
  }

  signal(id: string, data: unknown, path: string): Promise<unknown> {
    return this.#at(path, () => workflow.signal(id, data));
  }

  child(workflowName: string, args: readonly unknown[], id: string | undefined, path: string): Promise<unknown> {
    return this.#at(path, () => workflow.executeChild({ workflowName, args, ...(id && { workflowId: id }) }));
  }

  startChild(workflowName: string, args: readonly unknown[], id: string | undefined, path: string): Promise<unknown> {
    return this.#at(path, () => workflow.startChild({ workflowName, args, ...(id && { workflowId: id }) }));
  }

  continueAsNew(args: readonly unknown[]): Promise<never> {
    return workflow.continueAsNew(...args);
  }

  async patched(change: string, path: string): Promise<boolean> {
    if (this.#options.old) return false;
    this.patching = path;
    const newly = await workflow.patched(change);
    this.patches.set(path, newly);
    return newly;
  }

  draw(what: 'random' | 'uuid4' | 'now'): unknown {
    return what === 'now' ? workflow.now().getTime() : workflow[what]();
  }

  shield<T>(run: () => Promise<T>): Promise<T> {
    return workflow.CancellationScope.nonCancellable(run);
  }

  async turns(count: number): Promise<void> {
    this.inFlight++;
    for (let n = this.#options.vary?.(count) ?? count; n > 0; n--) await turn();
    this.inFlight--;
  }
}
