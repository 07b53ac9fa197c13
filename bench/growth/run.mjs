/** One curve from an empty cluster to a report. */
import { loadavg } from 'node:os';
import { figureOf, machineFacts, versionOf } from '../run.mjs';
import { Stage } from './stage.mjs';

/**
 * @param {string} name @param {import('./curves.mjs').Curve} curve
 * @param {{ rounds: number, quick: boolean, size: Record<string, number>, progress: (line: string) => void }} options
 */
export async function runCurve(name, curve, { rounds, quick, size: asked, progress }) {
  const at = new Date().toISOString();
  const loadBefore = loadavg()[0] ?? 0;
  const started = performance.now();
  const usual = quick ? curve.quick : curve.size;
  const given = Object.entries(asked).filter(([key]) => key in usual);
  const size = { ...usual, ...Object.fromEntries(given) };
  const stage = await Stage.open({ rounds, progress }, curve.settings);
  try {
    await curve.run(stage, size);
    return {
      at,
      perdure: versionOf(),
      machine: { ...machineFacts(), loadBefore, loadAfter: loadavg()[0] ?? 0 },
      server: await stage.serverFacts(),
      rounds,
      quick,
      profiled: false,
      seconds: (performance.now() - started) / 1000,
      sizes: { [name]: size },
      figures: figuresOf(name, curve, stage.samples, size),
      wrong: [...stage.wrong],
      notMeasured: curve.notMeasured,
    };
  } finally {
    await stage.close();
  }
}

/** @param {string} name @param {import('./curves.mjs').Curve} curve @param {Map<string, number[]>} samples @param {Record<string, number>} size */
function figuresOf(name, { figures }, samples, size) {
  return Object.entries(figures).flatMap(([figure, about]) => {
    const values = samples.get(figure);
    if (values === undefined) return [];
    return [figureOf(`${name}.${figure}`, about, values, size)];
  });
}
