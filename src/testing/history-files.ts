/** Recorded histories, as they were exported, from values, files and folders. */

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { InvalidArgumentError } from '../core/errors.js';
import type { ExecutionHistory } from '../core/execution-history.js';
import { shownValue } from '../core/shown-value.js';

/** What `handle.exportHistory()` gave, or a JSON file of it, or a folder with such files. */
export type HistorySource = ExecutionHistory | string | URL;

export interface NamedHistory {
  /** The file it is from; null for a value. */
  readonly file: string | null;
  readonly history: ExecutionHistory;
}

const text = v.string('text');
const number = v.number('a number');
const textOrNull = v.nullable(text);

/** What a later version adds is left alone. */
const shape = v.looseObject({
  format: v.literal(1, '1: of what exportHistory() of this version gives'),
  namespace: text,
  workflowId: text,
  threads: v.array(
    v.looseObject({
      workflowName: text,
      taskQueue: text,
      run: number,
      hookNo: v.nullable(number),
      hookSignal: textOrNull,
      runNo: number,
      threadNo: number,
      requestNo: number,
      createdMs: number,
      parentWorkflowId: textOrNull,
      originId: textOrNull,
      trace: textOrNull,
      expireS: v.nullable(number),
      lineage: textOrNull,
      args: text,
      config: textOrNull,
      entries: v.array(v.looseObject({ body: text, outcome: textOrNull }), 'an array of entries'),
    }),
    'an array of threads',
  ),
});

/**
 * @param call The function as the user wrote it.
 * @throws {InvalidArgumentError} for what is no history, with its file, and for a folder without any.
 */
export async function readHistories(call: string, sources: readonly HistorySource[]): Promise<NamedHistory[]> {
  const found: NamedHistory[] = [];
  for (const [index, source] of sources.entries()) {
    if (typeof source === 'string' || source instanceof URL) {
      for (const file of await filesOf(call, typeof source === 'string' ? source : fileURLToPath(source)))
        found.push({ file, history: checked(call, file, await parsed(call, file)) });
    } else {
      found.push({ file: null, history: checked(call, `histories[${index}]`, source) });
    }
  }
  return found;
}

/** Those of a folder in the order of their names. */
async function filesOf(call: string, path: string): Promise<string[]> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new InvalidArgumentError(`${call}: ${shownValue(path)} must be a file or a folder; there is none`, { cause });
  });
  if (!found.isDirectory()) return [path];
  const files = (await readdir(path)).filter((file) => file.endsWith('.json')).sort();
  if (files.length === 0)
    throw new InvalidArgumentError(
      `${call}: the folder ${shownValue(path)} has no .json file. Write histories into it: await handle.exportHistory()`,
    );
  return files.map((file) => join(path, file));
}

async function parsed(call: string, file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new InvalidArgumentError(`${call}: ${file} must be a JSON file; it cannot be read`, { cause });
  }
}

function checked(call: string, where: string, value: unknown): ExecutionHistory {
  const result = v.safeParse(shape, value);
  if (result.success) return result.output as ExecutionHistory;
  const [issue] = result.issues;
  const path = v.getDotPath(issue) ?? 'it';
  const must = issue.expected === 'Object' ? 'an object' : issue.message;
  throw new InvalidArgumentError(
    `${call}: ${where}: ${path} must be ${must}; got ${shownValue(issue.input)}. Take what exportHistory() gives`,
  );
}
