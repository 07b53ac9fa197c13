/** What psql and triggers call: checked as the client checks, stored as a client without a codec stores it. */

import { describe, expect, it } from 'vitest';
import { isIdentifier } from '../../src/core/identifier.js';
import { describeWorkflow } from '../../src/postgres/protocol/executions.js';
import { claimOnly, FLOW, onEveryDatabase, QUEUE, register, waiting } from '../support/protocol.js';
import { SCHEMA, type Session } from '../support/protocol-session.js';

const literal = (value: unknown) => (typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value));

async function sqlStart(session: Session, more: Record<string, unknown> = {}): Promise<string> {
  const given = { workflow_name: FLOW, task_queue: QUEUE, ...more };
  const args = Object.entries(given).map(([name, value]) => `${name} => ${literal(value)}`);
  const [row] = await session.sql<{ id: string }>(`select ${SCHEMA}.start_workflow(${args.join(', ')}) as id`);
  return row?.id ?? '';
}

async function sqlSignal(session: Session, args: string): Promise<string> {
  const [row] = await session.sql<{ answer: string }>(`select ${SCHEMA}.signal_workflow(${args}) as answer`);
  return row?.answer ?? '';
}

const saidBy = (call: Promise<unknown>) =>
  call.then(
    () => 'done',
    (error: { code: string; message: string }) => `${error.code} ${error.message}`,
  );

onEveryDatabase('from SQL', (session) => {
  describe('start_workflow', () => {
    it('makes what a client makes, with an id of its own where none is given', async () => {
      const worker = await register(session());
      const id = await sqlStart(session(), {
        args: '[1, {"a": [null, "ü"]}]',
        search: '{"n": 1.50, "\\"_color\\"": "red", "on": true}',
        entity: 'thing',
        expire: '1 hour',
      });
      expect(id).toMatch(/^H[\w-]{22}$/);
      const row = await claimOnly(session(), worker, id);
      expect(JSON.parse(row.args)).toEqual([1, { a: [null, 'ü'] }]);
      expect(row).toMatchObject({ expire_s: 3600, config: null });
      const found = await describeWorkflow(session(), SCHEMA, id, null);
      expect(found).toMatchObject({ state: 'open', entity: 'thing', task_queue: QUEUE, workflow_name: FLOW });
      expect(JSON.parse(found?.search ?? '')).toEqual({ n: '1.50', color: 'red', on: 'true' });
    });

    it('reserves an id', async () => {
      await register(session());
      await sqlStart(session(), { workflow_id: 'later', pending: '10 s' });
      expect(await describeWorkflow(session(), SCHEMA, 'later', null)).toMatchObject({ state: 'pending' });
      expect(await sqlStart(session(), { workflow_id: 'later' })).toBe('later');
      expect(await describeWorkflow(session(), SCHEMA, 'later', null)).toMatchObject({ state: 'open' });
    });

    it('goes by the policies for an id that is taken, as a client does', async () => {
      await register(session());
      const of = async (id: string) => {
        const found = await describeWorkflow(session(), SCHEMA, id, null);
        return `${found?.run} ${found?.state}`;
      };
      const given = (workflow_id: string, reuse?: string, conflict?: string) => ({
        workflow_id,
        ...(reuse && { workflow_id_reuse_policy: reuse }),
        ...(conflict && { workflow_id_conflict_policy: conflict }),
      });
      await sqlStart(session(), { workflow_id: 'a' });
      expect(await saidBy(sqlStart(session(), given('a', 'ALLOW_DUPLICATE', 'FAIL')))).toBe('PD409 Duplicate job: a');
      expect(await sqlStart(session(), given('a', 'REJECT_DUPLICATE', 'USE_EXISTING'))).toBe('a');
      expect(await of('a')).toBe('0 open');
      expect(await sqlStart(session(), given('a', undefined, 'TERMINATE_EXISTING'))).toBe('a');
      expect(await of('a')).toBe('1 open');
      await session().sql(`select ${SCHEMA}.terminate(true, 7, 'a', null, null, false, null)`);
      expect(await saidBy(sqlStart(session(), given('a')))).toBe('PD409 Duplicate job: a');
      await sqlStart(session(), given('a', 'ALLOW_DUPLICATE_FAILED_ONLY'));
      expect(await of('a')).toBe('2 open');
      expect(await session().sql(`select state from ${SCHEMA}.execution where workflow_id = 'a' order by run`)).toEqual(
        [{ state: 'terminated' }, { state: 'terminated' }, { state: 'open' }],
      );
    });

    it('begins later, and within limits', async () => {
      const worker = await register(session());
      await sqlStart(session(), {
        workflow_id: 'slow',
        start_delay: '1 hour',
        workflow_execution_timeout: '2 days',
        workflow_run_timeout: '1 day',
      });
      const [row] = await session().sql(
        `select extract(epoch from e.start_at - e.created_at)::int as delay, extract(epoch from e.chain_due_at - e.start_at)::int as chain,
          extract(epoch from e.due_at - e.start_at)::int as run, run_timeout_ms::int from ${SCHEMA}.execution e`,
      );
      expect(row).toEqual({ delay: 3_600, chain: 172_800, run: 86_400, run_timeout_ms: 86_400_000 });
      await sqlStart(session(), { workflow_id: 'now', start_delay: '0' });
      await claimOnly(session(), worker, 'now');
    });

    it('refuses an id that is taken', async () => {
      await register(session());
      await sqlStart(session(), { workflow_id: 'a' });
      expect(await saidBy(sqlStart(session(), { workflow_id: 'a' }))).toBe('PD409 Duplicate job: a');
    });

    it.each<[string, Record<string, unknown>, string]>([
      ['no array', { args: '{}' }, 'PD003 start_workflow: args must be an array; got object'],
      ['null for args', { args: null }, 'PD003 start_workflow: args must be an array; got null'],
      [
        'too long an id',
        { workflow_id: 'é'.repeat(257) },
        'PD003 start_workflow: workflow_id must be text of 1 to 512 bytes in Unicode normal form C without control characters; got 514 bytes',
      ],
      ['a line of a log', { workflow_id: 'a\nb' }, 'without control characters; got "a\\nb"'],
      ['code points in another order', { task_queue: 'cafe\u0301' }, 'PD003 start_workflow: task_queue must be text'],
      ['such a name of a field', { search: '{"cafe\u0301": 1}' }, 'PD003 start_workflow: search must be named by text'],
      [
        'no name',
        { workflow_name: '' },
        'PD003 start_workflow: workflow_name must be text of 1 to 512 bytes in Unicode normal form C without control characters; got an empty text',
      ],
      [
        'no queue',
        { task_queue: null },
        'PD003 start_workflow: task_queue must be text of 1 to 512 bytes in Unicode normal form C without control characters; got null',
      ],
      [
        'a negative expire',
        { expire: '-1 s' },
        'PD003 start_workflow: expire must be an interval from 0 to 100 years; got -00:00:01',
      ],
      [
        'a policy that is none',
        { workflow_id_reuse_policy: 'ALLOW' },
        `PD003 start_workflow: workflow_id_reuse_policy must be 'ALLOW_DUPLICATE', 'ALLOW_DUPLICATE_FAILED_ONLY' or 'REJECT_DUPLICATE'; got "ALLOW"`,
      ],
      [
        'a word of the other policy',
        { workflow_id_conflict_policy: 'REJECT_DUPLICATE' },
        `PD003 start_workflow: workflow_id_conflict_policy must be 'FAIL', 'USE_EXISTING' or 'TERMINATE_EXISTING'; got "REJECT_DUPLICATE"`,
      ],
      [
        'policies that contradict each other',
        { workflow_id_reuse_policy: 'REJECT_DUPLICATE', workflow_id_conflict_policy: 'TERMINATE_EXISTING' },
        `PD003 start_workflow: workflow_id_reuse_policy must be 'ALLOW_DUPLICATE' or 'ALLOW_DUPLICATE_FAILED_ONLY' with`,
      ],
      [
        'a delay of what does not run',
        { pending: '1 s', start_delay: '1 s' },
        'PD003 start_workflow: start_delay, workflow_execution_timeout and workflow_run_timeout must be left out with pending.',
      ],
      [
        'no time at all',
        { workflow_run_timeout: '0' },
        'PD003 start_workflow: workflow_run_timeout must be an interval longer than 0; got 00:00:00. Leave it out for no limit',
      ],
      [
        'a negative limit',
        { workflow_execution_timeout: '-1 s' },
        'PD003 start_workflow: workflow_execution_timeout must be an interval from 0 to 100 years; got -00:00:01',
      ],
      [
        'a delay into the past',
        { start_delay: '-1 s' },
        'PD003 start_workflow: start_delay must be an interval from 0 to 100 years; got -00:00:01',
      ],
      [
        'a field that is no text',
        { search: '{"a": []}' },
        'PD003 start_workflow: search.a must be text, a number or a boolean; got array',
      ],
      ['fields that are none', { search: '[]' }, 'PD003 start_workflow: search must be an object'],
      ['a name of a field', { search: '{"__proto__": 1}' }, 'PD003 start_workflow: search must be named by text'],
      [
        'too deep',
        { args: '['.repeat(501) + ']'.repeat(501) },
        'PD003 start_workflow: args must be nested no deeper than 500 levels',
      ],
      [
        'too large',
        { args: `["${'x'.repeat(8 * 1024 * 1024)}"]` },
        'PD004 start_workflow: args has 8388612 bytes, the limit is 8388608',
      ],
      [
        'an unknown name',
        { workflow_name: 'fl' },
        `PD003 start_workflow: workflow_name must be a workflow that a worker or client has named on queue "${QUEUE}"; got "fl"`,
      ],
    ])('refuses %s', async (_, given, message) => {
      await register(session());
      expect(await saidBy(sqlStart(session(), given))).toContain(message);
      expect(await session().sql(`select workflow_id from ${SCHEMA}.execution`)).toEqual([]);
    });

    it('takes what is nested just deep enough', async () => {
      await register(session());
      await sqlStart(session(), { args: `${'['.repeat(500)}"x"${']'.repeat(500)}`, workflow_id: 'deep' });
    });
  });

  describe('signal_workflow', () => {
    it('reaches who waits, or is kept; what looks sealed is marked as plain', async () => {
      const worker = await register(session());
      await waiting(session(), worker, 'a', 'go');
      expect(await sqlSignal(session(), `'go', '{"perdure:sealed": "mine"}'`)).toBe('delivered');
      const woken = await claimOnly(session(), worker, 'a');
      expect(JSON.parse(woken.mail ?? '')[0][3]).toBe('{"perdure:plain":{"perdure:sealed": "mine"}}');
      expect(await sqlSignal(session(), `'later', workflow_id => 'a', expire => '1 day'`)).toBe('buffered');
      expect(
        await session().sql(`select payload, chain_no is not null as targeted, extract(epoch from expires_at - now()) > 86000 as long
          from ${SCHEMA}.signal`),
      ).toEqual([{ payload: null, targeted: true, long: true }]);
    });

    it('says who is not there', async () => {
      await register(session());
      expect(await saidBy(sqlSignal(session(), `'s', '1', 'nobody'`))).toBe('PD404 nobody Not Found');
      expect(await saidBy(sqlSignal(session(), `''`))).toContain('PD003 signal_workflow: signal_id must be text');
      expect(await saidBy(sqlSignal(session(), `'s', expire => '-1 s'`))).toContain('PD003 signal_workflow: expire');
    });
  });

  it('is_name lets through what the client lets through', async () => {
    const parts = [
      'a',
      ' ',
      '\u0001',
      '\n',
      '\u007f',
      '\u0085',
      '\u00a0',
      'é',
      'e\u0301',
      'ẹ\u0301',
      'ẛ̣',
      '\u212b',
      'Å',
      '日',
      '😀',
      '\u202e',
    ];
    const texts = [
      '',
      ...parts,
      ...parts.map((part) => part + part),
      ...parts.flatMap((p) => ['x'.repeat(511), 'é'.repeat(255)].map((x) => x + p)),
    ];
    const rows = await session().sql<{ fits: boolean }>(
      `select ${SCHEMA}.is_name(x) as fits from jsonb_array_elements_text($1::jsonb) with ordinality as t (x, n) order by n`,
      JSON.stringify(texts),
    );
    expect(rows.map((row, n) => [texts[n], row.fits])).toEqual(texts.map((text) => [text, isIdentifier(text)]));
  });

  it('cancel_workflow asks, and says whether there was anybody to ask', async () => {
    const worker = await register(session());
    await waiting(session(), worker, 'a', 'go');
    const cancel = (id: string) => session().sql(`select ${SCHEMA}.cancel_workflow('${id}') as asked`);
    expect([await cancel('a'), await cancel('b')]).toEqual([[{ asked: true }], [{ asked: false }]]);
    expect(JSON.parse((await claimOnly(session(), worker, 'a')).mail ?? '')[0][1]).toBe('cancel');
  });
});
