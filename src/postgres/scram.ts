/**
 * What Postgres stores of a password instead of it (RFC 5803), made here: so a password never travels to the server, nor
 * into its log, its statistics or its list of running statements. From the verifier nobody can log in.
 */
import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

/** Postgres' own figures. */
const ITERATIONS = 4_096;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

/**
 * @param password Printable ASCII: other text would have to be normalised (SASLprep) exactly as each driver does.
 * @param salt Given by tests only.
 */
export async function scramVerifier(password: string, salt: Buffer = randomBytes(SALT_BYTES)): Promise<string> {
  const salted = await promisify(pbkdf2)(password, salt, ITERATIONS, KEY_BYTES, 'sha256');
  const sign = (what: string) => createHmac('sha256', salted).update(what).digest();
  const storedKey = createHash('sha256').update(sign('Client Key')).digest('base64');
  const serverKey = sign('Server Key').toString('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
