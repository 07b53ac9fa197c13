/**
 * The microtasks that follow from deliveries to live executions. While they run, code can only be on the move because of
 * an execution that was just given something: one that was given nothing was woken by another one.
 */
export const drain = { running: false };
