/** `Durable`: the public module under one name. */

import { activity } from './activity/context.js';
import { Client } from './client/client.js';
import { Connection } from './client/connection.js';
import { WorkflowHandle } from './client/handle.js';
import { listWorkerRoles, provisionWorkerRole, revokeWorkerRole, rotateWorkerPassword } from './client/worker-roles.js';
import { registerCodec } from './codec/payload-codec.js';
import * as Errors from './core/errors.js';
import { guid as randomGuid, uuid } from './core/identifier.js';
import {
  clearActivityInboundInterceptors,
  clearInterceptors,
  clearOutboundInterceptors,
  getInterceptorService,
  registerActivityInboundInterceptor,
  registerInboundInterceptor,
  registerOutboundInterceptor,
} from './worker/interceptors.js';
import { registerActivityWorker, Worker } from './worker/worker.js';
import { Entity } from './workflow/entity.js';
import { workflowGuid } from './workflow/random.js';
import { Search } from './workflow/search.js';
import { didInterrupt } from './workflow/workflow.js';
import { workflow } from './workflow.js';

/** An id: `H` and 22 random characters. Called inside a workflow it is the same in every replay. */
export function guid(size?: number): string {
  return workflowGuid(size) ?? randomGuid(size);
}

/** Stops all workers and clients of this process, in order, and ends their connections. Both may be made anew afterwards. */
export async function shutdown(): Promise<void> {
  await Worker.shutdown();
  await Client.shutdown();
}

export const Durable = {
  Client,
  Connection,
  Worker,
  Handle: WorkflowHandle,
  workflow,
  activity,
  Search,
  Entity,
  registerActivityWorker,
  registerInboundInterceptor,
  registerOutboundInterceptor,
  registerActivityInboundInterceptor,
  clearInterceptors,
  clearOutboundInterceptors,
  clearActivityInboundInterceptors,
  getInterceptorService,
  registerCodec,
  provisionWorkerRole,
  rotateWorkerPassword,
  revokeWorkerRole,
  listWorkerRoles,
  didInterrupt,
  guid,
  uuid,
  shutdown,
  Errors,
  // the older generation
  registerInterceptor: registerInboundInterceptor,
  registerActivityInterceptor: registerOutboundInterceptor,
  clearActivityInterceptors: clearOutboundInterceptors,
} as const;
