/** A codec as users write one: AES-256-GCM, a fresh nonce for each payload, the key's name in front. */

import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { PayloadCodec } from '../../src/index.js';

/** Encodes with the first of the named keys, decodes with any of them. */
export function sealingCodec(...names: readonly [string, ...string[]]): PayloadCodec {
  const keys = new Map(names.map((name) => [name, createHash('sha256').update(name).digest()]));
  const [newest] = names;
  return {
    encode(json) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', keys.get(newest) as Buffer, nonce);
      const sealed = Buffer.concat([nonce, cipher.update(json, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return `${newest}:${sealed.toString('base64')}`;
    },
    decode(text) {
      const [name = '', sealed = ''] = text.split(':');
      const key = keys.get(name);
      if (key === undefined) throw new Error(`no key named ${name}`);
      const bytes = Buffer.from(sealed, 'base64');
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
      decipher.setAuthTag(bytes.subarray(-16));
      return decipher.update(bytes.subarray(12, -16), undefined, 'utf8') + decipher.final('utf8');
    },
  };
}
