/** The worker and client processes of a chaos run. One that was killed is started again in its place, as a supervisor would. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Fixture, spawnFixture } from '../process.js';

export interface Place {
  /** How a process in this place reaches the database; told in the report. */
  readonly way: string;
  readonly file: 'chaos-worker.mjs' | 'chaos-client.mjs';
  readonly execArgv?: readonly string[];
  env(): Readonly<Record<string, string>>;
}

/** A machine that does much else takes its time to start one. */
const READY_WITHIN_MS = 120_000;

export class ChaosProcess {
  readonly place: Place;
  readonly #died: (how: string) => void;
  #fixture: Fixture;
  /** Of those that were here before. */
  #past = '';
  #expected = false;
  /** A fault is busy with it: no other may be. */
  isSuffering = false;

  /** @param died Told when it ends, and nobody here had ended it. */
  constructor(place: Place, died: (how: string) => void) {
    this.place = place;
    this.#died = died;
    this.#fixture = this.#spawn();
  }

  get pid(): number {
    return this.#fixture.pid;
  }

  /** All that was printed in this place, by whichever process. */
  get output(): string {
    return this.#past + this.#fixture.output;
  }

  async ready(): Promise<void> {
    await this.#fixture.waitFor(({ type }) => type === 'ready', READY_WITHIN_MS);
  }

  /** @returns whether it ends within `ms` by what it is told. */
  async diesOf(message: Record<string, unknown>, ms: number): Promise<boolean> {
    this.#expected = true;
    this.#fixture.send(message);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), ms);
    });
    const died = await Promise.race([this.#fixture.exited.then(() => true), late]);
    clearTimeout(timer);
    return died;
  }

  send(message: Record<string, unknown>): void {
    this.#fixture.send(message);
  }

  signal(signal: NodeJS.Signals): void {
    this.#fixture.kill(signal);
  }

  /** SIGKILL, and gone. */
  async kill(): Promise<void> {
    this.#expected = true;
    this.#fixture.kill('SIGKILL');
    await this.#fixture.exited;
  }

  async restart(): Promise<void> {
    this.#past += this.#fixture.output;
    this.#fixture = this.#spawn();
    await this.ready();
  }

  /** @returns whether it ends what it has begun, and is never for `quietMs` without one that has ended. */
  async drained(quietMs: number): Promise<boolean> {
    const fixture = this.#fixture;
    fixture.send({ stop: true });
    for (let ended = -1; ended < countOf(fixture); ) {
      ended = countOf(fixture);
      const drained = fixture
        .waitFor(({ type }) => type === 'drained', quietMs)
        .then(
          () => true,
          () => false,
        );
      if (await drained) return true;
    }
    return false;
  }

  #spawn(): Fixture {
    this.#expected = false;
    const fixture = spawnFixture(this.place.file, { env: this.place.env(), execArgv: this.place.execArgv ?? [] });
    void fixture.exited.then((exit) => {
      if (this.#fixture === fixture && !this.#expected)
        this.#died(`${this.place.way} ended by itself: ${JSON.stringify(exit)}\n${fixture.output.slice(-2_000)}`);
    });
    return fixture;
  }
}

/** How many workflows it has seen the end of. */
function countOf({ messages }: Fixture): number {
  return messages.filter(({ type }) => type === 'ended').length;
}

/** The lines that processes wrote into files of one kind, whole ones only: the last may have been cut by a kill. */
export function readLines<T>(dir: string, prefix: string): T[] {
  const files = existsSync(dir) ? readdirSync(dir).filter((file) => file.startsWith(prefix)) : [];
  return files.flatMap((file) =>
    readFileSync(join(dir, file), 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as T),
  );
}
