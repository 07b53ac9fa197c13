/** What a subscription brought, and waiting for it. */

import type { Client, Emission, SubscribeOptions, Subscription } from '../../src/index.js';
import { until } from './worker.js';

export class Heard {
  readonly emissions: Emission[] = [];
  subscription!: Subscription;

  static async on(client: Client, options: SubscribeOptions = {}): Promise<Heard> {
    const heard = new Heard();
    heard.subscription = await client.workflow.subscribe(options, (emission) => heard.emissions.push(emission));
    return heard;
  }

  /** Topics and data, in the order they came. */
  get said(): [string, unknown][] {
    return this.emissions.map(({ topic, data }) => [topic, data]);
  }

  async count(count: number): Promise<this> {
    await until(`${count} events; there are ${this.emissions.length}`, () => this.emissions.length >= count);
    return this;
  }

  /** Everything that was emitted so far has come. */
  async all(client: Client): Promise<this> {
    const end = await client.workflow.subscribe({}, () => {});
    await until('all events', () => this.subscription.position >= end.position);
    end.unsubscribe();
    return this;
  }
}
