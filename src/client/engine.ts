import type { DocumentEngine, EntityQuery, EntityRow } from '../core/document-engine.js';
import { isLiteralField } from '../core/search-fields.js';
import { statusOf } from './handle.js';
import type { Link } from './link.js';

/** One namespace of one database, as the static finders of `Search` and `Entity` take it: what `client.getHotMeshClient` gives. */
export class Engine implements DocumentEngine {
  readonly namespace: string;
  readonly #link: Link;

  /** @internal */
  constructor(link: Link) {
    this.#link = link;
    this.namespace = link.namespace;
  }

  /** The namespace, by its older name. */
  get appId(): string {
    return this.namespace;
  }

  /** For `Entity.find` and its like. */
  async findEntities(query: EntityQuery): Promise<EntityRow[]> {
    const found = await this.#link.findEntities(query);
    return found.map(({ workflow_id, state, context }) => ({
      key: `hmsh:${this.namespace}:j:${workflow_id}`,
      context: JSON.parse(context) as Record<string, unknown>,
      status: statusOf({ state }),
    }));
  }

  /** For `Entity.createIndex`. */
  createEntityIndex(field: string): Promise<void> {
    return this.#link.createEntityIndex(field);
  }

  /** For `Search.findAllUserData`. */
  async userData(workflowId: string): Promise<Record<string, string>> {
    const fields = (await this.#link.searchFields(workflowId)) ?? {};
    return Object.fromEntries(Object.entries(fields).filter(([name]) => !isLiteralField(name)));
  }
}
