/**
 * npm run simulate: random workflows on several workers, with faults, over a model of the database; see docs/simulation.md.
 *
 *   npm run simulate                         10,000 seeds
 *   npm run simulate -- --seed 4711          that seed alone, told step by step when it fails
 *   npm run simulate -- --seeds 100000       so many, from a first seed that is printed
 *   npm run simulate -- --minutes 10         for so long
 *   npm run simulate -- --bug B25            with that bug planted into the code: how many seeds it takes to be found
 */

import { parseArgs } from 'node:util';
import { withTypeScript } from './typescript-module.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    minutes: { type: 'string' },
    bug: { type: 'string' },
  },
});
const number = (name, fallback) => {
  if (values[name] === undefined) return fallback;
  const given = Number(values[name]);
  if (Number.isFinite(given)) return given;
  console.error(`simulate: --${name} must be a number; got "${values[name]}"`);
  process.exit(2);
};
const minutes = number('minutes', Infinity);
const several = minutes === Infinity ? 10_000 : Infinity;
const count = number('seeds', values.seed !== undefined && minutes === Infinity ? 1 : several);
const seed = number('seed', Date.now() % 1_000_000_000);

const planted = await withTypeScript('/test/support/code-bugs.ts', ({ codeBugs, planting }) => {
  if (values.bug === undefined) return [];
  const bug = codeBugs.find(({ name }) => name.startsWith(values.bug));
  if (bug === undefined) {
    console.error(
      `simulate: no bug begins with "${values.bug}"; there are:\n${codeBugs.map(({ name }) => name).join('\n')}`,
    );
    process.exit(2);
  }
  console.log(`planted: ${bug.name}`);
  return [planting(bug)];
});

const simulation = async ({ simulate }) => {
  const began = performance.now();
  const { seeds, calls, happened, failure } = await simulate({ seed, count, withinMs: minutes * 60_000 });
  const seconds = (performance.now() - began) / 1_000;
  console.log(
    `seeds from ${seed}: ${seeds} in ${seconds.toFixed(1)} s (${Math.round((seeds / seconds) * 60)} a minute), ${calls} calls`,
  );
  console.log(
    Object.entries(happened)
      .sort()
      .map(([what, times]) => `${what}: ${times}`)
      .join(', '),
  );
  if (failure !== null) {
    console.log(`\nFAILED: seed ${failure.seed}\n${failure.error}`);
    console.log(`\nthe shortest workflows that fail:\n${JSON.stringify(failure.roots)}`);
    console.log(`\nwhat happened, in order:\n${failure.schedule.join(', ')}`);
    console.log(`\nagain: npm run simulate -- --seed ${failure.seed}`);
    process.exitCode = 1;
  }
};
await withTypeScript('/test/support/simulate.ts', simulation, planted);
