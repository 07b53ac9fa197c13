/** Drivers that tell what the engine asks the database, and what it is answered. */

import pg from 'pg';

export interface Asked {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Of the answer, each as its values. */
  readonly rows: readonly unknown[][];
}

/** A client class of `pg` that tells of each statement when it was answered. */
export function watchedClient(answered: (asked: Asked) => void): typeof pg.Client {
  return class WatchedClient extends pg.Client {
    // biome-ignore lint/suspicious/noExplicitAny: the driver's signature has a dozen forms, of which the engine uses one
    override query(...args: any[]): any {
      const [{ text = '', values = [] }] = args as [{ text?: string; values?: unknown[] }];
      const answer = super.query(...(args as Parameters<pg.Client['query']>)) as unknown as Promise<pg.QueryResult>;
      answer.then?.(
        ({ rows }) => answered({ text, values, rows: rows.map((row: object) => Object.values(row)) }),
        () => {},
      );
      return answer;
    }
  };
}
