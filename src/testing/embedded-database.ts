import { InvalidArgumentError } from '../core/errors.js';
import type { Pglite } from '../postgres/pglite-driver.js';

/** What is used of a PGlite: by the engine, and beside it. */
export interface EmbeddedDatabase extends Pglite {
  exec(text: string): Promise<unknown>;
}

/** A database in memory. @throws {InvalidArgumentError} when `@electric-sql/pglite` is not installed. */
export async function embeddedDatabase(call: string): Promise<EmbeddedDatabase> {
  const { PGlite } = await import('@electric-sql/pglite').catch((cause: unknown) => {
    throw new InvalidArgumentError(`${call}: @electric-sql/pglite must be installed`, { cause });
  });
  const db = new PGlite();
  await db.waitReady;
  return db;
}
