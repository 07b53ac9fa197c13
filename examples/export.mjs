// @ts-check
/** What happened in a workflow: as events, while it runs and when it has ended, and as a timeline of its durable calls. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

/** @param {string} id */
async function pack(id) {
  return `parcel of ${id}`;
}

const { pack: packed } = Durable.workflow.proxyActivities({ activities: { pack } });

/** @param {string} id */
async function order(id) {
  const parcel = await packed(id);
  const approval = await Durable.workflow.condition('approved');
  const tracking = await Durable.workflow.executeChild({
    workflowName: 'ship',
    args: [parcel],
    workflowId: `ship-${id}`,
  });
  return { approval, tracking };
}

/** @param {string} parcel */
async function ship(parcel) {
  await Durable.workflow.sleep('20ms');
  return `${parcel} is on its way`;
}

const connection = { class: PGlite };
await Durable.Worker.create({ connection, taskQueue: 'orders', workflow: { order, ship } });
const client = new Durable.Client({ connection });
const handle = await client.workflow.start({
  taskQueue: 'orders',
  workflowName: 'order',
  workflowId: 'o-1',
  args: ['o-1'],
  search: { data: { customer: 'c-7' } },
});

// What is under way has a start and no end.
let soFar = await handle.exportExecution();
while (soFar.events.at(-1)?.event_type !== 'signal_wait_started') {
  await new Promise((resolve) => setTimeout(resolve, 20));
  soFar = await handle.exportExecution();
}
console.log(
  soFar.status,
  soFar.events.map(({ event_id, event_type }) => `${event_id} ${event_type}`),
);

await handle.signal('approved', 'by Ann');
await handle.result();

// Each end names its start. Children come with theirs.
const { status, summary, events, children } = await handle.exportExecution({ mode: 'verbose' });
console.log(status, summary);
const { attributes } = events[2] ?? {};
console.log(attributes);
console.log(children?.map(({ workflow_id, workflow_type, result }) => ({ workflow_id, workflow_type, result })));

// For histories of any length: one event after the other, a page of the history at a time.
let ends = 0;
for await (const { duration_ms } of handle.exportEvents()) if (duration_ms !== null) ends++;
console.log(`${ends} ends`);

// The calls by position, and what the workflow was started with.
const { data, timeline } = await handle.export({ allow: ['data', 'timeline'] });
console.log(
  data,
  timeline?.map(({ key }) => key),
);
await Durable.shutdown();

// Prints:
// running [
//   '1 workflow_execution_started',
//   '2 activity_task_scheduled',
//   '3 activity_task_completed',
//   '4 signal_wait_started'
// ]
// completed {
//   total_events: 8,
//   activities: { total: 1, completed: 1, failed: 0, system: 0, user: 1 },
//   child_workflows: { total: 1, completed: 1, failed: 0 },
//   timers: 0,
//   signals: 1
// }
// {
//   kind: 'activity_task_completed',
//   activity_type: 'pack',
//   timeline_key: '-proxy-1-',
//   execution_index: 1,
//   scheduled_event_id: 2,
//   result: 'parcel of o-1',
//   entry: 1
// }
// [
//   {
//     workflow_id: 'ship-o-1',
//     workflow_type: 'ship',
//     result: 'parcel of o-1 is on its way'
//   }
// ]
// 4 ends
// { customer: 'c-7', arguments: [ 'o-1' ] } [ '-proxy-1-', '-wait-2-', '-child-3-' ]
