/** `@electric-sql/pglite` with databases in memory that start from the image of this run: see pglite-image.mjs. */
import { PGlite as Original } from '@electric-sql/pglite';
import { pgliteImage } from './pglite-image.mjs';

const { PERDURE_PGLITE_IMAGE } = process.env;
const loadDataDir = await pgliteImage(PERDURE_PGLITE_IMAGE);

export * from '@electric-sql/pglite';

export class PGlite extends Original {
  constructor(...given) {
    const [first, second] = given;
    const options = typeof first === 'string' ? { ...second, dataDir: first } : { ...first };
    // A folder is made by the user's own PGlite: what it holds, and how long that takes, is looked at.
    super(options.dataDir === undefined ? { loadDataDir, ...options } : options);
  }
}
