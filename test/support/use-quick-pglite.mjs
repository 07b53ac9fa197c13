/** For `node --import`: whoever imports PGlite gets quick-pglite.mjs. */
import { register } from 'node:module';

register(
  `data:text/javascript,${encodeURIComponent(`
    const quick = ${JSON.stringify(new URL('./quick-pglite.mjs', import.meta.url).href)};
    const ownFolder = ${JSON.stringify(new URL('./', import.meta.url).href)};
    export function resolve(name, context, next) {
      if (name !== '@electric-sql/pglite' || context.parentURL?.startsWith(ownFolder)) return next(name, context);
      return { url: quick, shortCircuit: true };
    }
  `)}`,
);
