// @ts-check
/** Payloads pass two functions of yours on their way to the database and back: here they are encrypted. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** Encrypts with the newest key, and reads what any of them wrote: so keys can be replaced while workflows run. */
const keys = new Map([
  ['2026', randomBytes(32)],
  ['2025', randomBytes(32)],
]);
const [newest = ''] = keys.keys();

Durable.registerCodec({
  encode(json) {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', /** @type {Buffer} */ (keys.get(newest)), nonce);
    const bytes = Buffer.concat([nonce, cipher.update(json, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `${newest}.${bytes.toString('base64')}`;
  },
  decode(text) {
    const [name = '', base64 = ''] = text.split('.');
    const key = keys.get(name);
    if (key === undefined) throw new Error(`no key ${name}`);
    const bytes = Buffer.from(base64, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAuthTag(bytes.subarray(-16));
    return decipher.update(bytes.subarray(12, -16), undefined, 'utf8') + decipher.final('utf8');
  },
});

const { diagnose } = Durable.workflow.proxyActivities({
  activities: {
    /** @param {string} patient */
    async diagnose(patient) {
      return `${patient} needs a holiday`;
    },
  },
});

/** @param {string} patient */
async function visit(patient) {
  return await diagnose(patient);
}

const database = await PGlite.create();
const connection = { class: database };
await Durable.Worker.create({ connection, taskQueue: 'clinic', workflow: visit });

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'clinic', workflowName: 'visit', args: ['Ada'] });
console.log(await handle.result());

const { rows } = await database.query('select e.args, h.body, h.result from durable.execution e, durable.history h');
console.log('stored in the clear:', JSON.stringify(rows).includes('Ada'));

// Without the key: a typed error. A worker without it would block the workflow until one with the key comes.
keys.delete(newest);
const refused = await handle.result().catch((/** @type {Error} */ error) => error);
console.log(refused instanceof Durable.Errors.PayloadCodecError);
await Durable.shutdown();
await database.close();

// Prints:
// Ada needs a holiday
// stored in the clear: false
// true
