/** What a bug to be planted is made of; see protocol-bugs.ts. */
export interface PlantedBug {
  readonly name: string;
  /** [function, text, text instead] */
  readonly edits: readonly (readonly [string, string, string])[];
  /** Around it: what the functions alone do not decide. */
  readonly before?: string;
  readonly after?: string;
  /** A check of protocol-checks.ts, or the name of a race. */
  readonly caughtBy: string;
}
