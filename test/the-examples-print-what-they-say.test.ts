import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
// Half of an example's CPU time would be PGlite's initdb, and the rest of it the compiler for WebAssembly.
const flags = ['--liftoff-only', '--import', `${root}/test/support/use-quick-pglite.mjs`];
const examples = readdirSync(`${root}/examples`).filter((file) => file.endsWith('.mjs'));

describe.concurrent('an example prints what its last lines say, and exits by itself', () => {
  it.each(examples)('%s', async (file) => {
    const source = readFileSync(`${root}/examples/${file}`, 'utf8');
    const [, promised = ''] = source.split('// Prints:\n');
    // What the engine says goes to stderr; what else comes there is none of its doing.
    const env = { ...process.env, HMSH_LOGLEVEL: 'silent' };
    const { stdout, stderr } = await run(process.execPath, [...flags, `examples/${file}`], { cwd: root, env });
    expect(stdout).toBe(promised.replaceAll(/^\/\/ /gm, ''));
    expect(stderr).toBe('');
  });
});

it('the demo finds nothing wrong after two kills', async () => {
  const { stdout } = await run(process.execPath, ['scripts/demo.mjs', '--orders', '20', '--kills', '2'], { cwd: root });
  expect(stdout).toMatch(/wrong orders +0/);
});
