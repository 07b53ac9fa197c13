/** `Durable.workflow`: the durable calls, and what a workflow may ask of a client. */

import { getHotMesh } from './get-hot-mesh.js';
import { workflow as calls } from './workflow/workflow.js';

export const workflow = { ...calls, getHotMesh } as const;
