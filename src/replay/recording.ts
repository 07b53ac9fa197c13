/**
 * Pairs the commands that code produces during a replay with those its history records.
 *
 * Owns: which recorded command a produced one is. Does not own: delivering events (replay.ts), settling (instance.ts).
 *
 * Invariants:
 * 1. Within one turn after a delivery, kinds and names come in the recorded order; arguments, signal ids and child ids
 *    are never compared.
 * 2. A command whose live counterpart came late (outside any delivery) may come earlier or later here: a first
 *    `import()` takes ten turns, the second one. Then the fingerprint of the arguments tells same-named commands
 *    apart. Late calls of one name with equal arguments are taken for interchangeable.
 *    A late call with other arguments than any record of its name is *held*: it may be one that was under way when the
 *    process died and stands nowhere. It is new once all those records have found their calls; when patience ends, and
 *    only one record is missing and only one held call fits it, they belong together (arguments may be computed freely).
 * 3. Nothing further is delivered while a recorded command is missing (replay.ts waits).
 * 4. Behind the last recorded step everything is new.
 * 5. A run whose function failed and is tried again records the retry's commands behind its `retry` event. The fresh
 *    instance may produce them from the point of failure on: the steps between share one list.
 */

import { NondeterminismError } from '../core/errors.js';
import { type Command, closesThread, type RecordedCommand, type RecordedStep } from '../core/history.js';

interface Slot {
  readonly recorded: RecordedCommand;
  readonly step: number;
  readonly late: boolean;
  paired: boolean;
}

/** Where a produced command belongs: a recorded one, or `new` when history ends before it. */
export type Placement = RecordedCommand | 'new';

/** A late call that is not placed yet. */
interface Held {
  readonly produced: Command;
  readonly location: string | null;
  readonly placed: (placement: Placement) => void;
}

export class Recording {
  steps: readonly RecordedStep[];
  #slots: Slot[][];
  /** By step: what a fresh attempt may produce there already, though it was recorded at a later retry. */
  #windows: (RetryWindow | null)[];
  #finished = false;
  #lateAhead: Slot[];
  #at = -1;
  /** How many of this step's commands, from the first on, have come. */
  #come = 0;
  #inTurn = true;
  #order: { readonly index: number; readonly produced: Command; readonly location: string | null }[] = [];
  /** Commands of this step that stand elsewhere or nowhere in the history. */
  #suspects: { readonly produced: Command; readonly location: string | null }[] = [];
  #held: Held[] = [];
  #byArguments = new Map<string, Slot[]>();
  readonly #wasLate: boolean;
  #someCameLate = false;
  #orderIsLoose = false;
  #failure: NondeterminismError | null = null;
  #waiting: (() => void) | null = null;

  constructor(steps: readonly RecordedStep[]) {
    this.steps = steps;
    this.#slots = steps.map((step, index) =>
      step.commands
        .filter(({ command }) => command.kind !== 'retry')
        .map((recorded) => ({ recorded, step: index, late: step.event.kind === 'late', paired: false })),
    );
    this.#windows = retryWindows(steps, this.#slots);
    this.#lateAhead = this.#slots.flat().filter((slot) => slot.late);
    this.#wasLate = this.#lateAhead.length > 0;
    for (const slot of this.#slots.flat()) {
      const key = argumentsKey(slot.recorded.command);
      const others = this.#byArguments.get(key);
      if (others === undefined) this.#byArguments.set(key, [slot]);
      else others.push(slot);
    }
  }

  get replaying(): boolean {
    return !this.#finished;
  }

  get failure(): NondeterminismError | null {
    return this.#failure;
  }

  /** Begins a step: what comes until {@link endTurn} came in the turn of its event. */
  enter(step: number): void {
    this.#at = step;
    this.#come = 0;
    this.#inTurn = true;
    this.#someCameLate = false;
    // Asking for a patch costs microtasks: with it, or without it again, branches come in another order.
    this.#orderIsLoose = this.#expected().some((slot) => slot.recorded.command.kind === 'patch');
    this.#order = [];
    this.#suspects = [];
  }

  /** All microtasks of the delivery have run; whatever comes now comes late. */
  endTurn(): void {
    this.#inTurn = false;
  }

  /** Whether all commands of this step have come. Patch markers may be missing: the call may have been removed. */
  get complete(): boolean {
    return this.#failure !== null || this.#next() === undefined;
  }

  /** Whether waiting is pointless: something else came in place of what is missing, and this code never was late. */
  get hopeless(): boolean {
    return this.#suspects.length > 0 && !this.#wasLate;
  }

  /** Resolves when the step is complete or has failed. */
  completed(): Promise<void> {
    if (this.complete) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** Patience is over: what is missing may be what is held, when there is no doubt which. */
  pairHeld(): void {
    const missing = this.#expected().filter(isMissing);
    for (const slot of missing) {
      const fitting = this.#held.filter(({ produced }) => fits(slot, produced));
      const rivals = missing.filter((other) => fitting.some(({ produced }) => fits(other, produced)));
      const [held] = fitting;
      if (fitting.length === 1 && rivals.length === 1 && held !== undefined) this.#release(held, slot);
    }
  }

  /** Ends a step. @throws {NondeterminismError} when a command is missing, or when code was reordered. */
  leave(): void {
    if (this.#failure !== null) throw this.#failure;
    const missing = this.#next();
    if (missing !== undefined) {
      const instead = this.#held.find(({ produced }) => fits(missing, produced)) ?? this.#suspects[0];
      throw this.#mismatch(missing.recorded, instead?.produced ?? null, instead?.location ?? null);
    }
    if (this.#someCameLate || this.#orderIsLoose) return;
    const inOrder = this.#order.map(({ index }) => index).sort((a, b) => a - b);
    for (const [position, { index, produced, location }] of this.#order.entries()) {
      const expected = inOrder[position] as number;
      if (index !== expected) throw this.#mismatch(this.#expected()[expected]?.recorded ?? null, produced, location);
    }
  }

  /** Everything recorded was fed; it is not needed any more. */
  finish(): void {
    this.#finished = true;
    for (const held of this.#held.splice(0)) held.placed('new');
    this.steps = [];
    this.#slots = [];
    this.#windows = [];
    this.#lateAhead = [];
    this.#byArguments.clear();
  }

  /**
   * Whether a marker for this patch stands at this point; 'new' where nothing is recorded. Anything else at a recorded
   * point means that the old code ran here. Replay does not wait for markers (their call may have been removed), so a
   * late call finds its marker in any late step, also in one behind it.
   */
  patched(name: string): boolean | 'new' {
    if (!this.replaying) return 'new';
    const here = this.#candidates();
    // What still has to come in this turn was recorded by code that did not ask: a marker further on is not this call's.
    const ownOnly = this.#inTurn && here.some(isMissing);
    const marker = (ownOnly ? here : [...here, ...this.#lateAhead]).find(
      (slot) => !slot.paired && slot.recorded.command.kind === 'patch' && slot.recorded.command.name === name,
    );
    if (marker !== undefined) {
      marker.paired = true;
      return true;
    }
    // Late, behind all that is recorded: this process came to it before the replay was over, no other one did.
    const isBehindAll = !this.#inTurn && this.#at === this.steps.length - 1 && !here.some(isMissing);
    if (this.#isOpen || isBehindAll) return 'new';
    this.#orderIsLoose = true;
    return false;
  }

  /**
   * @param placed Called later when the answer is 'held'.
   * @returns null when the command does not fit; {@link failure} says why. `locate` finds the source line, only then.
   */
  place(
    produced: Command,
    locate: () => string | null,
    placed: (placement: Placement) => void,
  ): Placement | 'held' | null {
    if (!this.replaying) return 'new';
    if (this.#failure !== null) return null;
    const slot = this.#find(produced, locate);
    if (slot === 'held') {
      this.#held.push({ produced, location: locate(), placed });
      return 'held';
    }
    if (slot === 'new') {
      if (!this.#isOpen) this.#suspects.push({ produced, location: locate() });
      return 'new';
    }
    if (slot === null) {
      this.#failure = this.#mismatch(this.#nextExpected()?.recorded ?? null, produced, locate());
      this.#waiting?.();
      return null;
    }
    this.#pair(slot);
    return slot.recorded;
  }

  #pair(slot: Slot): void {
    slot.paired = true;
    if (slot.late) this.#lateAhead = this.#lateAhead.filter((other) => other !== slot);
    for (const held of [...this.#held]) if (!this.#mayBe(held.produced)) this.#release(held, 'new');
    if (this.complete) this.#waiting?.();
  }

  #release(held: Held, slot: Slot | 'new'): void {
    this.#held = this.#held.filter((other) => other !== held);
    held.placed(slot === 'new' ? slot : slot.recorded);
    if (slot !== 'new') this.#pair(slot);
  }

  /** Whether a record that has not found its call yet could be this one's. */
  #mayBe(produced: Command): boolean {
    return [...this.#candidates(), ...this.#lateSlots()].some((slot) => !slot.paired && fits(slot, produced));
  }

  #find(produced: Command, locate: () => string | null): Slot | 'new' | 'held' | null {
    const isLateStep = this.steps[this.#at]?.event.kind === 'late';
    if (this.#inTurn && !isLateStep && !this.#orderIsLoose && this.#lateAhead.length === 0) {
      // Thousands of parallel calls come in the recorded order: none of them is searched for.
      const next = this.#next();
      if (next !== undefined && fits(next, produced)) {
        this.#order.push({ index: this.#come, produced, location: null });
        return next;
      }
    }
    const here = this.#candidates().filter((slot) => !slot.paired);
    const ahead = this.#lateSlots().filter((slot) => !slot.paired && fits(slot, produced));
    const next = here.find(isMissing);

    if (this.#inTurn && !isLateStep) {
      const exact = this.#orderIsLoose
        ? here.find((slot) => fits(slot, produced) && sameArguments(slot, produced))
        : undefined;
      if (exact !== undefined) return this.#take(exact, produced, locate);
      if (next !== undefined && fits(next, produced)) {
        if (ahead.length === 0 || sameArguments(next, produced)) return this.#take(next, produced, locate);
        const exact = ahead.filter((slot) => sameArguments(slot, produced));
        if (exact.length === 1) return exact[0] ?? null;
        // Arguments may be computed freely, so without a late twin of equal arguments the recorded order decides.
        return exact.length === 0 && ahead.every((slot) => !sameArguments(slot, produced))
          ? this.#take(next, produced, locate)
          : null;
      }
      const later = here.filter((slot) => fits(slot, produced));
      const unique =
        later.length > 0
          ? pairUniquely([...later, ...ahead], produced)
          : (ahead.find((slot) => sameArguments(slot, produced)) ?? null);
      if (unique !== null) return unique.late ? unique : this.#take(unique, produced, locate);
      const further = this.#further(produced);
      if (further !== null) this.#suspects.push({ produced, location: locate() });
      if (further !== null) return further;
      // Its import, its file is at hand at once here.
      if (ahead.length > 0 && later.length === 0) return 'held';
    } else {
      this.#someCameLate = true;
      const fitting = [...here, ...ahead].filter((slot) => fits(slot, produced));
      const exact = fitting.find((slot) => sameArguments(slot, produced));
      if (exact !== undefined) return exact;
      const further = this.#further(produced);
      if (further !== null) return further;
      if (closesThread(produced.kind)) return fitting[0] ?? 'new';
      if (fitting.length > 0) return 'held';
      // It stood under no event, so nothing depends on where it stands.
      return 'new';
    }
    return this.#at === this.steps.length - 1 || this.#isOpen ? 'new' : null;
  }

  /**
   * A command that live came late, but in the turn of somebody else's event, stands under that event. It is recognised
   * by its arguments, when only one of the later steps holds it.
   */
  #further(produced: Command): Slot | null {
    if (closesThread(produced.kind)) return null;
    let found: Slot | null = null;
    for (const slot of this.#byArguments.get(argumentsKey(produced)) ?? []) {
      if (slot.paired || slot.step <= this.#at) continue;
      if (found !== null) return null;
      found = slot;
    }
    return found;
  }

  #take(slot: Slot, produced: Command, locate: () => string | null): Slot {
    const index = this.#expected().indexOf(slot);
    // A source line costs a stack trace: taken only for a command that overtakes another.
    const overtakes = this.#expected().some((other, at) => at < index && !other.paired);
    if (index >= 0) this.#order.push({ index, produced, location: overtakes ? locate() : null });
    return slot;
  }

  get #isOpen(): boolean {
    return this.#windows[this.#at]?.open ?? false;
  }

  /** What must have come before this step can be left. */
  #expected(): Slot[] {
    return this.#slots[this.#at] ?? [];
  }

  /** The first of them that is missing. */
  #next(): Slot | undefined {
    const expected = this.#expected();
    let next = expected[this.#come];
    while (next !== undefined && !isMissing(next)) next = expected[++this.#come];
    return next;
  }

  /** What may come in this step, in order. */
  #candidates(): Slot[] {
    const own = this.#expected();
    const window = this.#windows[this.#at];
    return window === undefined || window === null ? own : [...own, ...window.slots];
  }

  #lateSlots(): Slot[] {
    return this.#lateAhead.filter((slot) => slot.step > this.#at);
  }

  #nextExpected(): Slot | undefined {
    return this.#candidates().find(isMissing);
  }

  #mismatch(recorded: RecordedCommand | null, produced: Command | null, location: string | null): NondeterminismError {
    return new NondeterminismError({
      entry: this.steps[Math.min(this.#at, this.steps.length - 1)]?.entry ?? 0,
      recorded: recorded === null ? null : describeCommand(recorded.command),
      produced:
        produced === null
          ? null
          : `${describeCommand(produced)}${sameName(recorded, produced) ? ' with other arguments' : ''}`,
      location,
    });
  }
}

/** How people read a command: `activity "charge"`. */
function describeCommand(command: Command): string {
  const words: Record<Command['kind'], string> = {
    activity: 'activity',
    timer: 'a sleep',
    wait: 'a condition',
    child: 'child workflow',
    hook: 'hook',
    signal: 'a signal',
    cancel: 'the cancelling of a scope',
    terminate: 'a terminate',
    marker: 'a marker',
    search: 'search',
    entity: 'entity',
    patch: 'patch',
    emit: 'an emitted event',
    trace: 'a trace',
    retry: 'a failed attempt',
    complete: 'the end of the workflow',
    fail: 'the failure of the workflow',
    continue: 'continueAsNew',
  };
  return command.name === '' ? words[command.kind] : `${words[command.kind]} "${command.name}"`;
}

/** Then only the arguments told them apart. */
function sameName(recorded: RecordedCommand | null, produced: Command): boolean {
  return recorded?.command.kind === produced.kind && recorded.command.name === produced.name;
}

/** Whether it must still come. A marker of a patch need not. */
function isMissing({ paired, recorded }: Slot): boolean {
  return !paired && recorded.command.kind !== 'patch';
}

function fits(slot: Slot, produced: Command): boolean {
  const { command } = slot.recorded;
  // How a run ends may depend on values that are not compared; its end is compared as such.
  if (closesThread(command.kind)) return closesThread(produced.kind);
  return command.kind === produced.kind && command.name === produced.name;
}

function sameArguments(slot: Slot, produced: Command): boolean {
  return slot.recorded.command.fingerprint === produced.fingerprint;
}

/** The only one that fits; or the first of those with equal arguments, which are interchangeable. */
function pairUniquely(candidates: readonly Slot[], produced: Command): Slot | null {
  if (candidates.length <= 1) return candidates[0] ?? null;
  return candidates.find((slot) => sameArguments(slot, produced)) ?? null;
}

/** `open`: the last of the retries is not recorded yet, so anything may be new. */
interface RetryWindow {
  readonly slots: readonly Slot[];
  readonly open: boolean;
}

/**
 * From the step where the function failed to the step of its retry, a fresh attempt may go on already. When that retry
 * failed in its very first step, the attempt behind it may go on as well, and so on: the windows chain.
 */
function retryWindows(steps: readonly RecordedStep[], slots: readonly Slot[][]): (RetryWindow | null)[] {
  const failures: { at: number; retry: number | null }[] = [];
  steps.forEach((step, index) => {
    const last = failures.at(-1);
    if (step.event.kind === 'retry' && last !== undefined) last.retry = index;
    if (step.commands.some(({ command }) => command.kind === 'retry')) failures.push({ at: index, retry: null });
  });
  const windows: (RetryWindow | null)[] = steps.map(() => null);
  let behind: { at: number; window: RetryWindow } | null = null;
  for (const { at, retry } of failures.reverse()) {
    const own = retry === null ? [] : (slots[retry] ?? []);
    const chained: RetryWindow | null = behind !== null && behind.at === retry ? behind.window : null;
    const window: RetryWindow = {
      slots: [...own, ...(chained?.slots ?? [])],
      open: retry === null || (chained?.open ?? false),
    };
    for (let step = at; step < (retry ?? steps.length); step++) windows[step] = window;
    behind = { at, window };
  }
  return windows;
}

function argumentsKey({ kind, name, fingerprint }: Command): string {
  return `${kind} ${fingerprint} ${name}`;
}
