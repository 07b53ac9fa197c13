import { boundLogger, type Log, type LogMethod } from '../core/logger.js';
import type { Instance } from '../replay/instance.js';
import { contextOf, homeHere } from './context.js';

/** One per life of a workflow function, made when it first logs. */
const loggers = new WeakMap<Instance, Log>();

/**
 * Writes to the logger of the worker that runs the workflow: pino's methods, `(fields, message)` or a message first. Each
 * message carries `workflowId`, `runNo`, `workflowName` and `taskQueue` (in a hook `hookNo`).
 *
 * Behind a history nothing is written, so each line appears once, whatever number of processes the workflow lives in. A process
 * that dies before the commit of a step loses the step, not its lines: they are written again. The same holds for code
 * that was awaiting something that is not durable. Not recorded: lines may be added to and taken from code at any time.
 *
 * @example
 * Durable.workflow.log.info({ orderId, boxes: 2 }, 'packed');
 */
export const log: Log = {
  trace: at('trace'),
  debug: at('debug'),
  info: at('info'),
  warn: at('warn'),
  error: at('error'),
};

function at(level: keyof Log): LogMethod {
  return (...given: unknown[]) => {
    const { instance } = contextOf(`log.${level}`);
    const home = homeHere();
    if (home === null || instance.replaying) return;
    let bound = loggers.get(instance);
    if (bound === undefined) {
      const { workflowId, runNo, workflowName, taskQueue, hookNo } = instance.info;
      bound = boundLogger(home.logger, {
        workflowId,
        runNo,
        workflowName,
        taskQueue,
        ...(hookNo !== null && { hookNo }),
      });
      loggers.set(instance, bound);
    }
    bound[level](...(given as [string]));
  };
}
