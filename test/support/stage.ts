/** Where a check plays: a database whose functions can be stopped, and the sessions that call them. */

import type { PausableDatabase } from './pause.js';
import type { Session } from './protocol-session.js';

export interface Stage {
  readonly database: PausableDatabase;
  readonly control: Session;
  readonly one: Session;
  readonly other: Session;
  readonly holder: Session;
}

export type Check = (stage: Stage) => Promise<void>;
