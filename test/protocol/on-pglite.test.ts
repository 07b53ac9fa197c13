/** What one session can show, shown again on PGlite: in one process, as it takes 2 s to make one. */

import { readdirSync, readFileSync } from 'node:fs';
import { testOnPglite } from '../support/protocol.js';

testOnPglite();

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'));
for (const file of files) {
  const isForBoth = readFileSync(new URL(file, import.meta.url), 'utf8').includes('\nonEveryDatabase(');
  if (isForBoth) await import(/* @vite-ignore */ new URL(file, import.meta.url).href);
}
