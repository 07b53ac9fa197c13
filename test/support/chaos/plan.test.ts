import { expect, it } from 'vitest';
import { randomFrom } from '../../fixtures/programs.mjs';
import { Plan } from './plan.js';

it('counts single faults, and is over when all have happened', () => {
  const plan = new Plan({ kill: 3, reset: 20, delay: 0 }, true, randomFrom(1));
  const happened = { kill: 0, reset: 0, delay: 0 };
  for (let name = plan.next(); name !== null; name = plan.next()) {
    const count = name === 'reset' ? 9 : 1;
    happened[name as keyof typeof happened] += count;
    plan.happened(name, count);
  }
  expect(happened).toEqual({ kill: 3, reset: 27, delay: 0 });
});

it('asks again for what had nothing to break, though not for ever', () => {
  const plan = new Plan({ kill: 1 }, true, randomFrom(1));
  let asked = 0;
  for (; plan.next() !== null; asked++) plan.happened('kill', 0);
  expect(asked).toBe(5);
});

it('goes on by weights where nothing is counted', () => {
  const plan = new Plan({ kill: 9, crash: 1 }, false, randomFrom(1));
  const names = Array.from({ length: 1_000 }, () => {
    const name = plan.next() as string;
    plan.happened(name, 1);
    return name;
  });
  const kills = names.filter((name) => name === 'kill').length;
  expect(kills).toBeGreaterThan(850);
  expect(kills).toBeLessThan(950);
});
