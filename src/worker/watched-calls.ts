/**
 * Puts watching functions in place of those that give something else when workflow code is replayed: the clock, chance,
 * timers, files, the network, other programs.
 *
 * Installed once for all workers of the process that want it, taken back behind the last one. What somebody else put in
 * place meanwhile (fake timers, an APM) is left alone; then ours stays behind it and passes on. Outside of workflows a call
 * costs one look for the async context, 10 to 20 ns.
 */

import nodeCrypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers';
import timersPromises from 'node:timers/promises';
import { met } from './determinism-guard.js';

type AnyFunction = (...args: never[]) => unknown;

const CLOCK = 'Durable.workflow.now(), the durable clock';
const CHANCE = 'Durable.workflow.random() or uuid4()';
const SLEEP = 'Durable.workflow.sleep(), a durable timer';
const ACTIVITY = 'an activity';

const fileCalls = [
  'access',
  'appendFile',
  'copyFile',
  'cp',
  'lstat',
  'mkdir',
  'mkdtemp',
  'open',
  'readdir',
  'readFile',
  'realpath',
  'rename',
  'rm',
  'stat',
  'unlink',
  'writeFile',
];
/** What has one form only. */
const fileOnly = ['createReadStream', 'createWriteStream', 'existsSync'];
const randomCalls = ['getRandomValues', 'randomBytes', 'randomFill', 'randomFillSync', 'randomInt', 'randomUUID'];
const processCalls = ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'];
const timerCalls = ['setImmediate', 'setInterval', 'setTimeout'];

/** [where, what is told before the name, names, what to use instead] */
type Watched = readonly [object, string, readonly string[], string];

/** By name, so that a program that never watches does not load them for us. */
const required = createRequire(import.meta.url);
const builtin = (name: string) => required(`node:${name}`) as object;

/** Asked for when it is needed: looking at some of them loads them. */
const watchedCalls = (): readonly Watched[] => [
  [Math, 'Math.', ['random'], CHANCE],
  [performance, 'performance.', ['now'], CLOCK],
  // First what stands on `hrtime`, whose replacement takes its properties along.
  [process.hrtime, 'process.hrtime.', ['bigint'], CLOCK],
  [process, 'process.', ['hrtime'], CLOCK],
  [AbortSignal, 'AbortSignal.', ['timeout'], `${SLEEP}, or CancellationScope.withTimeout()`],
  [globalThis, '', timerCalls, SLEEP],
  [timers, 'timers.', timerCalls, SLEEP],
  [timersPromises, 'timers/promises.', timerCalls, SLEEP],
  [globalThis, '', ['fetch'], ACTIVITY],
  [globalThis.crypto, 'crypto.', ['getRandomValues', 'randomUUID'], CHANCE],
  [nodeCrypto, 'crypto.', randomCalls, CHANCE],
  [fs, 'fs.', [...fileCalls, ...fileCalls.map((name) => `${name}Sync`), ...fileOnly], ACTIVITY],
  [fs.promises, 'fs.promises.', fileCalls, ACTIVITY],
  [builtin('http'), 'http.', ['get', 'request'], ACTIVITY],
  [builtin('https'), 'https.', ['get', 'request'], ACTIVITY],
  [builtin('net'), 'net.', ['connect', 'createConnection'], ACTIVITY],
  [builtin('dns'), 'dns.', ['lookup', 'resolve'], ACTIVITY],
  [builtin('dns/promises'), 'dns/promises.', ['lookup', 'resolve'], ACTIVITY],
  [builtin('child_process'), 'child_process.', processCalls, ACTIVITY],
];

interface Replacement {
  readonly target: object;
  readonly key: string;
  /** Undefined where the target inherited it. */
  readonly before: PropertyDescriptor | undefined;
  readonly ours: unknown;
}

let users = 0;
let replacements: Replacement[] = [];

/** Watches the calls until the last one who asked for it says so. @returns what says so, once. */
export function watchCalls(): () => void {
  if (users++ === 0) install();
  let watching = true;
  return () => {
    if (!watching) return;
    watching = false;
    if (--users === 0) restore();
  };
}

function install(): void {
  replaceDate();
  for (const [target, prefix, keys, instead] of watchedCalls())
    for (const key of keys) {
      const original = (target as Record<string, AnyFunction | undefined>)[key];
      if (typeof original !== 'function') continue;
      const call = `${prefix}${key}()`;
      const watcher = original.length === 0 && asked.has(key) ? watchingAsked : watching;
      replace(target, key, watcher(original.bind(target), original, call, instead));
    }
  syncBuiltinESMExports();
}

function restore(): void {
  for (const { target, key, before, ours } of replacements.reverse()) {
    if ((target as Record<string, unknown>)[key] !== ours) continue;
    if (before === undefined) delete (target as Record<string, unknown>)[key];
    else Object.defineProperty(target, key, before);
  }
  replacements = [];
  syncBuiltinESMExports();
}

function replace(target: object, key: string, ours: unknown): void {
  const before = Object.getOwnPropertyDescriptor(target, key);
  if (before?.configurable === false && before.writable !== true) return;
  const { enumerable = true } = before ?? {};
  Object.defineProperty(target, key, { value: ours, writable: true, configurable: true, enumerable });
  replacements.push({ target, key, before, ours });
}

/** `original`, told of. Own properties come along: `promisify(setTimeout)` looks for one. */
function watching(run: AnyFunction, original: AnyFunction, call: string, instead: string): AnyFunction {
  const watcher = (...args: never[]): unknown => {
    met(call, instead, watcher);
    return run(...args);
  };
  return Object.defineProperties(watcher, ownProperties(original));
}

/** What takes no arguments and is asked very often, by an embedded database's code for one. */
const asked = new Set(['now', 'random']);

function watchingAsked(run: () => unknown, original: AnyFunction, call: string, instead: string): AnyFunction {
  const watcher = (): unknown => {
    met(call, instead, watcher);
    return run();
  };
  return Object.defineProperties(watcher, ownProperties(original));
}

/** `Date` as it was, but that asking it for the time is told of. Dates made by either are instances of both. */
function replaceDate(): void {
  const original = Date;
  const watcher = function (this: unknown, ...args: never[]): unknown {
    if (new.target === undefined || args.length === 0)
      met(new.target === undefined ? 'Date()' : 'new Date()', CLOCK, watcher);
    if (new.target === undefined) return original();
    return Reflect.construct(original, args, new.target === watcher ? original : new.target) as Date;
  };
  Object.defineProperties(watcher, ownProperties(original));
  const now = watchingAsked(original.now, original.now, 'Date.now()', CLOCK);
  Object.defineProperty(watcher, 'now', { value: now, writable: true, configurable: true, enumerable: false });
  Object.defineProperty(watcher, 'prototype', { value: original.prototype, writable: false });
  replace(globalThis, 'Date', watcher);
  // `value.constructor === Date` is how some recognise dates.
  replace(original.prototype, 'constructor', watcher);
}

function ownProperties(original: AnyFunction): PropertyDescriptorMap {
  const { prototype, ...properties } = Object.getOwnPropertyDescriptors(original) as PropertyDescriptorMap;
  return properties;
}
