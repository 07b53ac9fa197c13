/**
 * What a program does in plain JavaScript: its calls are promises in a map, settled in the order in which a history says they
 * were. No instance of the engine, no recording, no commands; only the functions that a workflow calls are the same,
 * so that as many microtasks lie between an event and the code that awaits it.
 */

import { CancelledFailure, DurableFatalError } from '../../src/core/errors.js';
import type { Command, Event } from '../../src/core/history.js';
import type { ExecutionInfo, Instance, Settled } from '../../src/replay/instance.js';
import type { OperationOptions, ReadEvent } from '../../src/replay/pending-operation.js';
import { runAs } from '../../src/workflow/context.js';
import { EngineCalls } from './simulated-calls.js';
import { type Program, perform } from './simulated-program.js';
import { turn } from './simulated-worker.js';

/** An event of a history, and the paths of the calls it settles. */
export interface Told {
  readonly event: Event;
  readonly now: number;
  readonly paths: readonly string[];
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
export async function plainEnding(program: Program, { told, facts, late, info }: History): Promise<Ending> {
  let attempt = 1;
  const begin = () => new PlainRun(program, { ...info, attempt }, facts, late);
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
  readonly command: Command;
  readonly cancellable: boolean;
  resolve(settled: Settled): void;
  reject(error: Error): void;
}

/** One attempt. It stands where workflow functions expect an instance. */
class PlainRun {
  ending: Ending | { readonly state: 'retried' } | null = null;
  readonly info: ExecutionInfo;
  readonly pending = new Map<number, PlainCall>();
  now = 0;
  counter = 0;
  readonly replaying = false;
  readonly #program: Program;
  readonly #calls: EngineCalls;
  readonly #late: boolean;
  readonly #cancelled = new Set<string>();
  #opened = 0;
  #cancelNext = false;

  constructor(program: Program, info: ExecutionInfo, facts: ReadonlyMap<string, unknown>, late: boolean) {
    this.#program = program;
    this.info = info;
    this.#late = late;
    this.#calls = new EngineCalls(this as unknown as Instance, { facts });
  }

  /** @param again A former attempt was told already. */
  async tell(told: Told, again = false): Promise<void> {
    const { event, now, paths } = told;
    this.now = now;
    if (event.kind === 'start') this.#begin();
    else if (event.kind === 'cancel') await this.#cancel(paths, again);
    else if (paths[0] !== undefined) await this.#settle(event, paths[0]);
    await turn();
  }

  /** Waits while something that is not durable is under way. */
  async until(done: () => boolean): Promise<void> {
    for (let n = 0; n < 100 && !done() && this.#calls.inFlight > 0; n++) await turn();
  }

  #begin(): void {
    runAs(this as unknown as Instance, async () => perform(this.#program, this.#calls)).then(
      (value) => this.#end({ state: 'completed', value: copy(value) }),
      (error: Error) => {
        const final = error instanceof DurableFatalError || error instanceof CancelledFailure;
        if (!final && this.info.attempt <= this.#program.maximumAttempts) this.#end({ state: 'retried' });
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
    call.resolve({ event, command: call.command });
  }

  async #cancel(paths: readonly string[], again: boolean): Promise<void> {
    let hit = [...this.pending]
      .filter(([, call]) => call.cancellable)
      .map(([op]) => this.#calls.paths.get(op) as string);
    if (this.#late) {
      await this.until(() => paths.every((path) => this.#opAt(path) !== undefined));
      if (paths.length > 0) hit = [...paths];
    } else if (this.ending === null && !again && hit.join() !== paths.join()) {
      throw new Error(`cancelling rejected [${paths.join()}], in plain JavaScript [${hit.join()}]`);
    }
    if (hit.length === 0) this.#cancelNext = true;
    for (const path of hit) {
      const op = this.#opAt(path) as number;
      this.#cancelled.add(path);
      this.pending.get(op)?.reject(new CancelledFailure());
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
    if (cancellable && this.#takeCancel()) return Promise.reject(new CancelledFailure());
    return new Promise((settle, reject) => {
      const resolve = (settled: Settled) => {
        try {
          settle(read(settled.event, settled.command));
        } catch (error) {
          reject(error);
        }
      };
      this.pending.set(this.#opened++, { command, cancellable, resolve, reject });
    });
  }

  draw(): number {
    return 0;
  }

  patched(): boolean {
    return false;
  }

  end(command: Command, { cancellable }: { cancellable: boolean }): Promise<never> {
    if (cancellable && this.#takeCancel()) return Promise.reject(new CancelledFailure());
    if (command.kind === 'continue') this.#end({ state: 'continued', args: JSON.parse(command.spec.args) as unknown });
    return new Promise(() => {});
  }

  #takeCancel(): boolean {
    const taken = this.#cancelNext;
    this.#cancelNext = false;
    return taken;
  }
}

function copy(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown;
}
