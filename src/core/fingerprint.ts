/**
 * A 32-bit fingerprint of a text (FNV-1a over UTF-16 units), as the signed number that a Postgres `integer` holds.
 *
 * Replay uses it to pair same-named commands whose order changed, never to decide that something is equal; so speed counts
 * (about 1 ns per character) and collisions cost nothing but a pairing that is given up. Stored in histories: the
 * result for a text must never change.
 */
export function fingerprint(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash | 0;
}
