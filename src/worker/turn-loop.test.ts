import { expect, it } from 'vitest';
import { turn, turns } from '../../test/support/simulated-worker.js';
import { type Turning, TurnLoop } from './turn-loop.js';

/** Delivers what it is given, one by one; each delivery runs some microtasks. */
class Deliveries implements Turning {
  readonly log: string[];
  readonly #name: string;
  #left: number;

  constructor(name: string, count: number, log: string[]) {
    this.#name = name;
    this.#left = count;
    this.log = log;
  }

  deliver(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    this.log.push(`${this.#name} delivers`);
    void (async () => {
      for (let n = 0; n < 5; n++) await null;
      this.log.push(`${this.#name} has run`);
    })();
    return true;
  }

  drained(): void {}

  collect(): boolean {
    this.log.push(`${this.#name} collects`);
    return this.#left > 0;
  }
}

it('each delivery has run before it is collected, and the next comes only then', async () => {
  const log: string[] = [];
  new TurnLoop().add(new Deliveries('one', 2, log));
  expect(log).toEqual([]);
  await turns(5);
  expect(log).toEqual(['one delivers', 'one has run', 'one collects', 'one delivers', 'one has run', 'one collects']);
});

it('many workflows share a turn', async () => {
  const log: string[] = [];
  const loop = new TurnLoop();
  for (const name of ['one', 'two', 'three']) loop.add(new Deliveries(name, 1, log));
  await turn();
  expect(log.slice(0, 3)).toEqual(['one delivers', 'two delivers', 'three delivers']);
  await turn();
  expect(log.slice(-3)).toEqual(['one collects', 'two collects', 'three collects']);
});

it('a workflow with much to deliver does not hold up another', async () => {
  const log: string[] = [];
  const loop = new TurnLoop();
  loop.add(new Deliveries('long', 50, log));
  await turns(3);
  loop.add(new Deliveries('short', 1, log));
  await turns(3);
  expect(log).toContain('short collects');
  expect(log.filter((line) => line === 'long delivers').length).toBeLessThan(10);
});

it('what asks for a turn in a turn gets the next', async () => {
  const log: string[] = [];
  const loop = new TurnLoop();
  loop.add({
    deliver() {
      loop.add(new Deliveries('asked for', 1, log));
      return false;
    },
    drained() {},
    collect: () => false,
  });
  await turn();
  expect(log).toEqual([]);
  await turns(2);
  expect(log).toEqual(['asked for delivers', 'asked for has run', 'asked for collects']);
});

it('keeps nothing running when there is nothing to do', async () => {
  let asked = 0;
  new TurnLoop().add({
    deliver() {
      asked++;
      return false;
    },
    drained() {},
    collect: () => true,
  });
  await turns(5);
  expect(asked).toBe(1);
});
