// @ts-check
/** Spans of a request, of the workflow it starts, of its activities and of its child: one trace, printed as a tree. */
import { PGlite } from '@electric-sql/pglite';
import { trace } from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { Durable } from 'perdure';

const exporter = new InMemorySpanExporter(); // a program sends them to a collector
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
const tracer = trace.getTracer('shop');

const activities = {
  async charge() {
    tracer.startSpan('card terminal').end(); // belongs to the attempt
    if (Durable.activity.getContext().attempt === 1) throw new Error('busy');
  },
  async pack() {},
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { charge, pack } = Durable.workflow.proxyActivities({ retry: { initialInterval: 1 } });

async function order() {
  await charge();
  await Durable.workflow.executeChild({ workflowName: 'parcel', args: [] });
}

async function parcel() {
  await pack();
}

const connection = { class: PGlite, options: {} };
await Durable.Worker.create({ connection, taskQueue: 'orders', workflow: { order, parcel }, activities });
const client = new Durable.Client({ connection });

await tracer.startActiveSpan('POST /orders', async (request) => {
  const handle = await client.workflow.start({ taskQueue: 'orders', workflowName: 'order', args: [] });
  await handle.result();
  request.end();
});
await Durable.shutdown();

const spans = exporter.getFinishedSpans();
/** @param {string | undefined} parent @param {string} indent */
function print(parent, indent) {
  const children = spans.filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent);
  for (const span of children.sort((a, b) => a.name.localeCompare(b.name))) {
    console.log(`${indent}${span.name}${span.status.code === 2 ? ' (failed)' : ''}`);
    print(span.spanContext().spanId, `${indent}  `);
  }
}
print(undefined, '');

// Prints:
// POST /orders
//   WORKFLOW/START/order
//     ACTIVITY/charge (failed)
//       card terminal
//     ACTIVITY/charge
//       card terminal
//     WORKFLOW/COMPLETE/order
//     WORKFLOW/START/parcel
//       ACTIVITY/pack
//       WORKFLOW/COMPLETE/parcel
