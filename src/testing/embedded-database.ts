import { InvalidArgumentError } from '../core/errors.js';
import type { EmbeddedDatabase } from './virtual-clock.js';

/** A database in memory. @throws {InvalidArgumentError} when `@electric-sql/pglite` is not installed. */
export async function embeddedDatabase(call: string): Promise<EmbeddedDatabase & { close(): Promise<void> }> {
  const { PGlite } = await import('@electric-sql/pglite').catch((cause: unknown) => {
    throw new InvalidArgumentError(`${call}: @electric-sql/pglite must be installed`, { cause });
  });
  const db = new PGlite();
  await db.waitReady;
  return db;
}
