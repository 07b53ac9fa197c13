import { seededGuid, seededRandom, seededUuid4 } from '../core/random.js';
import type { Instance } from '../replay/instance.js';
import { contextOf, instanceHere } from './context.js';

/** A number from 0 to below 1: the same in every replay of this run, another in every other run. */
export function random(): number {
  const { instance } = contextOf('random');
  return seededRandom(instance.seed, drawn(instance, 1));
}

/** A version 4 UUID: the same in every replay of this run, another in every other run. */
export function uuid4(): string {
  const { instance } = contextOf('uuid4');
  return seededUuid4(instance.seed, drawn(instance, 16));
}

/** A `guid()` that is the same in every replay; null outside a workflow. */
export function workflowGuid(size?: number): string | null {
  const instance = instanceHere();
  return instance === undefined ? null : seededGuid(instance.seed, drawn(instance, 1), size);
}

/** Counts the call, as `export()` shows it, and draws a position. */
function drawn(instance: Instance, ticks: number): number {
  instance.tick(ticks);
  return instance.draw();
}

/** The durable clock: recorded with the step, the same in every replay, never going back. */
export function now(): Date {
  return new Date(contextOf('now').instance.now);
}
