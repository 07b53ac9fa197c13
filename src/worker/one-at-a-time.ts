/** Does something one at a time: asked for while it runs, it runs once more behind that. */
export class OneAtATime {
  readonly #run: () => Promise<void>;
  readonly #failed: (error: unknown) => void;
  #running = false;
  #again = false;

  constructor(run: () => Promise<void>, failed: (error: unknown) => void) {
    this.#run = run;
    this.#failed = failed;
  }

  ask(): void {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    this.#run()
      .catch(this.#failed)
      .finally(() => {
        this.#running = false;
        if (!this.#again) return;
        this.#again = false;
        this.ask();
      });
  }
}
