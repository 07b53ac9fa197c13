/** `client.workflow.list` and `count` through the public API. What filters mean: test/protocol/find-executions.test.ts. */

import { describe, expect, it } from 'vitest';
import { Errors, workflow } from '../src/index.js';
import { engineForAll } from './support/worker.js';

const workflows = {
  async echo(value: unknown) {
    return value;
  },
  async fails() {
    throw new Errors.ApplicationFailure('no', { nonRetryable: true });
  },
  async waits() {
    return await workflow.condition('go');
  },
};

describe('a workflow is found among all', () => {
  const engine = engineForAll({ workflow: workflows });

  it('with what it is, page by page or all at once', async () => {
    const { client } = engine();
    for (let n = 0; n < 5; n++)
      await engine().run('echo', [n], { workflowId: `paged-${n}`, search: { data: { n, kind: 'paged' } } });
    const filter = { search: { kind: 'paged' } };

    const first = await client.workflow.list(filter, { limit: 2 });
    expect(first.executions.map(({ workflowId }) => workflowId)).toEqual(['paged-4', 'paged-3']);
    const second = await client.workflow.list(filter, { limit: 2, cursor: first.cursor });
    expect(second.executions.map(({ workflowId }) => workflowId)).toEqual(['paged-2', 'paged-1']);
    const last = await client.workflow.list(filter, { limit: 2, cursor: second.cursor });
    expect(last.executions.map(({ workflowId }) => workflowId)).toEqual(['paged-0']);
    expect(last.cursor).toBeNull();
    expect((await client.workflow.list(filter, { limit: 5 })).cursor).toBeNull();

    const all: string[] = [];
    for await (const { search } of client.workflow.list(filter, { limit: 2 })) all.push(search.n as string);
    expect(all).toEqual(['4', '3', '2', '1', '0']);
    expect(await client.workflow.count(filter)).toBe(5);
    expect(await client.workflow.count({ ...filter, status: 'open' })).toBe(0);
  });

  it('as it stands: when it began and ended, by which function, under which label', async () => {
    const { client, taskQueue } = engine();
    const before = new Date();
    const handle = await engine().start('fails', [], {
      workflowId: 'found',
      entity: 'order',
      search: { data: { customer: 'c-1' } },
      config: { maximumAttempts: 1 },
    });
    await expect(handle.result()).rejects.toThrow('no');
    const { executions } = await client.workflow.list({ entity: 'order', status: 'failed', started: { from: before } });
    const [found] = executions;
    expect(executions).toEqual([
      {
        workflowId: 'found',
        workflowName: 'fails',
        taskQueue,
        status: 'failed',
        blocked: false,
        cancelRequested: false,
        run: 0,
        cause: 'start',
        startedAt: expect.any(Date),
        closedAt: expect.any(Date),
        entity: 'order',
        search: { customer: 'c-1' },
        parentWorkflowId: null,
        originId: null,
      },
    ]);
    expect(found?.closedAt?.getTime()).toBeGreaterThanOrEqual(found?.startedAt.getTime() ?? Infinity);
    expect(await client.workflow.count({ closed: { from: before }, workflowName: 'fails' })).toBe(1);
  });

  it('in SQL, beside rows of the application, and nothing can be changed there', async () => {
    const { search } = engine().client.workflow;
    await engine().run('echo', [1], { workflowId: 'in-sql', search: { data: { customer: "o'neill" } } });
    const rows = await search(
      'test',
      'echo',
      null,
      'sql',
      `select w.workflow_id, w.started_at, w.search, o.total from durable.workflows w
       join (values ('in-sql', 5), ('else', 6)) o (id, total) on o.id = w.workflow_id
       where w.search ->> 'customer' = $1 and o.total = any ($2::int[])`,
      "o'neill",
      [5, 6],
    );
    expect(rows).toEqual([
      { workflow_id: 'in-sql', started_at: expect.any(Date), search: { customer: "o'neill" }, total: 5 },
    ]);
    for (const change of ['create table t ()', "select nextval('durable.run_number')", 'delete from durable.execution'])
      await expect(search('', '', null, 'sql', change)).rejects.toMatchObject({ code: '25006' });
    // one statement alone, which cannot end the transaction it is in
    await expect(search('', '', null, 'sql', 'select 1; commit; drop schema durable')).rejects.toMatchObject({
      code: '42601',
    });
    await expect(search('', '', null, 'sql', 'select nothing')).rejects.toMatchObject({ code: '42703' });
    expect(await search('', '', null, 'sql', 'select 1 as one')).toEqual([{ one: 1 }]);
    await expect(search('', '', null, 'sql')).rejects.toThrow(/search: query must be a statement in SQL/);
  });

  it('or the mistake in the question is named, before anything is asked', async () => {
    const { list, count } = engine().client.workflow;
    expect(() => list({ stauts: 'open' } as never)).toThrow(/unknown option "stauts"; did you mean "status"/);
    expect(() => list({}, { limit: 0 })).toThrow(/list: limit must be a whole number from 1 to 1000; got 0/);
    expect(() => list({}, { cursor: 'next' })).toThrow(/cursor must be a cursor that list has given; got "next"/);
    await expect(count({ workflowName: undefined } as never)).rejects.toThrow(Errors.InvalidArgumentError);
    await expect(count({}, { namespace: 'no;' })).rejects.toThrow(Errors.InvalidArgumentError);
  });
});
