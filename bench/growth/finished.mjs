/** What five million finished executions that are kept cost those that run. */
import { besideMany, figures } from './beside-many.mjs';

/** @type {import('./curves.mjs').Curve} */
export const finished = {
  title: 'beside five million finished executions that are kept',
  minutes: 20,
  size: {
    listeners: 5_000,
    sleepers: 100,
    finished: 5_000_000,
    workflows: 500,
    steps: 10,
    single: 100,
    idleSeconds: 30,
  },
  quick: { listeners: 5_000, sleepers: 100, finished: 10_000, workflows: 50, steps: 5, single: 10, idleSeconds: 6 },
  figures,
  notMeasured: [
    'pruning them: they are due in a year',
    'long histories: each has two entries',
    'a table larger than the memory of the machine',
  ],
  run: besideMany,
};
