import * as v from 'valibot';
import type { Seal } from '../codec/payload-codec.js';
import type { ExecutionHistory } from '../core/execution-history.js';
import { checkWorkflowId } from '../core/identifier.js';
import { flag, parseOptions, wholeNumber } from '../core/options.js';
import { ExecutionEvents } from './execution-events.js';
import { describeForExport, eventsOf, exportExecution } from './execution-export.js';
import type {
  DurableJobExport,
  ExecutionExportOptions,
  ExportOptions,
  WorkflowExecution,
  WorkflowExecutionEvent,
} from './export-types.js';
import { exportHistory } from './history-export.js';
import { exportJob, exportSections } from './job-export.js';
import type { Link } from './link.js';

const sections = v.optional(
  v.array(v.picklist(exportSections, `one of ${exportSections.join(', ')}`), 'an array of sections'),
);

const exportShape = v.strictObject({
  allow: sections,
  block: sections,
  values: v.optional(flag),
  enrich_inputs: v.optional(flag),
});

const executionShape = v.strictObject({
  mode: v.optional(v.picklist(['sparse', 'verbose'], "'sparse' or 'verbose'")),
  max_depth: v.optional(wholeNumber(0)),
  exclude_system: v.optional(flag),
  omit_results: v.optional(flag),
  enrich_inputs: v.optional(flag),
  include_lineage: v.optional(flag),
  allow_direct_query: v.optional(flag),
  include_stream_history: v.optional(flag),
});

/** A workflow, by its id, or by the chain of runs that a handle is bound to. */
export interface Exported {
  readonly workflowId: string;
  readonly chainNo: number | null;
}

/**
 * Exports workflows of a namespace by their ids: what `handle.exporter` is. Reads only; runs and waiting workflows too, at any time.
 *
 * Payloads pass the codec. A long history is read a page at a time, of this workflow alone.
 */
export class Exporter {
  readonly #reach: () => Promise<Link>;
  readonly #seal: Seal;

  /** @internal */
  constructor(reach: () => Promise<Link>, seal: Seal) {
    this.#reach = reach;
    this.#seal = seal;
  }

  /** As {@link WorkflowHandle.export}, of the newest run of the id. */
  export(workflowId: string, options: ExportOptions = {}): Promise<DurableJobExport> {
    return this.job('exporter.export', { workflowId, chainNo: null }, options);
  }

  /**
   * As {@link WorkflowHandle.exportExecution}, of the newest run of the id.
   *
   * @param topic Kept for programs that give the topic, in front of the options. It has no effect.
   */
  exportExecution(workflowId: string, options?: ExecutionExportOptions): Promise<WorkflowExecution>;
  exportExecution(workflowId: string, topic: string, options?: ExecutionExportOptions): Promise<WorkflowExecution>;
  exportExecution(
    workflowId: string,
    topicOrOptions?: string | ExecutionExportOptions,
    options?: ExecutionExportOptions,
  ): Promise<WorkflowExecution> {
    const given = typeof topicOrOptions === 'string' ? options : topicOrOptions;
    return this.execution('exporter.exportExecution', { workflowId, chainNo: null }, given);
  }

  /** As {@link WorkflowHandle.exportEvents}, of the newest run of the id. */
  exportEvents(workflowId: string, options?: ExecutionExportOptions): AsyncGenerator<WorkflowExecutionEvent, void> {
    return this.events('exporter.exportEvents', { workflowId, chainNo: null }, options);
  }

  /** As {@link WorkflowHandle.exportHistory}, of the newest run of the id. */
  exportHistory(workflowId: string): Promise<ExecutionHistory> {
    return this.history('exporter.exportHistory', { workflowId, chainNo: null });
  }

  /** @internal `call`: the function as the user wrote it. */
  async job(call: string, { workflowId, chainNo }: Exported, options: ExportOptions = {}): Promise<DurableJobExport> {
    const given = parseOptions(call, exportShape, options) as ExportOptions;
    return await exportJob(await this.#source(call, workflowId), workflowId, chainNo, given);
  }

  /** @internal */
  async history(call: string, { workflowId, chainNo }: Exported): Promise<ExecutionHistory> {
    return await exportHistory(await this.#source(call, workflowId), workflowId, chainNo);
  }

  /** @internal */
  async execution(
    call: string,
    { workflowId, chainNo }: Exported,
    options: ExecutionExportOptions = {},
  ): Promise<WorkflowExecution> {
    const given = parseOptions(call, executionShape, options) as ExecutionExportOptions;
    return await exportExecution(await this.#source(call, workflowId), workflowId, chainNo, given);
  }

  /** @internal */
  async *events(
    call: string,
    { workflowId, chainNo }: Exported,
    options: ExecutionExportOptions = {},
  ): AsyncGenerator<WorkflowExecutionEvent, void> {
    const given = parseOptions(call, executionShape, options) as ExecutionExportOptions;
    const source = await this.#source(call, workflowId);
    const found = await describeForExport(source, workflowId, chainNo);
    yield* eventsOf(source, workflowId, found, new ExecutionEvents(given), given);
  }

  async #source(call: string, workflowId: string) {
    checkWorkflowId(call, workflowId);
    return { link: await this.#reach(), seal: this.#seal };
  }
}
