/** Which interceptors there are: those of the process, and behind them (further in) those of a worker. */

import * as v from 'valibot';
import type { ActivityInboundCallsInterceptor } from '../activity/interceptors.js';
import { InvalidArgumentError } from '../core/errors.js';
import { parseOptions } from '../core/options.js';
import type {
  WorkflowInboundCallsInterceptor,
  WorkflowInterceptors,
  WorkflowOutboundCallsInterceptor,
} from '../workflow/interceptors.js';

/** Interceptors of one worker, each list from the outermost to the innermost. They lie within those of the process. */
export interface WorkerInterceptors {
  /** Around its workflow and hook functions. */
  readonly inbound?: readonly WorkflowInboundCallsInterceptor[];
  /** Around the activity calls of its workflows, wherever those activities run. */
  readonly outbound?: readonly WorkflowOutboundCallsInterceptor[];
  /** Around the bodies of the activities it runs, whosever they are. */
  readonly activityInbound?: readonly ActivityInboundCallsInterceptor[];
}

type Layers = { readonly [K in keyof WorkerInterceptors]-?: NonNullable<WorkerInterceptors[K]> };

export const noInterceptors: Layers = { inbound: [], outbound: [], activityInbound: [] };

const list = v.optional(v.array(v.custom<never>(isInterceptor, 'an object with an execute function'), 'an array'));
const interceptorsShape = v.strictObject({ inbound: list, outbound: list, activityInbound: list });

/** @throws {InvalidArgumentError} for anything that cannot intercept. */
export function resolveInterceptors(call: string, given: unknown): Layers {
  if (given === undefined) return noInterceptors;
  const {
    inbound = [],
    outbound = [],
    activityInbound = [],
  } = parseOptions(call, interceptorsShape, given, 'interceptors');
  return { inbound: [...inbound], outbound: [...outbound], activityInbound: [...activityInbound] };
}

/**
 * The interceptors of this process. Lists are replaced, never changed, so whoever took one keeps to it: a workflow takes
 * its interceptors when it comes to life, an activity when its attempt begins.
 */
export class InterceptorService {
  #layers: Layers = noInterceptors;

  get inbound(): Layers['inbound'] {
    return this.#layers.inbound;
  }

  get outbound(): Layers['outbound'] {
    return this.#layers.outbound;
  }

  get activityInbound(): Layers['activityInbound'] {
    return this.#layers.activityInbound;
  }

  registerInbound(interceptor: WorkflowInboundCallsInterceptor): void {
    this.#add('registerInboundInterceptor', 'inbound', interceptor);
  }

  registerOutbound(interceptor: WorkflowOutboundCallsInterceptor): void {
    this.#add('registerOutboundInterceptor', 'outbound', interceptor);
  }

  registerActivityInbound(interceptor: ActivityInboundCallsInterceptor): void {
    this.#add('registerActivityInboundInterceptor', 'activityInbound', interceptor);
  }

  /** Drops all three kinds. */
  clear(): void {
    this.#layers = noInterceptors;
  }

  clearOutbound(): void {
    this.#layers = { ...this.#layers, outbound: [] };
  }

  clearActivityInbound(): void {
    this.#layers = { ...this.#layers, activityInbound: [] };
  }

  #add(call: string, kind: keyof Layers, interceptor: unknown): void {
    if (!isInterceptor(interceptor))
      throw new InvalidArgumentError(
        `${call}: interceptor must be an object with an execute function; got ${interceptor === null ? 'null' : typeof interceptor}`,
      );
    this.#layers = { ...this.#layers, [kind]: [...this.#layers[kind], interceptor] };
  }
}

const service = new InterceptorService();

/** The interceptors of this process. */
export function getInterceptorService(): InterceptorService {
  return service;
}

/** What intercepts in a worker: null where nothing does, which is what costs nothing. */
export function workflowLayers(own: Layers): Omit<WorkflowInterceptors, 'connection'> | null {
  const { inbound, outbound } = service;
  if (inbound.length + outbound.length + own.inbound.length + own.outbound.length === 0) return null;
  return { inbound: [...inbound, ...own.inbound], outbound: [...outbound, ...own.outbound], service };
}

/** As {@link workflowLayers}, around the bodies of activities. */
export function activityLayers(own: Layers): Layers['activityInbound'] | null {
  const { activityInbound } = service;
  if (activityInbound.length + own.activityInbound.length === 0) return null;
  return [...activityInbound, ...own.activityInbound];
}

/**
 * Wraps every workflow and hook function of this process that comes to life from now on; the one registered first is
 * outermost. What is safe for executions that already run: docs/interceptors.md.
 *
 * @throws {InvalidArgumentError} when it has no `execute` function.
 */
export function registerInboundInterceptor(interceptor: WorkflowInboundCallsInterceptor): void {
  service.registerInbound(interceptor);
}

/** Wraps every activity call that workflows of this process make, on the workflow's side. Otherwise as {@link registerInboundInterceptor}. */
export function registerOutboundInterceptor(interceptor: WorkflowOutboundCallsInterceptor): void {
  service.registerOutbound(interceptor);
}

/** Wraps the body of every activity that this process runs. Otherwise as {@link registerInboundInterceptor}. */
export function registerActivityInboundInterceptor(interceptor: ActivityInboundCallsInterceptor): void {
  service.registerActivityInbound(interceptor);
}

/** Drops the process's interceptors of all three kinds; those of workers stay. Live workflows keep theirs. */
export function clearInterceptors(): void {
  service.clear();
}

export function clearOutboundInterceptors(): void {
  service.clearOutbound();
}

export function clearActivityInboundInterceptors(): void {
  service.clearActivityInbound();
}

function isInterceptor(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'execute' in value && typeof value.execute === 'function';
}
