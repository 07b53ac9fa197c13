// @ts-check
/** A process of the engine, which can be killed and started again. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** @typedef {import('./engine.mjs').Message} Message */

const STOP_WITHIN_MS = 20_000;

export class EngineProcess {
  #args;
  #heard;
  #lost;
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child;
  ready = false;

  /**
   * @param {string[]} args
   * @param {{ heard: (message: Message) => void, lost: (how: string) => void }} listeners `lost`: it ended, and nobody
   *   had asked for it.
   */
  constructor(args, { heard, lost }) {
    this.#args = args;
    this.#heard = heard;
    this.#lost = lost;
  }

  get pid() {
    return this.#child?.pid;
  }

  start() {
    const child = fork(join(import.meta.dirname, 'engine.mjs'), this.#args);
    this.#child = child;
    child.on('message', (/** @type {Message} */ message) => {
      if (message.event === 'ready') this.ready = true;
      this.#heard(message);
    });
    child.on('exit', (code, signal) => {
      if (this.#child !== child) return;
      this.ready = false;
      this.#lost(`process ${child.pid} ended with ${signal ?? `exit code ${code}`}`);
    });
  }

  /** Kills it as a power cut would: it learns nothing. Starts it again. @returns the process that was killed */
  async killAndStart() {
    const child = this.#leave();
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    this.start();
    return child.pid;
  }

  /** Asks it to end, which the engine then does in order; one that does not is killed. */
  async stop() {
    const child = this.#leave();
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    await exited;
    clearTimeout(impatience);
  }

  #leave() {
    const child = this.#child;
    if (child === undefined) throw new Error('the process was not started');
    this.#child = undefined;
    this.ready = false;
    return child;
  }
}
