/** Where the time goes: functions of the engine process, its SQL calls, the database's functions. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withClient } from './database.mjs';

const MOST_LINES = 30;

/** @param {string} url */
export function openProfile(url) {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-profile-'));
  return {
    flags: ['--cpu-prof', `--cpu-prof-dir=${folder}`],
    /** Forgets what the server counted so far. */
    begin: () => withClient(url, (client) => client.query('select pg_stat_reset()')),
    /** To be called when the profiled process has ended: only then its profile is written, and its sessions' counters are in.
     * @param {{ name: string, calls: number, ms: number }[]} calls */
    async end(calls) {
      const sqlFunctions = await withClient(url, async (client) => {
        const { rows } = await client.query(`
          select funcname as name, calls::int, self_time as "selfMs", total_time as "totalMs"
          from pg_stat_user_functions where schemaname = 'durable' order by self_time desc limit ${MOST_LINES}`);
        return /** @type {{ name: string, calls: number, selfMs: number, totalMs: number }[]} */ (rows);
      });
      const [file] = readdirSync(folder);
      const functions = file === undefined ? [] : selfTimes(JSON.parse(readFileSync(join(folder, file), 'utf8')));
      rmSync(folder, { recursive: true });
      return { functions, sqlCalls: calls.toSorted((a, b) => b.ms - a.ms), sqlFunctions };
    },
  };
}

/** Functions by the share of samples they were on top of the stack in, idle time left out.
 * @param {{ nodes: any[], samples: number[], timeDeltas: number[] }} profile */
function selfTimes({ nodes, samples, timeDeltas }) {
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]));
  /** @type {Map<string, number>} */
  const times = new Map();
  let total = 0;
  for (const [index, id] of samples.entries()) {
    const { functionName, url, lineNumber } = byId.get(id);
    if (functionName === '(idle)') continue;
    const place = url === '' ? '' : ` ${url.split('/').slice(-2).join('/')}:${lineNumber + 1}`;
    const key = `${functionName || '(anonymous)'}${place}`;
    const ms = (timeDeltas[index] ?? 0) / 1000;
    times.set(key, (times.get(key) ?? 0) + ms);
    total += ms;
  }
  return [...times]
    .map(([name, selfMs]) => ({ name, selfMs, share: selfMs / total }))
    .toSorted((a, b) => b.selfMs - a.selfMs)
    .slice(0, MOST_LINES);
}
