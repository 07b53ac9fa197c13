/**
 * Child processes that are asked by name and answer with a value.
 *
 * A child ends with its parent, whatever ends that: the channel between them closes.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';

/**
 * @param {string} file beside this one
 * @param {string[]} args
 * @param {string[]} execArgv flags of Node itself
 */
export function startProcess(file, args, execArgv = []) {
  const child = fork(new URL(file, import.meta.url), args, { execArgv, serialization: 'advanced' });
  /** @type {Map<number, { resolve(value: any): void, reject(error: Error): void }>} */
  const asked = new Map();
  let count = 0;
  child.on('message', (/** @type {any} */ { id, value, error }) => {
    const question = asked.get(id);
    asked.delete(id);
    if (error === undefined) question?.resolve(value);
    else question?.reject(new Error(`${file}: ${error}`));
  });
  const ended = once(child, 'exit').then(([code, signal]) => {
    for (const { reject } of asked.values()) reject(new Error(`${file} ended (${signal ?? `exit code ${code}`})`));
  });
  return {
    pid: child.pid,
    /** @param {string} name @param {unknown} [input] @returns {Promise<any>} */
    ask(name, input) {
      if (child.exitCode !== null || child.signalCode !== null)
        return Promise.reject(new Error(`${file} has ended before "${name}"`));
      const id = count++;
      return new Promise((resolve, reject) => {
        asked.set(id, { resolve, reject });
        child.send({ id, name, input });
      });
    },
    async stop() {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

/**
 * The child's side.
 *
 * @param {Record<string, (input: any) => unknown>} answers by name
 * @param {() => Promise<void>} close when the parent wants no more, or is gone
 */
export function answerParent(answers, close) {
  process.on('message', async (/** @type {any} */ { id, name, input }) => {
    try {
      const value = await answers[name]?.(input);
      process.send?.({ id, value });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.on('disconnect', () => {
    const late = setTimeout(() => process.exit(1), 10_000);
    close().finally(() => {
      clearTimeout(late);
      process.exit();
    });
  });
}
