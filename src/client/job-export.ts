/** `export`: a workflow in five sections. */

import { decodePayload } from '../codec/payload.js';
import type { Description } from '../postgres/protocol/executions.js';
import { describeForExport, type ExportSource, threadsOf, userDataOf } from './execution-export.js';
import type { DurableJobExport, ExportOptions, ExportSection, Transition } from './export-types.js';
import { type RecordedMoment, readSteps } from './recorded-history.js';
import { dimensionOf, RecordedOperations } from './recorded-operations.js';
import { compact, metadataOf, stateOf, statusOf } from './state.js';
import { Timeline } from './timeline.js';

export const exportSections = ['data', 'state', 'status', 'timeline', 'transitions'] as const;

/**
 * @throws {GetStateError} (404) when there is no such workflow, or it is pruned meanwhile.
 * @throws {PayloadCodecError} when a payload cannot be opened.
 */
export async function exportJob(
  source: ExportSource,
  workflowId: string,
  chainNo: number | null,
  { allow = exportSections, block = [], values = true, enrich_inputs: inputs = false }: ExportOptions,
): Promise<DurableJobExport> {
  const { link, seal } = source;
  const found = await describeForExport(source, workflowId, chainNo);
  const wanted = (section: ExportSection) => allow.includes(section) && !block.includes(section);
  const timeline = new Timeline({ workflowId, values, inputs });
  const transitions = new Transitions(found.created_ms);
  if (wanted('timeline') || wanted('transitions')) await readThreads(source, workflowId, found, timeline, transitions);
  const state = () => ({
    data: stateOf(workflowId, found, seal),
    metadata: metadataOf(workflowId, found, link.namespace, seal),
  });
  const data = () => ({ ...userDataOf(found), arguments: decodePayload(found.args, seal) as unknown[] });
  return {
    ...(wanted('data') && { data: data() }),
    ...(wanted('state') && { state: state() }),
    ...(wanted('status') && { status: statusOf(found) }),
    ...(wanted('timeline') && { timeline: timeline.entries() }),
    ...(wanted('transitions') && { transitions: transitions.all }),
  };
}

async function readThreads(
  source: ExportSource,
  workflowId: string,
  found: Description,
  timeline: Timeline,
  transitions: Transitions,
): Promise<void> {
  if (found.state === 'pending') return;
  const rows = await threadsOf(source, workflowId, found);
  transitions.startedAt(rows[0]?.created_ms ?? found.created_ms);
  const operations = new RecordedOperations();
  for await (const moment of readSteps(workflowId, rows, source)) {
    transitions.moved(moment);
    for (const happening of operations.happenings(moment.thread, moment.step)) timeline.happened(happening);
  }
}

/** One for the start, then one for each entry of each history. */
class Transitions {
  readonly all: Transition[] = [];
  /** By thread: the entry it is at. */
  readonly #entries = new Map<number, number>();

  constructor(createdMs: number) {
    this.startedAt(createdMs);
  }

  /** The first run may have been made earlier than the newest, which is the one described. */
  startedAt(ms: number): void {
    const at = compact(ms);
    this.all[0] = { activity: 'trigger', dimensions: '', created: at, updated: at };
  }

  moved({ thread, step, durableAt }: RecordedMoment): void {
    if (this.#entries.get(thread.threadNo) === step.entry) return;
    this.#entries.set(thread.threadNo, step.entry);
    this.all.push({
      activity: thread.workflowName,
      dimensions: dimensionOf(thread),
      entry: step.entry,
      created: compact(step.now),
      updated: compact(durableAt),
    });
  }
}
