/**
 * Prunes runs that have ended, when their time has come: a batch at a time and half of the time only, so that those who work
 * meanwhile hardly notice; the more of the time, the longer there is something to prune, so that it keeps up with them.
 * Every worker process does so; each takes others.
 *
 * Where runs are archived first, it has them archived by the user's function and prunes those for which that went well. The
 * rest is given out again, to whoever asks then.
 */

import { untilFree } from '../postgres/held-row.js';
import { prune, pruneArchived, setArchiving, takeDueRuns } from '../postgres/protocol/retention.js';
import { historyPages } from '../postgres/protocol/threads.js';
import { type Archive, archivedExecution } from './archived-execution.js';
import type { HostContext } from './host-context.js';
import { errorFields } from './log-fields.js';
import { OneAtATime } from './one-at-a-time.js';
import type { Serving } from './serving.js';

/** Behind so many batches in a row the pauses between them have become half as long as they took, and so on. */
const BEHIND_AFTER = 10;
/** Archived side by side. */
const ARCHIVE_BATCH = 10;
/** Runs that are being archived, or could not be, are due again after this long. */
const ARCHIVE_AGAIN_S = 300;

export class Pruner {
  readonly #host: HostContext;
  readonly #pruning: OneAtATime;

  constructor(host: HostContext) {
    this.#host = host;
    this.#pruning = new OneAtATime(
      () => this.#pruneDue(),
      (error) => host.callFailed('prune', error),
    );
  }

  /** Prunes what is due. */
  look(): void {
    void this.#pruning.ask();
  }

  /** A worker object said whether runs are archived. */
  async setArchive({ archive }: Serving): Promise<void> {
    const { lanes, schema } = this.#host;
    await untilFree(() => setArchiving(lanes.side, schema, archive !== false));
  }

  async #pruneDue(): Promise<void> {
    const { lanes, schema } = this.#host;
    for (let batches = 0; !this.#host.closed; batches++) {
      const began = this.#host.monotonic();
      const archivedSome = await this.#archiveSome();
      const { more } = await prune(lanes.side, schema);
      if (!more && !archivedSome) return;
      await pause((this.#host.monotonic() - began) / (1 + batches / BEHIND_AFTER));
    }
  }

  /** @returns whether there may be more that can be archived. */
  async #archiveSome(): Promise<boolean> {
    const serving = [...this.#host.services.all].find((one) => typeof one.archive === 'function' && !one.draining);
    if (serving === undefined) return false;
    const { lanes, schema, namespace } = this.#host;
    const due = await takeDueRuns(lanes.side, schema, ARCHIVE_BATCH, ARCHIVE_AGAIN_S);
    const archived: number[] = [];
    await Promise.all(
      due.map(async (row) => {
        try {
          const pagesOf = (threadNo: number) => historyPages(lanes.side, schema, threadNo);
          await (serving.archive as Archive)(archivedExecution(row, namespace, serving.seal, pagesOf));
          archived.push(row.run_no);
        } catch (error) {
          const { workflow_id: workflowId, run } = row;
          const fields = { workflowId, run, ...errorFields(error) };
          serving.logger.error(fields, 'an execution could not be archived; it stays, and is tried again');
        }
      }),
    );
    if (archived.length > 0 && !this.#host.closed) await pruneArchived(lanes.side, schema, archived);
    return archived.length > 0;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
