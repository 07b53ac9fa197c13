/** What a million parked executions cost everybody else: half of them sleep, half wait for a signal. */
import { besideMany, figures } from './beside-many.mjs';

/** @type {import('./curves.mjs').Curve} */
export const parked = {
  title: 'beside a million executions that sleep or wait for a signal',
  minutes: 8,
  size: {
    listeners: 500_000,
    sleepers: 500_000,
    finished: 100,
    workflows: 500,
    steps: 10,
    single: 100,
    idleSeconds: 30,
  },
  quick: { listeners: 6_000, sleepers: 6_000, finished: 100, workflows: 50, steps: 5, single: 10, idleSeconds: 6 },
  figures,
  notMeasured: [
    'timers of the million that become due: they are due in months',
    'a cache that is full, see --only cache',
    'a table larger than the memory of the machine',
  ],
  run: besideMany,
};
