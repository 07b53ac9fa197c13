// @ts-check
/** Code around all workflows, around the calls they make, and around the bodies of activities, like the layers of an onion. */
import { PGlite } from '@electric-sql/pglite';
import { Durable } from 'perdure';

const activities = {
  /** @param {string} name */
  async greet(name) {
    const { tenant } = Durable.activity.getContext().headers;
    return `Hello, ${name} of ${tenant}!`;
  },
  /** @param {string} what */
  async audit(what) {
    console.log(`audit: ${what}`);
  },
};

/** @type {import('perdure').ActivityProxy<typeof activities>} */
const { greet, audit } = Durable.workflow.proxyActivities();

/** @param {string} name */
async function welcome(name) {
  return await greet(name);
}

// Around each workflow of this process. It may make durable calls, which are recorded like those of the workflow.
Durable.registerInboundInterceptor({
  async execute(ctx, next) {
    ctx.set('tenant', 'Perdure');
    const result = await next();
    await audit(`${ctx.get('workflowName')} is done`);
    return result;
  },
});

// Around each activity call, in the workflow. What it changes before next() is what is sent.
Durable.registerOutboundInterceptor({
  async execute(activity, ctx, next) {
    activity.options.headers.tenant = ctx.get('tenant');
    return await next();
  },
});

const connection = { class: PGlite };
await Durable.Worker.create({
  connection,
  taskQueue: 'greetings',
  workflow: welcome,
  activities,
  interceptors: {
    // Around the bodies of the activities this worker runs: once for each attempt, never in a replay.
    activityInbound: [
      {
        async execute(activityName, args, next) {
          console.log(`${activityName}(${args.join()}) runs`);
          return await next();
        },
      },
    ],
  },
});

const client = new Durable.Client({ connection });
const handle = await client.workflow.start({ taskQueue: 'greetings', workflowName: 'welcome', args: ['Ada'] });
console.log(await handle.result());
await Durable.shutdown();

// Prints:
// greet(Ada) runs
// audit(welcome is done) runs
// audit: welcome is done
// Hello, Ada of Perdure!
