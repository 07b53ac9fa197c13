import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import * as errors from './errors.js';

const { errorTable, errorFromSqlState, PerdureError } = errors;

/** Every exported class that users can meet: all but the two abstract bases. */
const classes = Object.entries(errors).filter(
  (entry): entry is [string, (typeof entry)[1] & { prototype: Error }] =>
    typeof entry[1] === 'function' &&
    entry[1].prototype instanceof Error &&
    entry[0] !== 'SuspensionError' &&
    entry[0] !== 'PerdureError',
);

describe('the error table', () => {
  it('has a row for every exported class, and exports every class that it has a row for', () => {
    const exported = Object.fromEntries(classes);
    const listed = Object.fromEntries(errorTable.map((entry) => [entry.type, entry.errorClass]));
    expect(listed).toEqual(exported);
    expect(classes.length).toBeGreaterThan(20);
  });

  it('names each class, code and SQLSTATE once', () => {
    const types = errorTable.map((entry) => entry.type);
    const states = errorTable.flatMap((entry) => entry.sqlState ?? []);
    expect(new Set(types).size).toBe(types.length);
    expect(new Set(states).size).toBe(states.length);
    expect(states.every((state) => /^(PD\d{3}|42501)$/.test(state))).toBe(true);
  });

  it('gives the code that instances have', () => {
    for (const { errorClass, code, type } of errorTable) {
      const make = errorClass as unknown as new (argument: unknown) => { code?: number };
      expect([type, new make(type === 'NondeterminismError' ? { location: null } : 'm').code ?? null]).toEqual([
        type,
        code,
      ]);
    }
  });

  it("makes an instance of the row's class for each SQLSTATE, and only for those", () => {
    for (const { sqlState, errorClass, type } of errorTable) {
      if (sqlState === null) continue;
      const error = errorFromSqlState(sqlState, 'the message');
      expect(Object.getPrototypeOf(error), type).toBe(errorClass.prototype);
      expect(error?.message).toBe('the message');
    }
    expect(errorFromSqlState('23505', 'duplicate key')).toBeNull();
    expect(errorFromSqlState('PD999', 'from a newer schema')).toBeNull();
  });

  it('knows every SQLSTATE of ours that the SQL files raise', () => {
    const sql = new URL('../../sql/', import.meta.url);
    const known = new Set(errorTable.map((entry) => entry.sqlState));
    const raised = readdirSync(sql, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.sql'))
      .flatMap((file) => readFileSync(new URL(file, sql), 'utf8').match(/(?<=')PD\w{3}(?=')/g) ?? []);
    expect(raised.filter((state) => !known.has(state))).toEqual([]);
  });

  it.each([
    ['PD409', 'Duplicate job: a b: c', 'a b: c'],
    ['PD404', 'order-7 Not Found', 'order-7'],
    ['PD404', 'Job order-7 not found', 'order-7'],
    ['PD410', 'Job order 7 already completed', 'order 7'],
    ['PD410', 'something else', ''],
  ])('reads the workflow id from %s "%s"', (state, message, jobId) => {
    expect(errorFromSqlState(state, message)).toMatchObject({ message, jobId });
  });

  it.each([
    ['worker 7 has lost its lease', 7],
    ['something else', null],
  ])('reads the worker from "%s"', (message, workerNo) => {
    expect(errorFromSqlState('PD002', message)).toMatchObject({ message, workerNo });
  });
});

describe('an error class', () => {
  it('has the name of the class as `name` and `type`, also at the head of the stack', () => {
    for (const [name, errorClass] of classes) expect(errorClass.prototype).toMatchObject({ name, type: name });
    expect(new errors.DurableFatalError('no such card').stack).toMatch(/^DurableFatalError: no such card\n/);
    expect(Object.keys(new errors.DurableFatalError('m'))).toEqual(['code']);
  });

  it.each([
    [new errors.DurableFatalError(''), 598],
    [new errors.DurableMaxedError(''), 597],
    [new errors.DurableTimeoutError(''), 596],
    [new errors.DurableRetryError(''), 599],
  ])('of an outcome has its code and keeps its stack: %s', (error, code) => {
    expect(error.code).toBe(code);
    expect(error.stack).toContain('errors.test.ts');
  });

  it('takes the stack of another process, or options with a cause', () => {
    expect(new errors.DurableTimeoutError('m', 'the remote stack').stack).toBe('the remote stack');
    const cause = new Error('inner');
    expect(new errors.DurableFatalError('m', { cause }).cause).toBe(cause);
  });

  it('carries the texts of the contract', () => {
    expect(new errors.DuplicateJobError('a')).toMatchObject({ message: 'Duplicate job: a', jobId: 'a' });
    expect(new errors.GetStateError('a')).toMatchObject({ message: 'a Not Found', jobId: 'a', code: 404 });
    expect(new errors.InactiveJobError('a')).toMatchObject({ message: 'Job a already completed', jobId: 'a' });
    expect(new errors.CancelledFailure()).toMatchObject({ message: 'Workflow cancelled', name: 'CancelledFailure' });
    expect('code' in new errors.CancelledFailure()).toBe(false);
    expect(new errors.TerminatedError('enough', { code: 444, job_id: 'a' })).toMatchObject({ code: 444, job_id: 'a' });
    expect(new errors.WorkflowContextError('sleep').message).toBe(
      'sleep: called outside of a workflow. Call it from a function that a worker runs; wrap the callback of an event emitter, a queue or a timer with AsyncResource.bind',
    );
    expect(new errors.SharedPromiseError('sleep').message).toContain('AsyncResource.bind');
  });

  it('says what the history records and what the code did instead', () => {
    const error = new errors.NondeterminismError({
      entry: 4,
      recorded: 'activity "charge"',
      produced: 'timer',
      location: 'orders.ts:14',
    });
    expect(error.message).toMatch(
      /^history entry 4 records activity "charge", but this code produced timer at orders\.ts:14\. /,
    );
    expect(error).toMatchObject({
      entry: 4,
      recorded: 'activity "charge"',
      produced: 'timer',
      location: 'orders.ts:14',
    });
  });
});

describe('instanceof', () => {
  it('recognises instances made by another copy of the package', async () => {
    vi.resetModules();
    const other = await import('./errors.js');
    expect(other.DurableFatalError).not.toBe(errors.DurableFatalError);
    const foreign = new other.ActivityLostError('m');
    expect(foreign).toBeInstanceOf(errors.ActivityLostError);
    expect(foreign).toBeInstanceOf(errors.DurableFatalError);
    expect(foreign).toBeInstanceOf(PerdureError);
    expect(foreign).toBeInstanceOf(Error);
    expect(foreign).not.toBeInstanceOf(errors.DurableMaxedError);
  });

  it("tells a user's subclass from the class that it extends", () => {
    class CardDeclined extends errors.DurableFatalError {}
    expect(new CardDeclined('m')).toBeInstanceOf(CardDeclined);
    expect(new CardDeclined('m')).toBeInstanceOf(errors.DurableFatalError);
    expect(new errors.DurableFatalError('m')).not.toBeInstanceOf(CardDeclined);
  });

  it('is false for anything else, and never throws', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    for (const value of [
      undefined,
      null,
      598,
      'DurableFatalError',
      {},
      new Error('m'),
      { code: 598, type: 'DurableFatalError' },
      proxy,
    ]) {
      expect(value instanceof errors.DurableFatalError).toBe(false);
      expect(value instanceof PerdureError).toBe(false);
    }
  });
});
