/** Does something one at a time: asked for while it runs, it runs once more behind that. */
export class OneAtATime {
  readonly #run: () => Promise<void>;
  readonly #failed: (error: unknown) => void;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(run: () => Promise<void>, failed: (error: unknown) => void) {
    this.#run = run;
    this.#failed = failed;
  }

  /** @returns when a run that began behind this call has ended, well or not. */
  ask(): Promise<void> {
    if (this.#running === null) return this.#start();
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      return this.#start();
    });
    return this.#next;
  }

  #start(): Promise<void> {
    this.#running = this.#run()
      .catch(this.#failed)
      .finally(() => {
        this.#running = null;
      });
    return this.#running;
  }
}
