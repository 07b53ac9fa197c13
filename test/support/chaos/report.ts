/** The table at the end of a chaos run. */
import type { Recovery } from './recovery.js';
import type { ChaosResult } from './run.js';

export function tableOf(seed: number, result: ChaosResult): string {
  const injected = [...result.injected].sort(([a], [b]) => a.localeCompare(b));
  const recovery = (of: readonly Recovery[], what: string) => {
    const ms = of.map((one) => one.ms);
    return `p50 ${seconds(percentile(ms, 0.5))}, p99 ${seconds(percentile(ms, 0.99))} of ${ms.length} ${what}`;
  };
  const rows: [string, string][] = [
    ['seed', String(seed)],
    ['duration', `${result.seconds.toFixed(0)} s`],
    [
      'faults injected',
      `${sum(injected.map(([, n]) => n))} (${injected.map(([name, n]) => `${name} ${n}`).join(', ')})`,
    ],
    ['planned, but not', result.missing.join(', ') || 'none'],
    ['workflows done', `${result.done}, ${result.paused} times one was paused and resumed in bulk`],
    ['effects', `${result.effects}, of which ${result.repeats} repeated because a process died over them`],
    ['duplicates', String(result.duplicates.length)],
    ['lost', String(result.lost.length)],
    ['stuck', String(result.stuck.length)],
    ['wrong', String(result.wrong.length)],
    ['violations', String(result.violations.length)],
    ['recovery', recovery(result.recoveries, 'bursts of faults')],
    ['amid others', recovery(result.amid, 'faults that others followed')],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

/** The smallest value that so large a share of them does not exceed; 0 of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
