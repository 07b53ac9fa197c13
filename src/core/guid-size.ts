import { refusal } from './refusal.js';

const maxGuidSize = 32;

/**
 * Number of random characters in a guid, 6 bits each. Default 22, as random as a UUID; more than 32 count as 32.
 *
 * @throws {InvalidArgumentError} when `size` is not a whole number from 1.
 */
export function guidSize(size = 22): number {
  if (!Number.isInteger(size) || size < 1) throw refusal('guid', 'size', { must: 'a whole number from 1' }, size);
  return Math.min(size, maxGuidSize);
}
