/**
 * Stops in order when the process is asked to end, then lets it end as it would have: with the signal.
 * A program that listens to a signal itself decides itself.
 */

const signals = ['SIGTERM', 'SIGINT'] as const;
let watching = false;

export function watchSignals(shutdown: () => Promise<void>): void {
  if (watching) return;
  watching = true;
  for (const signal of signals) {
    const stop = () => {
      if (process.listenerCount(signal) > 1) return;
      process.removeListener(signal, stop); // asked twice: end at once
      const end = () => process.kill(process.pid, signal);
      shutdown().then(end, end);
    };
    process.on(signal, stop);
  }
}
