/** The types of the API: what a workflow's function says reaches whoever starts it, and what a call gives whoever awaits it. */
import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  Client,
  Durable,
  type StartOptions,
  type WorkflowArguments,
  type WorkflowHandle,
  type WorkflowResult,
  workflow,
} from '../index.js';

interface Receipt {
  readonly total: number;
}
async function order(_id: string, _boxes = 1): Promise<Receipt> {
  return { total: 5 };
}
const plain = (_at: number) => 'text';

/** Type-checked, never called. */
const untouched = (check: () => unknown) => expect(check).toBeTypeOf('function');
const usual = { taskQueue: 'q', workflowName: 'order' };

describe('the type of a workflow function', () => {
  it('gives the arguments and the result of what it starts', () =>
    untouched(async (client: Client = new Client({ connection: { class: null } })) => {
      const handle = await client.workflow.start<typeof order>({ ...usual, args: ['o-1', 2] });
      expectTypeOf(handle).toEqualTypeOf<WorkflowHandle<Receipt>>();
      expectTypeOf(await handle.result()).toEqualTypeOf<Receipt>();
      expectTypeOf(await handle.result<number>()).toBeNumber(); // whoever asks may know better
      await client.workflow.start<typeof order>({ ...usual, args: ['o-1'] });
      // @ts-expect-error the first argument is text
      await client.workflow.start<typeof order>({ ...usual, args: [7] });
      // @ts-expect-error and must be given
      await client.workflow.start<typeof order>({ ...usual, args: [] });
      // @ts-expect-error there is no third one
      await client.workflow.start<typeof order>({ ...usual, args: ['o-1', 2, 3] });
      const signalled = client.workflow.signalWithStart<typeof plain>({
        ...usual,
        args: [5],
        workflowId: 'w',
        signalId: 's',
      });
      expectTypeOf(await (await signalled).result()).toBeString();
      const found = await client.workflow.getHandle<typeof order>('q', 'order', 'o-1');
      expectTypeOf(await found.result()).toEqualTypeOf<Receipt>();
    }));

  it('may be left out: anything goes in, and comes out as whoever asks says', () =>
    untouched(async (client: Client = new Client({ connection: { class: null } })) => {
      const handle = await client.workflow.start({ ...usual, args: ['o-1', { any: 'thing' }] });
      expectTypeOf(handle).toEqualTypeOf<WorkflowHandle>();
      expectTypeOf(await handle.result()).toBeUnknown();
      expectTypeOf(await handle.result<Receipt>()).toEqualTypeOf<Receipt>();
      expectTypeOf<StartOptions['args']>().toEqualTypeOf<readonly unknown[]>();
    }));

  it('gives those of a child; the type of a result alone gives that', () =>
    untouched(async () => {
      const child = { workflowName: 'order' };
      expectTypeOf(await workflow.executeChild<typeof order>({ ...child, args: ['o-1'] })).toEqualTypeOf<Receipt>();
      expectTypeOf(await workflow.executeChild<Receipt>({ ...child, args: ['any', 1] })).toEqualTypeOf<Receipt>();
      expectTypeOf(await workflow.executeChild({ ...child, args: [] })).toBeUnknown();
      expectTypeOf(await workflow.execChild<typeof plain>({ ...child, args: [1] })).toBeString();
      expectTypeOf(await workflow.startChild<typeof order>({ ...child, args: ['o-1'] })).toBeString();
      // @ts-expect-error the first argument is text
      await workflow.executeChild<typeof order>({ ...child, args: [7] });
      // @ts-expect-error the first argument is text
      await workflow.startChild<typeof order>({ ...child, args: [7] });
      // @ts-expect-error args must be given
      await workflow.executeChild(child);
    }));

  it('gives them by name, too', () => {
    expectTypeOf<readonly [string, number]>().toExtend<WorkflowArguments<typeof order>>();
    expectTypeOf<WorkflowResult<typeof order>>().toEqualTypeOf<Receipt>();
    expectTypeOf<WorkflowResult<typeof plain>>().toBeString();
    expectTypeOf<WorkflowResult<Receipt>>().toEqualTypeOf<Receipt>();
    expectTypeOf<WorkflowResult<unknown>>().toBeUnknown();
    expectTypeOf<WorkflowArguments<unknown>>().toEqualTypeOf<readonly unknown[]>();
  });
});

describe('the type of what a call gives', () => {
  it('condition: the signal’s data, or false when its time was over', () =>
    untouched(async () => {
      const approval = await workflow.condition<Receipt>('approved', '1 day');
      expectTypeOf(approval).toEqualTypeOf<Receipt | false>();
      if (approval !== false) expectTypeOf(approval.total).toBeNumber();
      expectTypeOf(await workflow.waitFor<string>('named', '1s')).toEqualTypeOf<string | false>();
      const paid = await workflow.waitFor<Receipt>('paid'); // as older programs do: no timeout, no false
      expectTypeOf(paid.total).toBeNumber();
      expectTypeOf(await workflow.condition('any', { timeout: 5 })).toBeUnknown();
      // @ts-expect-error a timeout is no Date
      await workflow.condition('at', new Date());
    }));

  it('hooks: the data of their signals', () =>
    untouched(async () => {
      const hook = { taskQueue: 'h', workflowName: 'h', args: [] };
      expectTypeOf(await workflow.execHook<Receipt>(hook)).toEqualTypeOf<Receipt>();
      expectTypeOf(await workflow.hook(hook)).toBeString();
      const batch = await workflow.execHookBatch<{ a: number; b: string }>([{ key: 'a', options: hook }]);
      expectTypeOf(batch).toEqualTypeOf<{ a: number; b: string }>();
      // @ts-expect-error no such key
      await workflow.execHookBatch<{ a: number }>([{ key: 'c', options: hook }]);
    }));

  it('the others', () =>
    untouched(async () => {
      expectTypeOf(await workflow.sleep('1s')).toBeNumber();
      expectTypeOf(await workflow.all(Promise.resolve(1), 'x', order('o'))).toEqualTypeOf<[number, string, Receipt]>();
      expectTypeOf(await workflow.patched('x')).toBeBoolean();
      expectTypeOf(workflow.continueAsNew(1)).toEqualTypeOf<Promise<never>>();
      expectTypeOf(await workflow.didRun('x')).toEqualTypeOf<[ran: boolean, index: number, stored: null]>();
      expectTypeOf(await workflow.isSideEffectAllowed(null, 'x')).toBeBoolean();
      expectTypeOf(workflow.random()).toBeNumber();
      expectTypeOf(workflow.uuid4()).toBeString();
      expectTypeOf(Durable.guid()).toBeString();
      expectTypeOf(workflow.now()).toEqualTypeOf<Date>();
      expectTypeOf(workflow.workflowInfo().workflowId).toBeString();
    }));
});
