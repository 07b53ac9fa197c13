/**
 * Randomness for code that is replayed: a pure function of the run's seed and the position of the call.
 *
 * Counter-based: each value is a hash of its kind, position and seed, so that no generator has to be kept or wound
 * forward. Not for secrets. Stored histories depend on it: the result for given inputs must never change, which is why
 * no library is used.
 */
import { guidSize } from './guid-size.js';
import { hash128 } from './hash128.js';

/** A number from 0 to below 1, with 53 random bits. */
export function seededRandom(seed: string, position: number): number {
  const [high, low] = hash128(`random ${position} ${seed}`);
  return ((high >>> 5) * 0x4000000 + (low >>> 6)) / 0x20000000000000;
}

/** A UUID, version 4. */
export function seededUuid4(seed: string, position: number): string {
  const hex = hash128(`uuid ${position} ${seed}`)
    .map((word) => word.toString(16).padStart(8, '0'))
    .join('');
  const variant = '89ab'[Number.parseInt(hex.charAt(16), 16) & 3];
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
}

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-';

/**
 * An id of the same form as `guid()`: `H` and `size` characters of 6 random bits.
 *
 * @param size Default 22; more than 32 count as 32.
 * @throws {InvalidArgumentError} when `size` is not a whole number from 1.
 */
export function seededGuid(seed: string, position: number, size?: number): string {
  const length = 1 + guidSize(size);
  let id = 'H';
  for (let block = 0; id.length < length; block++) {
    for (const word of hash128(`guid ${position} ${block} ${seed}`)) {
      // Five characters of each word; its last two bits are not used.
      for (let shift = 0; shift < 30; shift += 6) id += alphabet[(word >>> shift) & 63];
    }
  }
  return id.slice(0, length);
}
