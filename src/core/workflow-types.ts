/** What the type of a workflow function says about the calls that start it. */

// biome-ignore lint/suspicious/noExplicitAny: what functions of every signature are assignable to
type AnyWorkflow = (...args: any[]) => unknown;

/** The arguments of the workflow function `W`; any where `W` is the type of a result. */
export type WorkflowArguments<W> = W extends AnyWorkflow ? readonly [...Parameters<W>] : readonly unknown[];

/** What a workflow comes to: the result of the function `W`, or `W` itself where that is the type of a result. */
export type WorkflowResult<W> = W extends AnyWorkflow ? Awaited<ReturnType<W>> : W;
