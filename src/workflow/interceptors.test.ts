import { describe, expectTypeOf, it } from 'vitest';
import type {
  ActivityCall,
  ActivityInboundCallsInterceptor,
  ActivityInterceptor,
  Durable,
  PayloadCodec,
  WorkerOptions,
  WorkflowContextMap,
  WorkflowInboundCallsInterceptor,
  WorkflowInterceptor,
  WorkflowOutboundCallsInterceptor,
} from '../index.js';

describe('the types', () => {
  it('of older programs are those of newer ones', () => {
    expectTypeOf<WorkflowInterceptor>().toEqualTypeOf<WorkflowInboundCallsInterceptor>();
    expectTypeOf<ActivityInterceptor>().toEqualTypeOf<WorkflowOutboundCallsInterceptor>();
    expectTypeOf<typeof Durable.registerInterceptor>().toEqualTypeOf<typeof Durable.registerInboundInterceptor>();
  });

  it('take interceptors as programs write them, with or without types', () => {
    const written = {
      // biome-ignore lint/suspicious/noExplicitAny: as programs have it
      async execute(ctx: Map<string, any>, next: () => Promise<any>): Promise<any> {
        const id: string = ctx.get('workflowId');
        return [id, await next()];
      },
    };
    expectTypeOf(written).toExtend<WorkflowInboundCallsInterceptor>();
    const untyped: WorkflowInboundCallsInterceptor = { execute: async (_ctx, next) => await next() };
    expectTypeOf(untyped.execute).returns.toEqualTypeOf<Promise<unknown>>();
  });

  it('know what the context holds by name, and leave the rest open', () => {
    type Get = WorkflowContextMap['get'];
    const read = (get: Get) => ({
      id: get('workflowId'),
      args: get('arguments'),
      attempt: get('attempt'),
      own: get('own'),
    });
    expectTypeOf(read).returns.toEqualTypeOf<{
      id: string;
      args: unknown[];
      attempt: number;
      // biome-ignore lint/suspicious/noExplicitAny: what interceptors agree on
      own: any;
    }>();
  });

  it('let outbound interceptors change arguments and options', () => {
    const change = (call: ActivityCall) => {
      call.args = [1];
      call.options.headers.tenant = 'acme';
      call.options.taskQueue = 'other';
      call.options.retry = { maximumAttempts: 1 };
      // @ts-expect-error a queue has a name
      call.options.taskQueue = 7;
    };
    expectTypeOf(change).parameter(0).toExtend<{ activityName: string }>();
  });

  it('of a worker and of the codec', () => {
    expectTypeOf<NonNullable<WorkerOptions['interceptors']>>().toEqualTypeOf<{
      readonly inbound?: readonly WorkflowInboundCallsInterceptor[];
      readonly outbound?: readonly WorkflowOutboundCallsInterceptor[];
      readonly activityInbound?: readonly ActivityInboundCallsInterceptor[];
    }>();
    expectTypeOf<typeof Durable.registerCodec>().parameter(0).toEqualTypeOf<PayloadCodec | null>();
    expectTypeOf<PayloadCodec['encode']>().returns.toEqualTypeOf<string>();
    // @ts-expect-error the codec is synchronous
    const promising: PayloadCodec = { encode: async (json) => json, decode: (text) => text };
    expectTypeOf(promising).toEqualTypeOf<PayloadCodec>();
  });
});
