/**
 * Random workflow functions: a tree of durable calls and of the JavaScript around them, and its interpreter, which is an
 * ordinary async function. What it calls is given to it: the engine, or plain promises (simulated-oracle.ts).
 *
 * Each call has a *path*, its place in the tree with the turns of loops, which is the same in every execution. Everything
 * a program sees goes into its log in the order in which it sees it, and a digest of the log into the arguments of each
 * call: two executions with the same commands and arguments have seen the same, in the same order.
 */

import fc from 'fast-check';
import { DurableFatalError } from '../../src/core/errors.js';
import { fingerprint } from '../../src/core/fingerprint.js';
import type { ParentClosePolicy } from '../../src/core/start-terms.js';

export type Combinator = 'all' | 'race' | 'any' | 'allSettled';

export type Node =
  /** `turns`: macrotask turns of something not durable that are awaited before the call. */
  | { readonly do: 'activity'; readonly fails: boolean; readonly turns: number }
  | { readonly do: 'sleep'; readonly ms: number; readonly turns: number }
  | { readonly do: 'condition'; readonly signal: number; readonly timeoutMs: number | null }
  | { readonly do: 'signal'; readonly signal: number }
  /** Adds its path to a list in the entity document, which the store answers with. */
  | { readonly do: 'append' }
  /** `taken`: with a workflow id that other calls ask for too. */
  | { readonly do: 'child'; readonly fails: boolean; readonly taken: boolean; readonly turns: number }
  | { readonly do: 'startChild'; readonly taken: boolean }
  /** A function that runs beside this one, in the same run; `answers`: it sends the signal that is awaited. */
  | { readonly do: 'hook'; readonly awaited: boolean; readonly answers: boolean; readonly body: Node }
  /** A workflow of its own. */
  | { readonly do: 'spawn'; readonly awaited: boolean; readonly policy: ParentClosePolicy; readonly body: Node }
  /** Counts in a search field that the threads of a run share. */
  | { readonly do: 'count' }
  | { readonly do: 'emit' }
  /** Ends the workflow of this id, which may be its own. */
  | { readonly do: 'end'; readonly whom: string; readonly descend: boolean }
  | { readonly do: 'draw'; readonly what: 'random' | 'uuid4' | 'now' }
  | { readonly do: 'patched'; readonly change: string; readonly newly: Node; readonly formerly: Node }
  | { readonly do: 'sequence'; readonly steps: readonly Node[] }
  | { readonly do: 'together'; readonly how: Combinator; readonly branches: readonly Node[] }
  | { readonly do: 'try'; readonly body: Node; readonly caught: Node | null; readonly cleanup: Node | null }
  | { readonly do: 'loop'; readonly times: number; readonly body: Node }
  | { readonly do: 'helper'; readonly depth: number; readonly body: Node }
  | { readonly do: 'generate'; readonly items: readonly Node[] }
  | { readonly do: 'shield'; readonly body: Node }
  | { readonly do: 'scope'; readonly body: Node }
  | { readonly do: 'limit'; readonly ms: number; readonly body: Node }
  /** The innermost scope, or the one around it; where there is none, the workflow itself. */
  | { readonly do: 'cancelScope'; readonly outer: boolean }
  | { readonly do: 'unawaited'; readonly body: Node }
  | { readonly do: 'choose'; readonly even: Node; readonly odd: Node }
  | { readonly do: 'throw'; readonly final: boolean }
  /** Throws in the first `attempts` attempts of the function, where nothing catches it. */
  | { readonly do: 'flaky'; readonly attempts: number };

/** What a hook or a workflow of its own is asked to do: its first argument. */
export interface Task {
  readonly body: Node;
  readonly path: string;
  /** How often it continues as new. */
  readonly continues: number;
  readonly answers: boolean;
}

/** Code that a thread runs. */
export interface Code {
  readonly maximumAttempts: number;
  perform(calls: Calls): Promise<unknown>;
}

export interface Program {
  readonly body: Node;
  readonly maximumAttempts: number;
  readonly continues: boolean;
  /** Somebody asks to cancel it. */
  readonly cancel: boolean;
}

// ---- what a program calls

export interface Calls {
  readonly attempt: number;
  activity(name: string, args: readonly unknown[], path: string): Promise<unknown>;
  sleep(ms: number, path: string): Promise<unknown>;
  condition(id: string, timeoutMs: number | null, path: string): Promise<unknown>;
  signal(id: string, data: unknown, path: string): Promise<unknown>;
  append(item: string, path: string): Promise<unknown>;
  child(name: string, args: readonly unknown[], workflowId: string | undefined, path: string): Promise<unknown>;
  startChild(name: string, args: readonly unknown[], workflowId: string | undefined, path: string): Promise<unknown>;
  hook(task: Task, awaited: boolean, path: string): Promise<unknown>;
  spawn(task: Task, awaited: boolean, policy: ParentClosePolicy, path: string): Promise<unknown>;
  count(path: string): Promise<unknown>;
  emit(path: string): Promise<unknown>;
  end(whom: string, descend: boolean, path: string): Promise<unknown>;
  continueAsNew(args: readonly unknown[]): Promise<never>;
  patched(change: string, path: string): Promise<boolean>;
  draw(what: 'random' | 'uuid4' | 'now', path: string): unknown;
  shield<T>(run: () => Promise<T>): Promise<T>;
  scope<T>(run: () => Promise<T>): Promise<T>;
  limit<T>(ms: number, run: () => Promise<T>, path: string): Promise<T>;
  cancelScope(outer: boolean): void;
  /** Awaits something that is not durable, for about so many macrotask turns. */
  turns(count: number): Promise<void>;
}

/** The activity, child or timer that stands at a path is told apart by its arguments, which begin with these. */
export type CallArguments = [path: string, seen: number, fails: boolean];

/** What an activity or child of these arguments gives. */
export function answerTo(args: CallArguments): string {
  return `of ${args[0]}`;
}

export const TAKEN_ID = 'taken';

export function signalId(signal: number): string {
  return `signal-${signal}`;
}

// ---- the interpreter

/** Runs the program; what it returns tells all it has seen. */
export async function perform(program: Program, calls: Calls): Promise<unknown> {
  const execution = new Execution(calls);
  const value = await execution.run(program.body, 'm');
  if (program.continues) await calls.continueAsNew([value, execution.seen]);
  return { value, log: execution.log };
}

export function codeOf(program: Program): Code {
  return { maximumAttempts: program.maximumAttempts, perform: (calls) => perform(program, calls) };
}

/** Runs what a hook or a workflow was asked to do. @param signal What whoever opened the hook awaits. */
export async function performTask(task: Task, signal: string | null, calls: Calls): Promise<unknown> {
  const execution = new Execution(calls);
  const value = await execution.run(task.body, task.path);
  if (signal !== null && task.answers) await calls.signal(signal, [task.path, execution.seen], `${task.path}#answer`);
  if (task.continues > 0)
    await calls.continueAsNew([{ ...task, continues: task.continues - 1, path: `${task.path}~` }]);
  return { seen: execution.seen, value, log: execution.log };
}

class Execution {
  readonly log: string[] = [];
  seen = 0;
  readonly #calls: Calls;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  #note(text: string): void {
    this.log.push(text);
    this.seen = fingerprint(`${this.seen} ${text}`);
  }

  async run(node: Node, path: string): Promise<string> {
    switch (node.do) {
      case 'activity':
      case 'child': {
        // What a late call has seen depends on when it comes. Equal names then need arguments that do not.
        const args: CallArguments = [path, node.turns > 0 ? 0 : this.seen, node.fails];
        if (node.turns > 0) await this.#calls.turns(node.turns);
        const name = `${node.do}-${Math.abs(fingerprint(path)) % 3}`;
        const answer = await this.#told(path, () =>
          node.do === 'activity'
            ? this.#calls.activity(name, args, path)
            : this.#calls.child(name, args, node.taken ? TAKEN_ID : undefined, path),
        );
        if (answer !== answerTo(args)) throw new DurableFatalError(`${path} was told what ${String(answer)}`);
        return path;
      }
      case 'sleep':
        if (node.turns > 0) await this.#calls.turns(node.turns);
        return String(await this.#told(path, () => this.#calls.sleep(node.ms, path)));
      case 'condition':
        return JSON.stringify(
          await this.#told(path, () => this.#calls.condition(signalId(node.signal), node.timeoutMs, path)),
        );
      case 'signal':
        return String(await this.#told(path, () => this.#calls.signal(signalId(node.signal), [path, this.seen], path)));
      case 'append':
        return JSON.stringify(await this.#told(path, () => this.#calls.append(path, path)));
      case 'startChild': {
        const args: CallArguments = [path, this.seen, false];
        const start = () => this.#calls.startChild('started', args, node.taken ? TAKEN_ID : undefined, path);
        return String(await this.#told(path, start));
      }
      case 'hook': {
        const task: Task = { body: node.body, path: `${path}k`, continues: 0, answers: node.answers };
        return JSON.stringify(await this.#told(path, () => this.#calls.hook(task, node.awaited, path))) ?? '';
      }
      case 'spawn': {
        const task: Task = { body: node.body, path: `${path}w`, continues: 0, answers: false };
        return String(
          await this.#told(path, async () => {
            const told = await this.#calls.spawn(task, node.awaited, node.policy, path);
            return node.awaited ? (told as { seen: number }).seen : told;
          }),
        );
      }
      case 'count':
        return String(await this.#told(path, () => this.#calls.count(path)));
      case 'emit':
        return String(await this.#told(path, () => this.#calls.emit(path)));
      case 'end':
        return String(await this.#told(path, () => this.#calls.end(node.whom, node.descend, path)));
      case 'draw': {
        const drawn = JSON.stringify(this.#calls.draw(node.what, path));
        this.#note(`${path} drew ${drawn}`);
        return drawn;
      }
      case 'patched': {
        const newly = await this.#calls.patched(node.change, path);
        this.#note(`${path} ${newly ? 'newly' : 'formerly'}`);
        return this.run(newly ? node.newly : node.formerly, `${path}${newly ? '+' : '-'}`);
      }
      case 'sequence': {
        let value = '';
        for (const [index, step] of node.steps.entries()) value += await this.run(step, `${path}.${index}`);
        return value;
      }
      case 'together':
        return this.#together(node.how, node.branches, path);
      case 'try':
        return this.#try(node, path);
      case 'loop': {
        let value = '';
        for (let n = 0; n < node.times; n++) value += await this.run(node.body, `${path}*${n}`);
        return value;
      }
      case 'helper':
        return this.#helper(node.depth, node.body, path);
      case 'generate': {
        let value = '';
        for await (const item of this.#generate(node.items, path)) value += item;
        return value;
      }
      case 'shield':
        return this.#calls.shield(() => this.run(node.body, `${path}s`));
      case 'scope':
        return this.#calls.scope(() => this.run(node.body, `${path}o`));
      case 'limit':
        return this.#calls.limit(node.ms, () => this.run(node.body, `${path}l`), path);
      case 'cancelScope':
        this.#note(`${path} cancels`);
        this.#calls.cancelScope(node.outer);
        return '';
      case 'unawaited':
        this.run(node.body, `${path}u`).catch(() => {});
        return '';
      case 'choose':
        return this.run(this.seen % 2 === 0 ? node.even : node.odd, `${path}?`);
      case 'throw':
        throw node.final ? new DurableFatalError(`thrown for good at ${path}`) : new Error(`thrown at ${path}`);
      case 'flaky':
        if (this.#calls.attempt <= node.attempts) throw new Flaw(`flaky at ${path}`);
        return '';
    }
  }

  /** What a call gave or threw goes into the log. */
  async #told(path: string, call: () => Promise<unknown>): Promise<unknown> {
    try {
      const value = await call();
      this.#note(`${path} = ${JSON.stringify(value)}`);
      return value;
    } catch (error) {
      this.#note(`${path} ! ${textOf(error)}`);
      throw error;
    }
  }

  async #together(how: Combinator, branches: readonly Node[], path: string): Promise<string> {
    const running = branches.map((branch, index) => this.run(branch, `${path}|${index}`));
    try {
      const value = await combined(how, running);
      this.#note(`${path} ${how}`);
      return value;
    } catch (error) {
      // Calls beside it would tell of a flaw that is gone in the next attempt.
      if (!(error instanceof Flaw)) this.#note(`${path} ${how} ! ${textOf(error)}`);
      throw error;
    }
  }

  async #try(node: Extract<Node, { do: 'try' }>, path: string): Promise<string> {
    try {
      return await this.run(node.body, `${path}t`);
    } catch (error) {
      this.#note(`${path} caught ${textOf(error)}`);
      if (node.caught === null) throw error;
      return await this.run(node.caught, `${path}c`);
    } finally {
      if (node.cleanup !== null) await this.run(node.cleanup, `${path}f`);
    }
  }

  async #helper(depth: number, body: Node, path: string): Promise<string> {
    return depth === 0 ? this.run(body, `${path}h`) : await this.#helper(depth - 1, body, path);
  }

  async *#generate(items: readonly Node[], path: string): AsyncGenerator<string> {
    for (const [index, item] of items.entries()) yield await this.run(item, `${path}y${index}`);
  }
}

/** What passes by itself. */
class Flaw extends Error {}

async function combined(how: Combinator, running: readonly Promise<string>[]): Promise<string> {
  switch (how) {
    case 'all':
      return (await Promise.all(running)).join();
    case 'race':
      return await Promise.race(running);
    case 'any':
      return await Promise.any(running);
    case 'allSettled': {
      const settled = await Promise.allSettled(running);
      return settled.map((one) => (one.status === 'fulfilled' ? one.value : textOf(one.reason))).join();
    }
  }
}

export function textOf(error: unknown): string {
  if (error instanceof AggregateError) return `${error.message}: ${error.errors.map(textOf).join()}`;
  return error instanceof Error ? error.message : String(error);
}

// ---- the generator

export interface ProgramShape {
  /** With awaits that are not durable. */
  readonly turns: boolean;
  /** With calls that only a store of many workflows can answer. */
  readonly many?: boolean;
}

const nothing: Node = { do: 'sequence', steps: [] };

function nodes({ turns, many = false }: ProgramShape): fc.Arbitrary<Node> {
  const turnsBefore = turns
    ? fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 12 }))
    : fc.constant(0);
  const fails = fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true));
  const taken = fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true));
  const signal = fc.integer({ min: 0, max: 2 });
  const ms = fc.integer({ min: 1, max: 40 }).map((tens) => tens * 10);

  const activity = fc.record({ do: fc.constant('activity' as const), fails, turns: turnsBefore });
  // What may have to wait for its turns is told apart by its arguments; a sleep has only its length.
  const sleep = fc.record({ do: fc.constant('sleep' as const), ms, turns: fc.constant(0) });
  const condition = fc.record({
    do: fc.constant('condition' as const),
    signal,
    timeoutMs: fc.oneof(fc.constant(null), ms),
  });
  const child = fc.record({ do: fc.constant('child' as const), fails, taken, turns: turnsBefore });
  const calls: fc.WeightedArbitrary<Node>[] = [
    { weight: 6, arbitrary: activity },
    { weight: 2, arbitrary: sleep },
    { weight: 2, arbitrary: condition },
    { weight: 1, arbitrary: child },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('signal' as const), signal }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('append' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('startChild' as const), taken }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('draw' as const),
        what: fc.constantFrom('random' as const, 'uuid4' as const, 'now' as const),
      }),
    },
    {
      weight: turns ? 0 : 2,
      arbitrary: fc.record({ do: fc.constant('cancelScope' as const), outer: fc.boolean() }),
    },
    { weight: many ? 1 : 0, arbitrary: fc.record({ do: fc.constant('count' as const) }) },
    { weight: many ? 1 : 0, arbitrary: fc.record({ do: fc.constant('emit' as const) }) },
    {
      weight: many ? 1 : 0,
      arbitrary: fc.record({
        do: fc.constant('end' as const),
        whom: fc.constantFrom(...ROOTS, TAKEN_ID, 'nobody'),
        descend: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('throw' as const), final: fc.boolean() }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('flaky' as const), attempts: fc.integer({ min: 1, max: 3 }) }),
    },
  ];
  const leaf = fc.oneof(...calls) as fc.Arbitrary<Node>;

  const { node } = fc.letrec<{ node: Node; nodes: Node[] }>((tie) => ({
    nodes: fc.array(tie('node'), { minLength: 1, maxLength: 4, depthIdentifier: 'program' }),
    node: fc.oneof(
      { depthSize: 'small', maxDepth: 4, depthIdentifier: 'program' },
      { weight: 6, arbitrary: leaf },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('sequence' as const), steps: tie('nodes') }) },
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constant('together' as const),
          how: fc.constantFrom<Combinator>('all', 'all', 'race', 'any', 'allSettled'),
          branches: tie('nodes'),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('try' as const),
          body: tie('node'),
          caught: fc.option(tie('node'), { depthIdentifier: 'program' }),
          cleanup: fc.option(tie('node'), { depthIdentifier: 'program' }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant('loop' as const),
          times: fc.integer({ min: 1, max: 3 }),
          body: tie('node'),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant('helper' as const),
          depth: fc.integer({ min: 0, max: 3 }),
          body: tie('node'),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('generate' as const), items: tie('nodes') }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('unawaited' as const), body: tie('node') }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('choose' as const), even: tie('node'), odd: tie('node') }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('shield' as const), body: tie('node') }) },
      {
        weight: many ? 4 : 0,
        arbitrary: fc.record({
          do: fc.constant('hook' as const),
          awaited: fc.boolean(),
          answers: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)),
          body: tie('node'),
        }),
      },
      {
        weight: many ? 3 : 0,
        arbitrary: fc.record({
          do: fc.constant('spawn' as const),
          awaited: fc.boolean(),
          policy: fc.constantFrom<ParentClosePolicy>('ABANDON', 'TERMINATE', 'REQUEST_CANCEL'),
          body: tie('node'),
        }),
      },
      // Known limit: what late code cancels may be cancelled earlier or later in a replay.
      { weight: turns ? 0 : 2, arbitrary: fc.record({ do: fc.constant('scope' as const), body: tie('node') }) },
      { weight: turns ? 0 : 1, arbitrary: fc.record({ do: fc.constant('limit' as const), ms, body: tie('node') }) },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant('patched' as const),
          change: fc.constantFrom('first', 'second'),
          newly: tie('node'),
          formerly: tie('node'),
        }),
      },
    ) as fc.Arbitrary<Node>,
  }));
  return node;
}

/** Programs of a few to some dozen calls. */
export function programs(shape: ProgramShape): fc.Arbitrary<Program> {
  return fc
    .record({
      body: fc.array(nodes(shape), { minLength: 1, maxLength: 4 }),
      maximumAttempts: fc.integer({ min: 0, max: 3 }),
      continues: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
      cancel: fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, fc.constant(true)),
    })
    .map(({ body: steps, ...program }) => ({ ...program, body: withoutGuardedFlaws({ do: 'sequence', steps }, false) }))
    .filter((program) => !hasTurns(program) || !program.cancel || !hasUncancellable(program));
}

/** Workflows that somebody starts: their ids. */
export const ROOTS = ['flow-0', 'flow-1', 'flow-2'] as const;

export interface Root {
  readonly task: Task;
  readonly maximumAttempts: number;
}

/** One to three workflows beside each other. */
export function fleets(): fc.Arbitrary<readonly Root[]> {
  const root = programs({ turns: false, many: true }).map(
    ({ body, maximumAttempts, continues }): Root => ({
      task: { body, path: 'm', continues: continues ? 1 : 0, answers: false },
      maximumAttempts,
    }),
  );
  return fc.array(root, { minLength: 1, maxLength: ROOTS.length });
}

/** Whether it makes calls at times of its own. */
export function hasTurns({ body }: Program): boolean {
  return /"turns":[1-9]/.test(JSON.stringify(body));
}

/**
 * Cancelling reaches "the next cancellable call" when nothing that is pending can be cancelled: with code that makes calls at
 * times of its own it is open which that is.
 */
function hasUncancellable({ body }: Program): boolean {
  return /"do":"(signal|append|startChild|shield)"/.test(JSON.stringify(body));
}

/**
 * A flaw that passes by itself must end the attempt. Caught, it would be code that does something else each time it runs,
 * which no engine that replays can carry on.
 */
function withoutGuardedFlaws(node: Node, guarded: boolean): Node {
  const within = (inner: Node) => withoutGuardedFlaws(inner, guarded);
  const under = (inner: Node) => withoutGuardedFlaws(inner, true);
  switch (node.do) {
    case 'flaky':
      return guarded ? nothing : node;
    case 'sequence':
      return { ...node, steps: node.steps.map(within) };
    case 'together':
      return { ...node, branches: node.branches.map(node.how === 'all' ? within : under) };
    case 'try':
      return {
        ...node,
        body: under(node.body),
        caught: node.caught && (node.cleanup ? under : within)(node.caught),
        cleanup: node.cleanup && within(node.cleanup),
      };
    case 'loop':
    case 'helper':
    case 'shield':
    case 'scope':
    case 'limit':
      return { ...node, body: within(node.body) };
    case 'unawaited':
    case 'hook':
    case 'spawn':
      return { ...node, body: under(node.body) };
    case 'generate':
      return { ...node, items: node.items.map(within) };
    case 'choose':
      return { ...node, even: within(node.even), odd: within(node.odd) };
    case 'patched':
      return { ...node, newly: within(node.newly), formerly: within(node.formerly) };
    default:
      return node;
  }
}
