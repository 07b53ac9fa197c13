import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { spawnFixture } from './process.js';

const ready = (message: { type?: unknown }) => message.type === 'ready';

describe('a fixture', () => {
  it('gets arguments and environment, and reports in JSON lines', async () => {
    const fixture = spawnFixture('echo.mjs', { args: ['a', 'b'], env: { COLOUR: 'green' } });
    expect(await fixture.waitFor(ready)).toEqual({ type: 'ready', args: ['a', 'b'], colour: 'green' });
    await expect.poll(() => fixture.output).toContain('an error');
    expect(fixture.output).toContain('plain text');
  });

  it('answers what it is sent, in order', async () => {
    const fixture = spawnFixture('echo.mjs');
    fixture.send({ n: 1 });
    fixture.send({ n: 2 });
    await fixture.waitFor(({ line }) => (line as { n: number } | undefined)?.n === 2);
    expect(fixture.messages.slice(1)).toEqual([
      { type: 'echo', line: { n: 1 } },
      { type: 'echo', line: { n: 2 } },
    ]);
  });

  it('tells a waiter that it ended, with what it printed', async () => {
    const fixture = spawnFixture('echo.mjs');
    await fixture.waitFor(ready);
    const waiting = expect(fixture.waitFor(() => false)).rejects.toThrow(/ended .*SIGKILL[\s\S]*an error/);
    fixture.kill();
    expect(await fixture.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await waiting;
  });

  it('is reported when it does not say what was expected in time', async () => {
    const fixture = spawnFixture('echo.mjs');
    await expect(fixture.waitFor(() => false, 300)).rejects.toThrow('sent in 300 ms no');
  });

  let pid: number;
  it('may be left running by a test', async () => {
    const fixture = spawnFixture('echo.mjs');
    await fixture.waitFor(ready);
    pid = fixture.pid;
    expect(isAlive(pid)).toBe(true);
  });
  it('and is gone when that test has ended', () => {
    expect(isAlive(pid)).toBe(false);
  });

  it('dies with the process that started it, even by SIGKILL', async () => {
    const lifeline = fileURLToPath(new URL('./die-with-parent.mjs', import.meta.url));
    const echo = fileURLToPath(new URL('../fixtures/echo.mjs', import.meta.url));
    const script = `
      const child = require('node:child_process').spawn(process.execPath, ['--import', ${JSON.stringify(lifeline)},
        ${JSON.stringify(echo)}], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
      child.stdout.once('data', () => console.log(child.pid));
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['-e', script]);
    const [line] = await once(parent.stdout, 'data');
    const orphan = Number(line);
    expect(isAlive(orphan)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => isAlive(orphan)).toBe(false);
  });
});

/** An orphan stays a zombie, which takes signals, until init collects it; in a container that may be never. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !existsSync('/proc/self/stat') || !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}
