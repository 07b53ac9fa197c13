/**
 * A Node process of its own, for tests that kill, stop or starve one.
 *
 * Fixtures are .mjs files in test/fixtures that import the built package (`import { ... } from 'perdure'`) and report
 * by printing one JSON object a line: `console.log(JSON.stringify({ type: 'ready' }))`. Other output is kept as text.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { whenTestFinished } from './lifetime.js';

export type Message = Record<string, unknown>;

export interface FixtureOptions {
  readonly args?: readonly string[];
  /** Added to the environment of the test. */
  readonly env?: Readonly<Record<string, string>>;
  /** Flags for node itself, e.g. `--max-old-space-size=64`. */
  readonly execArgv?: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Fixture {
  readonly pid: number;
  /** Every message so far, in order. */
  readonly messages: readonly Message[];
  /** What was printed that is not a message, stderr included. */
  readonly output: string;
  readonly exited: Promise<Exit>;
  /** The first message, past or future, that matches; rejects when the process ends without one. */
  waitFor(matches: (message: Message) => boolean, timeoutMs?: number): Promise<Message>;
  /** Writes one JSON line to the fixture's stdin. */
  send(message: Message): void;
  kill(signal?: NodeJS.Signals): void;
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const fixtures = new URL('../fixtures/', import.meta.url);
const diesWithParent = new URL('./die-with-parent.mjs', import.meta.url).href;

/** Starts `test/fixtures/<file>`. It is killed when the running test ends; started in a hook, kill it in a hook. */
export function spawnFixture(file: string, options: FixtureOptions = {}): Fixture {
  warnOfStaleBuild();
  return new ChildFixture(fileURLToPath(new URL(file, fixtures)), options);
}

class ChildFixture implements Fixture {
  readonly messages: Message[] = [];
  readonly exited: Promise<Exit>;
  readonly pid: number;
  readonly #file: string;
  readonly #child;
  readonly #waiting = new Set<() => void>();
  #output = '';
  #exit: Exit | null = null;

  constructor(file: string, { args = [], env = {}, execArgv = [] }: FixtureOptions) {
    this.#file = file;
    this.#child = spawn(
      process.execPath,
      ['--enable-source-maps', '--import', diesWithParent, ...execArgv, file, ...args],
      {
        env: { ...process.env, ...env },
        stdio: ['pipe', 'pipe', 'pipe', 'pipe'], // the fourth is die-with-parent.mjs's
      },
    );
    if (this.#child.pid === undefined) throw new Error(`Could not start ${file}`);
    this.pid = this.#child.pid;
    this.#child.stdin.on('error', () => {}); // written to a process that was just killed
    createInterface(this.#child.stdout).on('line', (line) => this.#read(line));
    createInterface(this.#child.stderr).on('line', (line) => this.#keep(line));
    // 'close' rather than 'exit': it comes when all that was printed has been read.
    this.exited = once(this.#child, 'close').then(([code, signal]) => {
      this.#exit = { code, signal };
      this.#wake();
      return this.#exit;
    });
    whenTestFinished(async () => {
      this.kill('SIGKILL');
      await this.exited;
    });
  }

  get output(): string {
    return this.#output;
  }

  waitFor(matches: (message: Message) => boolean, timeoutMs = 20_000): Promise<Message> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.messages.find(matches);
        if (found !== undefined) finish(() => resolve(found));
        else if (this.#exit !== null)
          finish(() => reject(this.#failure(`ended (${JSON.stringify(this.#exit)}) before`)));
      };
      const timer = setTimeout(() => finish(() => reject(this.#failure(`sent in ${timeoutMs} ms no`))), timeoutMs);
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle();
      };
      this.#waiting.add(look);
      look();
    });
  }

  send(message: Message): void {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#child.kill(signal);
  }

  #read(line: string): void {
    const message = parseMessage(line);
    if (message === null) this.#keep(line);
    else this.messages.push(message);
    this.#wake();
  }

  #keep(line: string): void {
    this.#output += `${line}\n`;
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }

  #failure(what: string): Error {
    const seen = this.messages.map((message) => JSON.stringify(message)).slice(-5);
    return new Error(
      `${this.#file} ${what} the expected message.\nLast messages: ${seen.join(' ') || 'none'}\n${this.#output.slice(-4000)}`,
    );
  }
}

let buildWasChecked = false;

/** `npm test` builds first; vitest started by hand does not, and would test yesterday's code. */
function warnOfStaleBuild(): void {
  if (buildWasChecked) return;
  buildWasChecked = true;
  const built = join(root, 'dist/index.js');
  const builtAt = existsSync(built) ? statSync(built).mtimeMs : 0;
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
  const newer = sources.some(
    (file) => !file.endsWith('.test.ts') && statSync(join(root, 'src', file)).mtimeMs > builtAt,
  );
  if (newer) console.warn('Fixtures run dist/, which is missing or older than src/: npm run build');
}

function parseMessage(line: string): Message | null {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line) as Message;
  } catch {
    return null;
  }
}
