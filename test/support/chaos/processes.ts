/** The worker and client processes of a chaos run. One that was killed is started again in its place, as a supervisor would. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Fixture, spawnFixture } from '../process.js';

export interface Place {
  /** How a process in this place reaches the database; told in the report. */
  readonly way: string;
  readonly file: 'chaos-worker.mjs' | 'chaos-client.mjs';
  env(): Readonly<Record<string, string>>;
}

export class ChaosProcess {
  readonly place: Place;
  readonly #died: (how: string) => void;
  #fixture: Fixture;
  /** Of those that were here before. */
  #past = '';
  #expected = false;
  /** Stopped by SIGSTOP: not to be killed meanwhile. */
  paused = false;

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
    await this.#fixture.waitFor(({ type }) => type === 'ready', 60_000);
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

  async drained(ms: number): Promise<boolean> {
    this.#fixture.send({ stop: true });
    return await this.#fixture
      .waitFor(({ type }) => type === 'drained', ms)
      .then(
        () => true,
        () => false,
      );
  }

  #spawn(): Fixture {
    this.#expected = false;
    const fixture = spawnFixture(this.place.file, { env: this.place.env() });
    void fixture.exited.then((exit) => {
      if (this.#fixture === fixture && !this.#expected)
        this.#died(`${this.place.way} ended by itself: ${JSON.stringify(exit)}\n${fixture.output.slice(-2_000)}`);
    });
    return fixture;
  }
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
