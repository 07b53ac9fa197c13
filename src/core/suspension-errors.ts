/**
 * Classes that other engines of this API throw to suspend a workflow. Perdure throws nothing to suspend; they exist so
 * that programs which name them (`error instanceof DurableSleepError`) go on compiling and running.
 */
import { markErrorClass, PerdureError } from './branded-error.js';

/** Base of the suspensions. `instanceof SuspensionError` is what "control flow of the engine" means. */
export abstract class SuspensionError extends PerdureError {
  static {
    markErrorClass(this, 'SuspensionError');
  }
}

/** Never thrown. */
export class DurableSleepError extends SuspensionError {
  readonly code = 588;
  static {
    markErrorClass(this, 'DurableSleepError');
  }
}

/** Never thrown. */
export class DurableWaitForAllError extends SuspensionError {
  readonly code = 589;
  static {
    markErrorClass(this, 'DurableWaitForAllError');
  }
}

/** Never thrown. */
export class DurableChildError extends SuspensionError {
  readonly code = 590;
  static {
    markErrorClass(this, 'DurableChildError');
  }
}

/** Never thrown. */
export class DurableProxyError extends SuspensionError {
  readonly code = 591;
  static {
    markErrorClass(this, 'DurableProxyError');
  }
}

/** Never thrown. */
export class DurableContinueAsNewError extends SuspensionError {
  readonly code = 592;
  static {
    markErrorClass(this, 'DurableContinueAsNewError');
  }
}

/** Never thrown. */
export class DurableWaitForError extends SuspensionError {
  readonly code = 595;
  static {
    markErrorClass(this, 'DurableWaitForError');
  }
}
