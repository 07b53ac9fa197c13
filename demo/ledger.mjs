// @ts-check
/**
 * What really happened in the world, outside the engine: every execution of every step, as it began and as it ended.
 * Each process appends to a file of its own, synchronously, so a line that was written is there whenever the process dies.
 */
import { appendFileSync, closeSync, mkdirSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @typedef {object} Line
 * @property {number} at When, ms since the epoch.
 * @property {number} pid
 * @property {'began' | 'done' | 'failed' | 'refused' | 'answered'} event `failed`: and will be tried again. `refused`: for good.
 * @property {number} order
 * @property {string} step
 * @property {string} [execution] This one execution of the step.
 * @property {string} [key] The idempotency key it would hand to a payment provider.
 * @property {number} [attempt]
 * @property {import('./activities.mjs').Used[]} [after] The results that its workflow had used by then.
 */

export class Ledger {
  #folder;
  #file;
  /** How far each file was read, and the beginning of a line that is still being written. */
  #read = new Map();
  /** @type {Line[]} */
  lines = [];

  constructor() {
    this.#folder = join(process.env.PERDURE_DEMO_FOLDER ?? '.perdure/demo', 'ledger');
    this.#file = join(this.#folder, `${process.pid}.jsonl`);
    mkdirSync(this.#folder, { recursive: true });
  }

  /** @param {Omit<Line, 'at' | 'pid'>} line */
  write(line) {
    appendFileSync(this.#file, `${JSON.stringify({ at: Date.now(), pid: process.pid, ...line })}\n`);
  }

  /** Takes in what all processes wrote since the last time. @returns {Line[]} the new lines */
  follow() {
    const fresh = readdirSync(this.#folder).flatMap((file) => this.#followFile(join(this.#folder, file)));
    this.lines.push(...fresh);
    return fresh;
  }

  /** @param {string} file @returns {Line[]} */
  #followFile(file) {
    const { offset, rest } = this.#read.get(file) ?? { offset: 0, rest: Buffer.alloc(0) };
    const added = readFrom(file, offset);
    if (added.length === 0) return [];
    const bytes = Buffer.concat([rest, added]);
    const end = bytes.lastIndexOf('\n') + 1;
    this.#read.set(file, { offset: offset + added.length, rest: bytes.subarray(end) });
    const text = bytes.toString('utf8', 0, end);
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
  }
}

/** @param {string} file @param {number} offset */
function readFrom(file, offset) {
  const bytes = Buffer.alloc(statSync(file).size - offset);
  if (bytes.length === 0) return bytes;
  const descriptor = openSync(file, 'r');
  try {
    return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, offset));
  } finally {
    closeSync(descriptor);
  }
}
