import { expect, it } from 'vitest';
import { loggerOf } from '../core/logger.js';
import { UnservedWatch } from './unserved-watch.js';

it('a function that nobody serves is named once, by a worker of its queue, and again when it came back', () => {
  const lines: string[] = [];
  const logger = (queue: string) =>
    loggerOf((level, fields, message) => void lines.push(`${queue} ${level} ${JSON.stringify(fields)} ${message}`));
  const watch = new UnservedWatch();
  const order = { task_queue: 'q', workflow_name: 'ordr', waiting: 2 };
  const other = { task_queue: 'other', workflow_name: 'ordr', waiting: 1_000 };
  watch.tell([order], logger);
  watch.tell([{ ...order, waiting: 3 }, other], logger);
  watch.tell([other], logger);
  watch.tell([order], logger);
  const message = 'workflows wait for a function that no live worker serves';
  expect(lines).toEqual([
    `q warn {"taskQueue":"q","workflowName":"ordr","waiting":2} ${message}`,
    `other warn {"taskQueue":"other","workflowName":"ordr","waiting":1000} ${message}`,
    `q warn {"taskQueue":"q","workflowName":"ordr","waiting":2} ${message}`,
  ]);
});
