/**
 * Whether a worker knows what became of a task that the database says is its own. One it knows nothing of (the answer to a claim was
 * lost) is given back, and runs elsewhere; one given back by mistake runs twice.
 */

interface OwnedTask {
  readonly threadNo: number;
  readonly op: number;
}

export interface TasksHere {
  /** An attempt of it runs here. */
  runs(task: OwnedTask): boolean;
  /** Its outcome is on its way to the row. */
  finishes(task: OwnedTask): boolean;
  /** Its thread is here, and has an outcome of it that is not durable yet: the commit takes the row away. */
  settles(task: OwnedTask): boolean;
}

export function isKnown(task: OwnedTask, here: TasksHere): boolean {
  return here.runs(task) || here.finishes(task) || here.settles(task);
}
