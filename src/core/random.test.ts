import { describe, expect, it } from 'vitest';
import { seededGuid, seededRandom, seededUuid4 } from './random.js';

const many = 30_000;

describe('seeded randomness', () => {
  // Stored histories depend on these: a workflow that branched on them must branch alike for ever.
  it('is the same for ever', () => {
    expect([seededRandom('Habc', 0), seededRandom('Habc', 1)]).toEqual([0.48773762265895837, 0.42727358713541075]);
    expect(seededUuid4('Habc', 0)).toBe('242ca117-0bd4-4a83-8d8a-5340a271f393');
    expect(seededGuid('Habc', 0)).toBe('HcSkQkbtB2hGMeLM0uIp7CO');
    expect(seededGuid('Habc', 0, 32)).toBe('HcSkQkbtB2hGMeLM0uIp7COItw1uqMq5b');
  });

  it('has the form of its kind', () => {
    for (let position = 0; position < 1_000; position++) {
      expect(seededUuid4('seed', position)).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
      expect(seededGuid('seed', position)).toMatch(/^H[\w-]{22}$/);
    }
    expect([1, 20, 21, 32, 99].map((size) => seededGuid('seed', 0, size).length)).toEqual([2, 21, 22, 33, 33]);
    expect(() => seededGuid('seed', 0, 0)).toThrow(/^guid: size must be/);
  });

  it('never repeats across positions, seeds and kinds', () => {
    const ids = new Set<string>();
    for (let i = 0; i < many; i++)
      ids
        .add(seededUuid4('seed', i))
        .add(seededUuid4(`seed${i}`, 0))
        .add(seededGuid('seed', i));
    expect(ids.size).toBe(3 * many);
    // 'a' at 11 and '1a' at 1 must not be one.
    expect(seededRandom('1a', 1)).not.toBe(seededRandom('a', 11));
    expect(seededRandom('seed', 2 ** 32)).not.toBe(seededRandom('seed', 0));
  });

  it.each([
    ['consecutive positions', (i: number) => seededRandom('seed', i)],
    ['similar seeds', (i: number) => seededRandom(`seed${i}`, 0)],
  ])('spreads evenly in [0, 1) over %s, and each value is independent of the one before', (_, value) => {
    const cells = 50;
    const counts = new Array<number>(cells * cells).fill(0);
    let before = value(0);
    for (let i = 1; i <= many; i++) {
      const next = value(i);
      expect(next >= 0 && next < 1).toBe(true);
      counts[Math.floor(before * cells) * cells + Math.floor(next * cells)]! += 1;
      before = next;
    }
    // Chi square over pairs, 2,499 degrees of freedom: five standard deviations (71) around the mean.
    const expected = many / counts.length;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(Math.abs(chiSquare - 2_499)).toBeLessThan(5 * 70.7);
  });

  it('uses every character of a guid and every bit of a uuid alike', () => {
    const characters = new Map<string, number>();
    const bits = new Array<number>(128).fill(0);
    for (let i = 0; i < 10_000; i++) {
      for (const character of seededGuid('seed', i).slice(1))
        characters.set(character, (characters.get(character) ?? 0) + 1);
      const hex = seededUuid4('seed', i).replaceAll('-', '');
      for (let bit = 0; bit < 128; bit++)
        bits[bit]! += (Number.parseInt(hex.charAt(bit >> 2), 16) >> (3 - (bit & 3))) & 1;
    }
    expect(characters.size).toBe(64);
    const fair = (220_000 / 64) * 0.1;
    for (const count of characters.values()) expect(Math.abs(count - 220_000 / 64)).toBeLessThan(fair);
    const fixed = new Set([48, 49, 50, 51, 64, 65]);
    for (const [bit, ones] of bits.entries()) if (!fixed.has(bit)) expect(Math.abs(ones - 5_000)).toBeLessThan(300);
  });
});
