import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from './errors.js';
import { type ExecutionFilter, resolveFilter } from './execution-filter.js';

const resolve = (filter: unknown, path?: string) => resolveFilter('list', filter as ExecutionFilter, path);
const refusal = (filter: unknown, path?: string): string => {
  try {
    resolve(filter, path);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidArgumentError);
    return (error as Error).message;
  }
  return 'accepted';
};

describe('a filter of executions', () => {
  it('comes out as SQL reads it', () => {
    expect(resolve({})).toEqual({});
    expect(
      resolve({
        workflowId: { prefix: 'order-' },
        workflowName: 'order',
        taskQueue: 'orders',
        status: 'open',
        started: { from: new Date(5), to: '1970-01-01T00:00:00.007Z' },
        closed: { to: 9 },
        parentWorkflowId: 'p',
        search: { total: { $gt: 5, $in: [1, null, true] }, '"_paid"': true },
        entity: { label: 'order', where: { state: 'new' } },
        blocked: false,
      }),
    ).toEqual({
      workflowIdPrefix: 'order-',
      workflowName: 'order',
      taskQueue: 'orders',
      status: ['open'],
      startedFrom: 5,
      startedTo: 7,
      closedTo: 9,
      parentWorkflowId: 'p',
      search: [
        { field: 'total', op: 'gt', value: 5 },
        { field: 'total', op: 'in', value: ['1', null, 'true'] },
        { field: 'paid', op: 'eq', value: 'true' },
      ],
      entity: 'order',
      where: [{ field: 'state', op: 'eq', value: 'new' }],
      blocked: false,
    });
    expect(resolve({ workflowId: 'a', entity: 'order', status: ['failed', 'cancelled'] })).toEqual({
      workflowId: 'a',
      entity: 'order',
      status: ['failed', 'cancelled'],
    });
  });

  it.each([
    [{ stauts: 'open' }, /unknown option "stauts"; did you mean "status"\?/],
    [{ status: 'running' }, /status must be one or several of pending, open, .*; got "running"/],
    [{ status: [] }, /status must be one or several of/],
    [{ started: {} }, /started must be an object with from, to or both/],
    [{ started: { from: 'soon' } }, /started\.from must be a moment.*; got "soon"/],
    // JavaScript takes both for dates
    [{ started: { from: "' or '1'='1" } }, /started\.from must be a moment/],
    [{ started: { from: 'order 7' } }, /started\.from must be a moment/],
    [{ entity: {} }, /entity must be a label, or an object/],
    [{ workflowId: { prefix: '' } }, /workflowId must be an id or \{ prefix \}, text of 1 to 512 bytes/],
    [{ status: ['open', 'done'] }, /status/],
    [{ started: { form: 1 } }, /unknown option "started\.form"; known are from, to/],
    [{ search: { total: { $gte: null } } }, /search\["total"\] must be text or a finite number; got null/],
    [{ entity: { where: { total: { $gr: 1 } } } }, /entity\.where\["total"\] must be compared by one of/],
    [[], /options must be an object/],
    [null, /options must be an object/],
  ])('is refused with the field and what is allowed: %j', (filter, message) => {
    expect(refusal(filter)).toMatch(message);
  });

  it.each([
    '2024',
    '2024-02',
    '2024-02-03',
    '2024-02-03T04:05',
    '2024-02-03T04:05:06.789Z',
    '2024-02-03T04:05:06+01:00',
  ])('takes the ISO text %s for a moment', (from) => {
    expect(resolve({ started: { from } })).toEqual({ startedFrom: new Date(from).getTime() });
  });

  it.each(['status', 'workflowName', 'taskQueue', 'workflowId', 'entity', 'search', 'blocked', 'started'])(
    'is refused when %s is undefined, since it would select more than was meant',
    (field) => {
      expect(refusal({ [field]: undefined })).toMatch(new RegExp(`${field} must be .*; got undefined`));
      expect(refusal({ [field]: undefined }, 'filter')).toMatch(new RegExp(`filter\\.${field} must be`));
    },
  );
});
