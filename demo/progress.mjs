// @ts-check
/** Shows how far the demo is: one line that is rewritten on a terminal, else a line whenever a second brought something new. */
import { stdout } from 'node:process';
import { styleText } from 'node:util';

const BAR = 24;

export class Progress {
  #shown = '';
  #shownAt = 0;

  /** @param {{ watch: import('./watch.mjs').Watch, orders: number, survived: number, kills: number }} state */
  show({ watch: { share, steps, endings }, orders, survived, kills }) {
    const done = Math.round(share * BAR);
    const bar = styleText('green', '█'.repeat(done)) + styleText('dim', '░'.repeat(BAR - done));
    const percent = `${Math.floor(share * 100)} %`.padStart(5);
    const line = `${bar} ${percent}   ${endings.size} of ${orders} orders, ${steps} activities, survived ${survived} of ${kills} kills`;
    if (line === this.#shown) return;
    if (stdout.isTTY) stdout.write(`\r\x1b[K${line}`);
    else if (Date.now() < this.#shownAt + 1_000 && share < 1) return;
    else stdout.write(`${line}\n`);
    this.#shown = line;
    this.#shownAt = Date.now();
  }

  /** A line that stays. @param {string} text */
  say(text) {
    if (stdout.isTTY) stdout.write(`\r\x1b[K${text}\n${this.#shown}`);
    else stdout.write(`${text}\n`);
  }

  end() {
    if (stdout.isTTY) stdout.write('\r\x1b[K');
    this.#shown = '';
  }
}
