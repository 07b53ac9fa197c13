/**
 * MurmurHash3 (x86, 128 bits, seed 0) of the text's UTF-16 units in little endian, as four unsigned words. Not for secrets.
 *
 * The last block may count as filled up with zeros: in the hash's own treatment of a rest, zero words change nothing.
 */
export function hash128(text: string): [number, number, number, number] {
  let [h1, h2, h3, h4] = [0, 0, 0, 0];
  for (let start = 0; start < text.length; start += 8) {
    const full = start + 8 <= text.length;
    h1 ^= Math.imul(rotate(Math.imul(wordAt(text, start), 0x239b961b), 15), 0xab0e9789);
    if (full) h1 = (Math.imul(rotate(h1, 19) + h2, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotate(Math.imul(wordAt(text, start + 2), 0xab0e9789), 16), 0x38b34ae5);
    if (full) h2 = (Math.imul(rotate(h2, 17) + h3, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotate(Math.imul(wordAt(text, start + 4), 0x38b34ae5), 17), 0xa1e38b93);
    if (full) h3 = (Math.imul(rotate(h3, 15) + h4, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotate(Math.imul(wordAt(text, start + 6), 0xa1e38b93), 18), 0x239b961b);
    if (full) h4 = (Math.imul(rotate(h4, 13) + h1, 5) + 0x32ac3b17) | 0;
  }
  const bytes = text.length * 2;
  [h1, h2, h3, h4] = addUp(h1 ^ bytes, h2 ^ bytes, h3 ^ bytes, h4 ^ bytes);
  [h1, h2, h3, h4] = addUp(avalanche(h1), avalanche(h2), avalanche(h3), avalanche(h4));
  return [h1 >>> 0, h2 >>> 0, h3 >>> 0, h4 >>> 0];
}

/** Two units from `index`; behind the end of the text they are zero. */
function wordAt(text: string, index: number): number {
  return text.charCodeAt(index) | 0 | (text.charCodeAt(index + 1) << 16);
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function addUp(h1: number, h2: number, h3: number, h4: number): [number, number, number, number] {
  const sum = (h1 + h2 + h3 + h4) | 0;
  return [sum, (h2 + sum) | 0, (h3 + sum) | 0, (h4 + sum) | 0];
}

function avalanche(word: number): number {
  const once = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}
