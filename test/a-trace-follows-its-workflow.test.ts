import { context, propagation, trace } from '@opentelemetry/api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Durable, Errors, workflow } from '../src/index.js';
import { type SeenSpan, watchSpans } from './support/telemetry.js';
import { describeInBothTempos, Engine, kept, retryAtOnce, until } from './support/worker.js';

const activities = {
  /** Says what is active, and makes a span of its own. */
  async charge(fails: number): Promise<string | undefined> {
    const span = trace.getTracer('shop').startSpan('card terminal');
    span.end();
    const { attempt } = Durable.activity.getContext();
    if (attempt <= fails) throw new TypeError('declined: secret');
    return trace.getActiveSpan()?.spanContext().spanId;
  },
  async baggage(): Promise<string | undefined> {
    return propagation.getBaggage(context.active())?.getEntry('tenant')?.value;
  },
};

const { charge, baggage } = workflow.proxyActivities<typeof activities>({
  retry: { maximumAttempts: 2, ...retryAtOnce },
});

async function order(fails: number, child: string) {
  const own = await charge(fails);
  await workflow.trace({ part: 'packed' });
  const { workflowTrace, workflowSpan } = workflow.workflowInfo();
  const theirs = await workflow.executeChild({ workflowName: 'parcel', workflowId: child, args: [] });
  const hooked = await workflow.execHook({ taskQueue: 'test', workflowName: 'weighs', args: [] });
  return { own, workflowTrace, workflowSpan, theirs, hooked, active: trace.getActiveSpan()?.spanContext().traceId };
}

async function parcel() {
  await charge(0);
  return workflow.workflowInfo().workflowSpan;
}

async function weighs({ signal }: { signal: string }) {
  await charge(0);
  await workflow.signal(signal, workflow.workflowInfo().workflowSpan);
}

async function fails() {
  throw new Errors.DurableFatalError('no good: secret');
}

async function twice(run: number): Promise<string | undefined> {
  await charge(0);
  if (run < 2) workflow.continueAsNew(run + 1);
  return workflow.workflowInfo().workflowTrace;
}

async function waits() {
  await workflow.condition('go');
  await workflow.trace({ part: 'late' });
  await charge(0);
}

async function tenant() {
  return await baggage();
}

let sdk: ReturnType<typeof watchSpans>;
beforeAll(() => {
  sdk = watchSpans();
});
afterAll(() => sdk.end());

/** What the caller does, in a span of its own. */
async function inSpan<T>(run: () => Promise<T>): Promise<{ value: T; caller: { traceId: string; spanId: string } }> {
  const span = trace.getTracer('shop').startSpan('request');
  const value = await context.with(trace.setSpan(context.active(), span), run);
  span.end();
  return { value, caller: span.spanContext() };
}

const named = (spans: readonly SeenSpan[], name: string) => spans.filter((span) => span.name === name);
const one = (spans: readonly SeenSpan[], name: string): SeenSpan => {
  const found = named(spans, name);
  expect(found.map(({ name }) => name)).toEqual([name]);
  return found[0] as SeenSpan;
};

describeInBothTempos('a trace', { workflow: { order, parcel, weighs, fails, twice, tenant }, activities }, (engine) => {
  it('leads from the caller by start and workflow to activities, what they do, children and hooks, each once', async () => {
    const child = `parcel-${Math.random()}`;
    const { value: handle, caller } = await inSpan(() => engine().start('order', [1, child]));
    const result = await engine().result<Record<string, string>>(handle);
    const id = handle.workflowId;
    await until('the end is told', () => named(sdk.of(child), 'WORKFLOW/COMPLETE/parcel').length > 0);
    await until('the end is told', () => named(sdk.of(id), 'WORKFLOW/COMPLETE/order').length > 0);
    await until('the hook’s end is told', () => named(sdk.of(id), 'HOOK/COMPLETE/weighs').length > 0);

    const start = one(sdk.of(id), 'WORKFLOW/START/order');
    expect(start).toMatchObject({ parent: caller.spanId, traceId: caller.traceId, status: 0 });
    expect(result).toMatchObject({ workflowTrace: caller.traceId, workflowSpan: start.id, hooked: start.id });
    expect(result.active).toBe(caller.traceId);

    const attempts = sdk
      .of(id)
      .filter(({ name, attributes }) => name === 'ACTIVITY/charge' && attributes['workflow.name'] === 'order');
    expect(
      attempts.map(({ parent, status, why, attributes }) => [parent, status, why, attributes['activity.attempt']]),
    ).toEqual([
      [start.id, 2, 'TypeError', 1],
      [start.id, 0, undefined, 2],
    ]);
    expect(result.own).toBe(attempts[1]?.id);
    const inside = sdk.spans().filter(({ name, traceId }) => name === 'card terminal' && traceId === caller.traceId);
    const all = sdk.spans().filter(({ name, traceId }) => name === 'ACTIVITY/charge' && traceId === caller.traceId);
    expect(inside.map(({ parent }) => parent).sort()).toEqual(all.map(({ id }) => id).sort());
    expect(all.length).toBe(4);

    expect(one(sdk.of(id), 'order')).toMatchObject({ parent: start.id, attributes: { part: 'packed' } });
    const begun = one(sdk.of(child), 'WORKFLOW/START/parcel');
    expect(begun).toMatchObject({ parent: start.id, traceId: caller.traceId });
    expect(result.theirs).toBe(begun.id);
    expect(one(sdk.of(child), 'ACTIVITY/charge').parent).toBe(begun.id);
    expect(one(sdk.of(child), 'WORKFLOW/COMPLETE/parcel').parent).toBe(begun.id);

    const whole = one(sdk.of(id), 'WORKFLOW/COMPLETE/order');
    expect(whole).toMatchObject({ parent: start.id, status: 0, attributes: { 'workflow.outcome': 'completed' } });
    expect(whole.ms).toBeGreaterThan(0);
    expect(JSON.stringify(sdk.spans())).not.toContain('secret');
  });

  it('tells a failure by its name, and of each run that continues one', async () => {
    const failed = await engine().start('fails');
    expect((await engine().failure(failed)).message).toBe('no good: secret');
    await until('the end is told', () => named(sdk.of(failed.workflowId), 'WORKFLOW/ERROR/fails').length > 0);
    expect(one(sdk.of(failed.workflowId), 'WORKFLOW/ERROR/fails')).toMatchObject({
      status: 2,
      why: 'DurableFatalError',
    });

    const handle = await engine().start('twice', [0]);
    const traceId = await engine().result(handle);
    const runs = () => named(sdk.of(handle.workflowId), 'WORKFLOW/COMPLETE/twice');
    await until('three ends', () => runs().length === 3);
    expect(runs().map(({ attributes }) => attributes['workflow.outcome'])).toEqual([
      'continued',
      'continued',
      'completed',
    ]);
    expect(new Set(sdk.of(handle.workflowId).map((span) => span.traceId))).toEqual(new Set([traceId]));
  });

  it('goes on from the ids a start is given, and carries baggage', async () => {
    const ids = { workflowTrace: '0af7651916cd43dd8448eb211c80319c', workflowSpan: 'b7ad6b7169203331' };
    const handle = await engine().start('twice', [2], ids);
    expect(await engine().result(handle)).toBe(ids.workflowTrace);
    expect(one(sdk.of(handle.workflowId), 'WORKFLOW/START/twice')).toMatchObject({
      parent: ids.workflowSpan,
      traceId: ids.workflowTrace,
    });
    const bags = propagation.createBaggage({ tenant: { value: 'acme' } });
    const started = await context.with(propagation.setBaggage(context.active(), bags), () => engine().start('tenant'));
    expect(await engine().result(started)).toBe('acme');
  });

  it('marks a start that was refused', async () => {
    const { workflowId } = await engine().start('twice', [2]);
    await expect(engine().start('twice', [2], { workflowId })).rejects.toThrow(Errors.DuplicateJobError);
    const starts = named(sdk.of(workflowId), 'WORKFLOW/START/twice');
    expect(starts.map(({ status, why }) => [status, why])).toEqual([
      [0, undefined],
      [2, 'DuplicateJobError'],
    ]);
  });
});

describe('without a context', () => {
  it('nothing is stored, and the spans of a run are one trace all the same', async () => {
    await sdk.end();
    const engine = await Engine.open({ workflow: { order, parcel, weighs, twice, waits }, activities, tempo: kept });
    const handle = await engine.start('twice', [0]);
    expect(await engine.result(handle)).toBeUndefined();
    expect(await engine.sql('select from execution where trace is not null')).toEqual([]);

    // The ids that a start is given need no SDK; children and later runs carry them on.
    const ids = { workflowTrace: '0af7651916cd43dd8448eb211c80319c', workflowSpan: 'b7ad6b7169203331' };
    const child = `parcel-${Math.random()}`;
    expect(await engine.run('order', [0, child], ids)).toMatchObject({ ...ids, theirs: ids.workflowSpan });
    expect(await engine.run('twice', [0], ids)).toBe(ids.workflowTrace);

    // Started before there was an SDK, which nobody reads: its spans are one trace all the same, without a root.
    const early = await engine.start('waits');
    await engine.awaitsSignal(early, 'go');
    sdk = watchSpans();
    await early.signal('go');
    await engine.result(early);
    await until('the end is told', () => named(sdk.of(early.workflowId), 'WORKFLOW/COMPLETE/waits').length > 0);
    const spans = sdk.of(early.workflowId);
    expect(spans.map(({ name }) => name).sort()).toEqual(['ACTIVITY/charge', 'WORKFLOW/COMPLETE/waits', 'waits']);
    expect(new Set(spans.map(({ traceId, parent }) => `${traceId} ${parent}`)).size).toBe(1);
    await engine.close();
  });
});
