/** A key for an operation of a thread in a Map of this process. A number where one is exact: a string for each step costs 3 %. */
export type OperationKey = number | string;

const OPS = 2 ** 20;
const THREADS = 2 ** 33;

export function operationKey(threadNo: number, op: number): OperationKey {
  return op < OPS && threadNo < THREADS ? threadNo * OPS + op : `${threadNo}/${op}`;
}
