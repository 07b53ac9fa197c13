/**
 * What a program does in plain JavaScript: its calls are promises in a map, settled in the order in which a history says they
 * were. No instance of the engine, no recording, no commands; only the functions that a workflow calls are the same,
 * so that as many microtasks lie between an event and the code that awaits it.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { CancelledFailure } from '../../src/core/errors.js';
import type { Command, Event } from '../../src/core/history.js';
import { isRetryable } from '../../src/core/is-retryable.js';
import type { ExecutionInfo, Instance, Settled } from '../../src/replay/instance.js';
import type { OperationOptions, ReadEvent } from '../../src/replay/pending-operation.js';
import { runAs } from '../../src/workflow/context.js';
import { EngineCalls, limitOf } from './simulated-calls.js';
import type { Code } from './simulated-program.js';
import { turn } from './simulated-worker.js';

/** An event of a history, and the paths of the calls it settles. */
export interface Told {
  readonly event: Event;
  readonly now: number;
  readonly paths: readonly string[];
  /** What the code gave up that this event answers, whatever settled it meanwhile. */
  readonly givenUp?: readonly string[];
}

/** How a run ended, as far as whoever waits for it can tell. */
export type Ending =
  | { readonly state: 'completed'; readonly value: unknown }
  | { readonly state: 'continued'; readonly args: unknown }
  | { readonly state: 'failed' | 'cancelled'; readonly message: string };

export interface History {
  readonly told: readonly Told[];
  /** What was drawn and which patches applied, by path: facts of the history, not of the program. */
  readonly facts: ReadonlyMap<string, unknown>;
  /** Whether calls may come earlier here than they did there. */
  readonly late: boolean;
  readonly info: ExecutionInfo;
}

/** @throws when the program does not end exactly with the last event, or does not wait for what it is told. */
export async function plainEnding(code: Code, { told, facts, late, info }: History): Promise<Ending> {
  let attempt = 1;
  const begin = () => new PlainRun(code, { ...info, attempt }, facts, late);
  let run = begin();
  const before: Told[] = [];
  for (const [index, one] of told.entries()) {
    if (one.event.kind === 'retry') {
      if (run.ending?.state !== 'retried') throw new Error('the history retries what did not fail in plain JavaScript');
      attempt++;
      run = begin();
      for (const earlier of before) await run.tell(earlier, true);
    } else {
      before.push(one);
      await run.tell(one);
    }
    const ended = run.ending !== null && run.ending.state !== 'retried';
    if (ended && index < told.length - 1) throw new Error('the history goes on where plain JavaScript ends');
  }
  await run.until(() => run.ending !== null);
  if (run.ending === null) throw new Error('plain JavaScript goes on where the history ends');
  if (run.ending.state === 'retried') throw new Error('plain JavaScript would be retried where the history ends');
  return run.ending;
}

interface PlainCall {
  /** Null: nothing cancels it. */
  readonly scope: PlainScope | null;
  resolve(event: Event): void;
  reject(error: unknown): void;
}

const SCOPE_CANCELLED = 'Cancellation scope cancelled';

/** A scope as a few lines of JavaScript: nothing of the engine's. */
class PlainScope {
  cancelled = false;

  constructor(
    readonly around: PlainScope | null,
    readonly shielded: boolean,
  ) {}

  /** The scopes that cancel a call made in this one, from the inside out. */
  get reachedBy(): PlainScope[] {
    if (this.shielded) return [];
    return [this, ...(this.around?.reachedBy ?? [])];
  }
}

const scopes = new AsyncLocalStorage<PlainScope>();

/** The calls of a program, with scopes of their own. */
class PlainCalls extends EngineCalls {
  readonly #run: PlainRun;

  constructor(run: PlainRun, facts: ReadonlyMap<string, unknown>) {
    super(run as unknown as Instance, { facts });
    this.#run = run;
  }

  #inside<T>(shielded: boolean, run: (scope: PlainScope) => Promise<T>): Promise<T> {
    const scope = new PlainScope(scopes.getStore() ?? null, shielded);
    return scopes.run(scope, () => run(scope));
  }

  override shield<T>(run: () => Promise<T>): Promise<T> {
    return this.#inside(true, run);
  }

  override scope<T>(run: () => Promise<T>): Promise<T> {
    return this.#inside(false, run);
  }

  override limit<T>(_ms: number, run: () => Promise<T>, path: string): Promise<T> {
    return this.#inside(false, (scope) => {
      let over = false;
      const fired = () => {
        if (!over) this.#run.cancelFromInside(scope);
      };
      this.#run.open(null, null, () => undefined, limitOf(path)).then(fired, () => {});
      // As many microtasks as in the engine.
      return run().then(
        (value) => {
          over = true;
          return value;
        },
        (error: unknown) => {
          over = true;
          throw error;
        },
      );
    });
  }

  override cancelScope(outer: boolean): void {
    const scope = scopes.getStore() as PlainScope;
    this.#run.cancelFromInside((outer ? scope.around : null) ?? scope);
  }
}

/** One attempt. It stands where workflow functions expect an instance. */
class PlainRun {
  ending: Ending | { readonly state: 'retried' } | null = null;
  readonly info: ExecutionInfo;
  readonly pending = new Map<number, PlainCall>();
  now = 0;
  counter = 0;
  readonly replaying = false;
  readonly #code: Code;
  readonly #calls: PlainCalls;
  readonly #own = new PlainScope(null, false);
  /** What was pending in each scope that the program cancelled, until that is told. */
  readonly #givenUp: { readonly ops: readonly number[]; readonly scope: PlainScope }[] = [];
  readonly #late: boolean;
  readonly #cancelled = new Set<string>();
  #opened = 0;
  #cancelNext = false;

  constructor(code: Code, info: ExecutionInfo, facts: ReadonlyMap<string, unknown>, late: boolean) {
    this.#code = code;
    this.info = info;
    this.#late = late;
    this.#calls = new PlainCalls(this, facts);
  }

  /** @param again A former attempt was told already. */
  async tell(told: Told, again = false): Promise<void> {
    const { event, now, paths } = told;
    this.now = now;
    if (event.kind === 'start') this.#begin();
    else if (event.kind === 'cancel') await this.#cancel(paths, again);
    else if (event.kind === 'cancelled') this.#tellGivenUp(told, again);
    else if (paths[0] !== undefined) await this.#settle(event, paths[0]);
    await turn();
  }

  /** Waits while something that is not durable is under way. */
  async until(done: () => boolean): Promise<void> {
    for (let n = 0; n < 100 && !done() && this.#calls.inFlight > 0; n++) await turn();
  }

  #begin(): void {
    const begin = () => runAs(this as unknown as Instance, async () => this.#code.perform(this.#calls));
    scopes.run(this.#own, begin).then(
      (value) => this.#end({ state: 'completed', value: copy(value) }),
      (error: Error) => {
        if (isRetryable(error) && this.info.attempt <= this.#code.maximumAttempts) this.#end({ state: 'retried' });
        else this.#end({ state: error instanceof CancelledFailure ? 'cancelled' : 'failed', message: error.message });
      },
    );
  }

  #end(ending: Ending | { state: 'retried' }): void {
    this.ending ??= ending;
  }

  #opAt(path: string): number | undefined {
    return [...this.#calls.paths].find(([op, at]) => at === path && this.pending.has(op))?.[0];
  }

  async #settle(event: Event, path: string): Promise<void> {
    await this.until(() => this.#opAt(path) !== undefined);
    const op = this.#opAt(path);
    if (op === undefined) {
      if (this.ending !== null || this.#cancelled.has(path)) return;
      throw new Error(`plain JavaScript does not wait for ${path}`);
    }
    const call = this.pending.get(op) as PlainCall;
    this.pending.delete(op);
    call.resolve(event);
  }

  async #cancel(paths: readonly string[], again: boolean): Promise<void> {
    let hit = [...this.pending]
      .filter(([, { scope }]) => scope?.reachedBy.includes(this.#own))
      .map(([op]) => this.#calls.paths.get(op) as string);
    if (this.#late) {
      await this.until(() => paths.every((path) => this.#opAt(path) !== undefined));
      if (paths.length > 0) hit = [...paths];
    } else if (this.ending === null && !again && hit.join() !== paths.join()) {
      throw new Error(`cancelling rejected [${paths.join()}], in plain JavaScript [${hit.join()}]`);
    }
    if (hit.length === 0) this.#cancelNext = true;
    this.#own.cancelled = true;
    this.#reject(hit);
  }

  /** The program cancels one of its scopes: what is pending in it is rejected when it is told so. */
  cancelFromInside(scope: PlainScope): void {
    if (scope.cancelled || this.ending !== null) return;
    scope.cancelled = true;
    if (scope.shielded) return;
    const hit = [...this.pending].filter(([, call]) => call.scope?.reachedBy.includes(scope)).map(([op]) => op);
    this.#givenUp.push({ ops: hit, scope });
    if (scope === this.#own && hit.length === 0) this.#cancelNext = true;
  }

  #tellGivenUp({ paths, givenUp = [] }: Told, again: boolean): void {
    const [timer = ''] = givenUp;
    const disarmed = timer === limitOf(timer.split('#')[0] as string);
    const given = disarmed ? undefined : this.#givenUp.shift();
    if (given !== undefined && this.ending === null) {
      const hit = given.ops.filter((op) => this.pending.has(op)).map((op) => this.#calls.paths.get(op) as string);
      if (!again && hit.join() !== paths.join())
        throw new Error(`cancelling a scope rejected [${paths.join()}], in plain JavaScript [${hit.join()}]`);
    }
    const error = new CancelledFailure(given?.scope === this.#own ? undefined : SCOPE_CANCELLED);
    this.#reject(
      paths.filter((path) => this.#opAt(path) !== undefined),
      error,
    );
  }

  #reject(paths: readonly string[], error = new CancelledFailure()): void {
    for (const path of paths) {
      const op = this.#opAt(path) as number;
      this.#cancelled.add(path);
      this.pending.get(op)?.reject(error);
      this.pending.delete(op);
    }
  }

  // ---- what workflow functions use of an instance

  get ended(): boolean {
    return this.ending !== null;
  }

  tick(by = 1): number {
    this.counter += by;
    return this.counter;
  }

  operation(command: Command, options: OperationOptions): Promise<Settled> {
    return this.call(command, options, (event, recorded) => ({ event, command: recorded }));
  }

  call<T>(command: Command, { cancellable }: OperationOptions, read: ReadEvent<T>): Promise<T> {
    if (this.ending !== null) return new Promise(() => {});
    const cancelled = cancellable ? this.#takeCancel() : null;
    if (cancelled !== null) return Promise.reject(cancelled);
    return this.open(command, cancellable ? (scopes.getStore() ?? null) : null, read);
  }

  sideEffect(): Promise<void> {
    return this.ending === null ? Promise.resolve() : new Promise(() => {});
  }

  open<T>(command: Command | null, scope: PlainScope | null, read: ReadEvent<T>, path?: string): Promise<T> {
    if (this.ending !== null) return new Promise(() => {});
    const op = this.#opened++;
    if (path !== undefined) this.#calls.paths.set(op, path);
    return new Promise((settle, reject) => {
      const resolve = (event: Event) => {
        try {
          settle(read(event, command as Command));
        } catch (error) {
          reject(error);
        }
      };
      this.pending.set(op, { scope: scope?.shielded === false ? scope : null, resolve, reject });
    });
  }

  draw(): number {
    return 0;
  }

  patched(): boolean {
    return false;
  }

  end(command: Command, { cancellable }: Pick<OperationOptions, 'cancellable'>): Promise<never> {
    const cancelled = cancellable ? this.#takeCancel() : null;
    if (cancelled !== null) return Promise.reject(cancelled);
    if (command.kind === 'continue') this.#end({ state: 'continued', args: JSON.parse(command.spec.args) as unknown });
    return new Promise(() => {});
  }

  /** With what a call made here is rejected at once, if it is. */
  #takeCancel(): CancelledFailure | null {
    const reachedBy = scopes.getStore()?.reachedBy ?? [];
    if (reachedBy.some((scope) => scope !== this.#own && scope.cancelled)) return new CancelledFailure(SCOPE_CANCELLED);
    if (!this.#cancelNext || !reachedBy.includes(this.#own)) return null;
    this.#cancelNext = false;
    return new CancelledFailure();
  }
}

function copy(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown;
}
