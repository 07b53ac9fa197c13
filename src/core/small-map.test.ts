import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SmallMap } from './small-map.js';

type Call = readonly ['set', number, string] | readonly ['delete', number] | readonly ['clear'];

const key = fc.nat({ max: 5 });
const calls = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constant('set' as const), key, fc.string({ maxLength: 1 })) },
    { weight: 4, arbitrary: fc.tuple(fc.constant('delete' as const), key) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('clear' as const)) },
  ),
  { maxLength: 30 },
);

function apply(map: Map<number, string> | SmallMap<number, string>, call: Call): unknown {
  if (call[0] === 'set') return map.set(call[1], call[2]) === map;
  return call[0] === 'delete' ? map.delete(call[1]) : map.clear();
}

describe('a small map', () => {
  it('answers as a Map does, whatever comes and goes', () => {
    fc.assert(
      fc.property(calls, (given: readonly Call[]) => {
        const small = new SmallMap<number, string>();
        const map = new Map<number, string>();
        for (const call of given) {
          expect(apply(small, call)).toEqual(apply(map, call));
          expect([...small]).toEqual([...map]);
          expect([[...small.keys()], [...small.values()], small.size]).toEqual([
            [...map.keys()],
            [...map.values()],
            map.size,
          ]);
          for (let one = 0; one <= 5; one++)
            expect([small.get(one), small.has(one)]).toEqual([map.get(one), map.has(one)]);
        }
      }),
    );
  });

  it('may lose entries while it is looked through', () => {
    const small = new SmallMap<number, number>();
    for (const n of [0, 1, 2]) small.set(n, n);
    for (const n of small.keys()) small.delete(n);
    expect(small.size).toBe(0);
  });
});
