/**
 * Cancellation: what reaches which durable call.
 *
 * Scopes form a tree under the workflow's own. Cancelling the workflow is one event: it rejects what is pending in all
 * scopes that are not shielded (or else the next such call), once; later calls run normally. A scope that the code
 * cancels stays cancelled: what is pending in it rejects as soon as the cancelling is durable, later calls in it at once.
 */

import * as v from 'valibot';
import { parseDuration } from '../core/duration.js';
import { CancelledFailure, InvalidArgumentError } from '../core/errors.js';
import { duration, flag, parseOptions } from '../core/options.js';
import { shownValue } from '../core/shown-value.js';
import { unawaited } from '../core/unawaited.js';
import type { Instance } from '../replay/instance.js';
import type { CallScope, Cancellable } from '../replay/pending-operation.js';
import { contextOf, runInScope } from './context.js';

/**
 * Whether an error means that the workflow, or the scope of the call, was cancelled.
 *
 * @example
 * try {
 *   await Durable.workflow.sleep('1 day');
 * } catch (error) {
 *   if (!Durable.workflow.isCancellation(error)) throw error;
 *   await Durable.workflow.CancellationScope.nonCancellable(() => refund(orderId));
 * }
 */
export function isCancellation(error: unknown): error is CancelledFailure {
  return error instanceof CancelledFailure;
}

/** Options of {@link CancellationScope}. */
export interface CancellationScopeOptions {
  /** Whether what cancels the scopes around it reaches the calls in it. Default true. */
  readonly cancellable?: boolean;
  /** Cancels the scope by itself so long after {@link CancellationScope.run}. Default: never. */
  readonly timeout?: string | number;
}

const scopeOptions = v.strictObject({ cancellable: v.optional(flag), timeout: v.optional(duration) });

/** The scope that is a workflow itself, for those who ask for it. */
const roots = new WeakMap<Instance, CancellationScope>();

/**
 * Durable calls that are cancelled together. A scope made inside another is cancelled with it, unless it is shielded.
 *
 * Activities under way are aborted, awaited children asked to cancel, timers disarmed, conditions given up. A call that
 * settles at the same moment may still succeed.
 *
 * @example
 * const first = new Durable.workflow.CancellationScope();
 * const quote = await Promise.race([first.run(() => askSupplier('a')), first.run(() => askSupplier('b'))]);
 * first.cancel(); // whoever has not answered yet
 */
export class CancellationScope {
  /** False: calls in it are shielded from whatever cancels the scopes around it. */
  readonly cancellable: boolean;
  /** How long after `run` it cancels itself, in ms. */
  readonly timeout: number | undefined;
  /** The scope it was made in; undefined: it is the workflow's own. */
  readonly parent: CancellationScope | undefined;
  readonly #instance: Instance;
  #cancelled = false;
  #requested: Promise<never> | null = null;
  #listeners: (() => void)[] = [];

  /**
   * @throws {InvalidArgumentError} for options that make no sense.
   * @throws {WorkflowContextError} outside a workflow.
   */
  constructor(options?: CancellationScopeOptions);
  /** @internal `own`: it is the workflow's own. */
  constructor(options: CancellationScopeOptions, own: boolean);
  constructor(options: CancellationScopeOptions = {}, own = false) {
    const { instance, scope } = contextOf('CancellationScope');
    const given = parseOptions('CancellationScope', scopeOptions, options);
    this.#instance = instance;
    this.parent = own ? undefined : ((scope as CancellationScope | null) ?? rootOf(instance));
    this.cancellable = given.cancellable ?? true;
    this.timeout = given.timeout;
  }

  /** The scope the code runs in; the workflow's own outside all others. */
  static current(): CancellationScope {
    const { instance, scope } = contextOf('CancellationScope.current');
    return (scope as CancellationScope | null) ?? rootOf(instance);
  }

  /** Runs `run` in a scope of its own. */
  static cancellable<T>(run: () => Promise<T>): Promise<T> {
    contextOf('CancellationScope.cancellable');
    return new CancellationScope().run(run);
  }

  /**
   * Runs `run` so that cancelling does not reach the durable calls in it, however deep: neither of the workflow nor of a
   * scope around it. A cancel of the workflow meanwhile reaches the next cancellable call behind it.
   */
  static nonCancellable<T>(run: () => Promise<T>): Promise<T> {
    contextOf('CancellationScope.nonCancellable');
    return new CancellationScope({ cancellable: false }).run(run);
  }

  /**
   * Runs `run` and cancels what is pending in it after `timeout`. The timer is durable and disarmed when `run` is done.
   *
   * @throws {CancelledFailure} what the calls in `run` reject with then, unless `run` catches it.
   * @throws {InvalidArgumentError} when the duration cannot be read.
   */
  static withTimeout<T>(timeout: string | number, run: () => Promise<T>): Promise<T> {
    contextOf('CancellationScope.withTimeout');
    return new CancellationScope({ timeout: parseDuration('CancellationScope.withTimeout', timeout, 'timeout') }).run(
      run,
    );
  }

  /**
   * Runs `run` in this scope. May be called several times.
   *
   * @throws whatever `run` throws.
   * @throws {SharedPromiseError} when the scope was made in another execution.
   */
  run<T>(run: () => Promise<T>): Promise<T> {
    const { instance } = contextOf('CancellationScope.run', this.#instance);
    if (typeof run !== 'function')
      throw new InvalidArgumentError(`CancellationScope.run: run must be a function; got ${shownValue(run)}`);
    const inside = this.parent === undefined ? null : this;
    const disarm = this.timeout === undefined ? null : this.#limit(instance, this.timeout);
    let running: Promise<T>;
    try {
      running = Promise.resolve(runInScope(inside, run));
    } catch (error) {
      running = Promise.reject(error);
    }
    if (disarm === null) return unawaited(running);
    return unawaited(
      running.then(
        (value) => {
          disarm.now();
          return value;
        },
        (error: unknown) => {
          disarm.later();
          throw error;
        },
      ),
    );
  }

  /**
   * Arms the timer that cancels the scope. Behind an error it is disarmed by the next call: when there is none, the attempt
   * has failed, and the next one, which may not fail, must find the same calls in its history.
   */
  #limit(instance: Instance, ms: number): { now(): void; later(): void } {
    if (ms <= 0) this.#cancel();
    if (ms <= 0) return { now() {}, later() {} };
    // Nothing cancels the timer but its own end: it stays armed while the scope runs.
    const limit: CallScope = { reached: false, cancelled: false };
    let state: 'armed' | 'fired' | 'over' = 'armed';
    const timer = { kind: 'timer', name: '', fingerprint: ms | 0, counter: instance.tick(), spec: { ms } } as const;
    const fired = () => {
      if (state === 'armed') this.#cancel();
      state = 'fired'; // whether in time or not: there is nothing to disarm any more
    };
    const disarmed = () => {};
    instance.operation(timer, { cancellable: limit }).then(fired, disarmed);
    const disarm = () => {
      if (state === 'over') instance.giveUp(({ cancellable }) => cancellable === limit);
    };
    const end = (then: () => void) => () => {
      if (state !== 'armed') return;
      state = 'over';
      then();
    };
    return { now: end(disarm), later: end(() => instance.beforeNextCall(disarm)) };
  }

  /**
   * Cancels the scope and those inside it that are not shielded: what is pending rejects with `CancelledFailure`, later
   * calls in it too. Durable with the step in which it is called. A second time it does nothing. On the workflow's own
   * scope it is a cancel request to the workflow: what is pending rejects, or else the next call, once.
   *
   * @throws {SharedPromiseError} when the scope was made in another execution.
   * @throws {WorkflowContextError} outside a workflow.
   */
  cancel(): void {
    contextOf('CancellationScope.cancel', this.#instance);
    if (this.parent === undefined) this.#instance.cancelAll();
    else this.#cancel();
  }

  #cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    // A shielded scope lets nothing through to its calls, itself included.
    if (this.cancellable) this.#instance.giveUp(({ cancellable }) => this.#encloses(cancellable));
    for (const tell of this.#listeners.splice(0)) tell();
  }

  /** Whether it was cancelled, or one around it was that reaches it. */
  get consideredCancelled(): boolean {
    if (this.parent === undefined) return this.#instance.cancelRequested;
    return this.cancellable && (this.#cancelled || this.parent.consideredCancelled);
  }

  /**
   * Rejects with `CancelledFailure` when the scope is cancelled, or the one around it: in a shielded scope the way to
   * learn of it. Never resolves; need not be awaited.
   */
  get cancelRequested(): Promise<never> {
    if (this.#requested === null) {
      this.#requested = new Promise<never>((_, reject) => this.#whenRequested(() => reject(new CancelledFailure())));
      this.#requested.catch(() => {});
    }
    return this.#requested;
  }

  #whenRequested(tell: () => void): void {
    if (this.parent === undefined) {
      if (this.#instance.cancelRequested) tell();
      else this.#instance.onCancel(tell);
      return;
    }
    if (this.#cancelled) tell();
    else this.#listeners.push(tell);
    // What is made inside a shielded scope is not told of what cancels the scopes around that.
    this.parent.#whenPassedOn(tell);
  }

  #whenPassedOn(tell: () => void): void {
    if (this.cancellable) this.#whenRequested(tell);
  }

  // ---- what a call made in it asks

  /** @internal */
  get reached(): boolean {
    return this.cancellable && (this.parent === undefined || this.parent.reached);
  }

  /** @internal */
  get cancelled(): boolean {
    if (this.parent === undefined || !this.cancellable) return false;
    return this.#cancelled || this.parent.cancelled;
  }

  /** Whether it would cancel a call made where `cancellable` says. */
  #encloses(cancellable: Cancellable): boolean {
    if (!(cancellable instanceof CancellationScope)) return false;
    for (let scope: CancellationScope | undefined = cancellable; scope?.cancellable; scope = scope.parent)
      if (scope === this) return true;
    return false;
  }
}

function rootOf(instance: Instance): CancellationScope {
  let root = roots.get(instance);
  if (root === undefined) {
    root = new CancellationScope({}, true);
    roots.set(instance, root);
  }
  return root;
}
