/** What a random program calls, as the engine has it, for one execution as one instance. */

import type { ParentClosePolicy } from '../../src/core/start-terms.js';
import type { Instance } from '../../src/replay/instance.js';
import { DocumentSession } from '../../src/workflow/document-session.js';
import { Entity } from '../../src/workflow/entity.js';
import { Search } from '../../src/workflow/search.js';
import { workflow } from '../../src/workflow/workflow.js';
import type { Calls, Task } from './simulated-program.js';
import { turns } from './simulated-worker.js';

const activities = workflow.proxyActivities<Record<string, (...args: unknown[]) => unknown>>();

export interface CallsOptions {
  /** How many turns an await that is not durable takes in this execution. */
  readonly vary?: (turns: number) => number;
  /** Code from before its patches. */
  readonly old?: boolean;
  readonly onPatched?: (newly: boolean) => void;
  /** What it draws and which patches apply, known beforehand. */
  readonly facts?: ReadonlyMap<string, unknown>;
}

/** One execution of a program as one instance: the engine's calls, and which operation stands at which path. */
export class EngineCalls implements Calls {
  readonly paths = new Map<number, string>();
  /** What it drew and which patches applied, by path. */
  readonly facts = new Map<string, unknown>();
  /** What it read from the clock, by path. */
  readonly times = new Map<string, unknown>();
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

  append(item: string, path: string): Promise<unknown> {
    return this.#at(path, () => new Entity(new DocumentSession('entity', 'entity')).append('list', item));
  }

  child(workflowName: string, args: readonly unknown[], id: string | undefined, path: string): Promise<unknown> {
    return this.#at(path, () => workflow.executeChild({ workflowName, args, ...(id && { workflowId: id }) }));
  }

  startChild(workflowName: string, args: readonly unknown[], id: string | undefined, path: string): Promise<unknown> {
    return this.#at(path, async () => {
      const started = await workflow.startChild({ workflowName, args, ...(id && { workflowId: id }) });
      return this.#fact(path, started);
    });
  }

  hook(task: Task, awaited: boolean, path: string): Promise<unknown> {
    const { workflowName, taskQueue } = this.#instance.info;
    const options = { taskQueue, workflowName: workflowName === 'hook' ? 'deep' : 'hook', args: [task] };
    return this.#at(path, () => (awaited ? workflow.execHook(options) : workflow.hook(options)));
  }

  spawn(task: Task, awaited: boolean, parentClosePolicy: ParentClosePolicy, path: string): Promise<unknown> {
    const options = { workflowName: 'spawned', args: [task], parentClosePolicy };
    return this.#at(path, async () => {
      if (awaited) return workflow.executeChild(options);
      return this.#fact(path, await workflow.startChild(options));
    });
  }

  count(path: string): Promise<unknown> {
    return this.#at(path, () => new Search(new DocumentSession('search', 'search')).incr('count', 1));
  }

  emit(path: string): Promise<unknown> {
    return this.#at(path, () => workflow.emit({ [path]: path }));
  }

  end(whom: string, descend: boolean, path: string): Promise<unknown> {
    return this.#at(path, () => workflow.terminate(whom, { descend }));
  }

  continueAsNew(args: readonly unknown[]): Promise<never> {
    return workflow.continueAsNew(...args);
  }

  async patched(change: string, path: string): Promise<boolean> {
    const { ended } = this.#instance;
    const newly = await (this.#options.old ? unpatched() : workflow.patched(change));
    if (!ended) this.#options.onPatched?.(newly);
    return this.#fact(path, newly);
  }

  draw(what: 'random' | 'uuid4' | 'now', path: string): unknown {
    if (what !== 'now') return this.#fact(path, workflow[what]());
    const time = this.#fact(path, workflow.now().getTime());
    this.times.set(path, time);
    return time;
  }

  #fact<T>(path: string, value: T): T {
    this.facts.set(path, value);
    return this.#options.facts?.has(path) ? (this.#options.facts.get(path) as T) : value;
  }

  shield<T>(run: () => Promise<T>): Promise<T> {
    return workflow.CancellationScope.nonCancellable(run);
  }

  scope<T>(run: () => Promise<T>): Promise<T> {
    return workflow.CancellationScope.cancellable(run);
  }

  limit<T>(ms: number, run: () => Promise<T>, path: string): Promise<T> {
    const { pending } = this.#instance;
    const before = pending.size;
    return workflow.CancellationScope.withTimeout(ms, () => {
      if (pending.size > before) this.paths.set([...pending.keys()].at(-1) as number, limitOf(path));
      return run();
    });
  }

  cancelScope(outer: boolean): void {
    const scope = workflow.CancellationScope.current();
    ((outer ? scope.parent : undefined) ?? scope).cancel();
  }

  async turns(count: number): Promise<void> {
    this.inFlight++;
    await turns(this.#options.vary?.(count) ?? count);
    this.inFlight--;
  }
}

/** Where the timer of a limit stands. */
export function limitOf(path: string): string {
  return `${path}#limit`;
}

/** Takes as many microtasks as `patched`, so that old and new code make the calls of parallel branches in one order. */
async function unpatched(): Promise<boolean> {
  return false;
}
