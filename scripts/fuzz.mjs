/**
 * npm run fuzz: hostile input to every public function and to every SQL function; the long form of test/attacks/*-take-anything.test.ts.
 *
 *   npm run fuzz                               100,000 cases of each
 *   npm run fuzz -- --cases 20000 --seed 4711  so many, from that seed
 *
 * Goes by pieces of `--piece` cases, each with a database and a seed of its own. A piece that fails says what was called with what.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installIfNeeded } from './dependencies.mjs';

process.chdir(join(import.meta.dirname, '..'));
installIfNeeded();

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '100000' },
    piece: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
});
const number = (name) => {
  const given = Number(values[name]);
  if (Number.isInteger(given) && given > 0) return given;
  console.error(`fuzz: --${name} must be a whole number above 0; got "${values[name]}"`);
  process.exit(2);
};
const cases = number('cases');
const piece = number('piece');
const command = 'node_modules/vitest/vitest.mjs run --project guarantees take-anything'.split(' ');

for (let seed = number('seed'), done = 0; done < cases; seed++) {
  const size = Math.min(piece, cases - done);
  const env = { ...process.env, PERDURE_FUZZ_CASES: String(size), PERDURE_FUZZ_SEED: String(seed) };
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit', env });
  if (status !== 0) {
    console.log(`FAILED. Again: npm run fuzz -- --cases ${size} --seed ${seed}`);
    process.exit(1);
  }
  done += size;
  console.log(`${done} of ${cases} cases of each, seed ${seed}`);
}
