import { Client } from './client/client.js';
import type { Engine } from './client/engine.js';
import { contextOf, homeHere, type WorkerHome, watchHere } from './workflow/context.js';

/** The client of a worker's workflows; it ends with the worker. */
const clients = new WeakMap<WorkerHome, Client>();

/**
 * The engine of the workflow's namespace, through the worker's connection, for programs written for HotMesh.
 *
 * What it reads and does is not recorded: a replay reads something else and does it again. Guard effects with
 * `isSideEffectAllowed`; better, use durable calls (`terminate`, `signal`, `emit`, `search`), or an activity with
 * `client.getHotMeshClient()`. The determinism guard says so.
 *
 * @throws {WorkflowContextError} outside a workflow.
 * @throws {DeterminismError} under a worker with `determinism: 'strict'`.
 */
export async function getHotMesh(): Promise<Engine> {
  const { instance } = contextOf('getHotMesh');
  watchHere()?.met(
    'getHotMesh()',
    'durable calls (terminate, signal, emit, search), or client.getHotMeshClient() in an activity',
    getHotMesh,
  );
  const home = homeHere() as WorkerHome;
  let client = clients.get(home);
  if (client === undefined) {
    const made = new Client({ connection: home.connection as ConstructorParameters<typeof Client>[0]['connection'] });
    clients.set(home, made);
    home.atEnd(() => made.close());
    client = made;
  }
  return client.engine(instance.info.namespace);
}
