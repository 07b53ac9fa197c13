import { expect, it } from 'vitest';
import { workflow } from '../src/index.js';
import { Engine, Journal, kept, replayed, until } from './support/worker.js';

const MANY = 300;
const BYTES = 40_000;
const journal = new Journal();

const remote = workflow.proxyActivities<{ page(n: number): Promise<string> }>({ taskQueue: 'pages' });
const collects = async () => {
  const order: (number | string)[] = [];
  const pages = Promise.all(
    Array.from({ length: MANY }, async (_, n) => {
      const page = await remote.page(n);
      order.push(n);
      return page.length;
    }),
  );
  const last = workflow.condition<string>('last').then((value) => order.push(String(value)));
  const lengths = await pages;
  await last;
  return { bytes: lengths.reduce((sum, length) => sum + length, 0), order };
};

/** More than a claim carries along. */
it.each([kept, replayed])(
  'what came while nobody ran a workflow: each of it once, in its order ($name)',
  async (tempo) => {
    const engine = await Engine.open({ workflow: { collects }, tempo });
    const handle = await engine.start('collects');
    await until('all pages are asked for', async () => {
      const [row] = await engine.sql<{ n: number }>('select count(*)::int as n from activity_task');
      return row?.n === MANY;
    });
    await engine.workers[0]?.stop();
    await engine.addActivityWorker('pages', {
      page: async (n: number) => {
        journal.note(`${handle.workflowId} ${n}`);
        return String.fromCharCode(97 + (n % 26)).repeat(BYTES);
      },
    });
    const inbox = async () =>
      await engine.sql<{ op: number; kind: string }>('select op, kind from inbox order by inbox_no');
    await until('all pages are there', async () => (await inbox()).length === MANY);
    await handle.signal('last', 'and out');
    const came = (await inbox()).map(({ op, kind }) => (kind === 'signal' ? 'and out' : op));
    expect(came).toHaveLength(MANY + 1);

    await engine.addWorker({ workflow: { collects } });
    expect(await engine.result(handle)).toEqual({ bytes: MANY * BYTES, order: came });
    for (let n = 0; n < MANY; n++) expect(journal.count(`${handle.workflowId} ${n}`)).toBe(1);
    await engine.expectNoViolations();
    await engine.close();
  },
);
