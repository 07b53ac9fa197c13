import { encodeFailure } from '../codec/failure-text.js';
import { encodePayload, encodeValue } from '../codec/payload.js';
import type { Seal } from '../codec/payload-codec.js';
import { decodeTaskToken, type TaskToken } from '../codec/task-token.js';
import { ActivityNotFoundError, CancelledFailure } from '../core/errors.js';
import { failureFromError, isRetryable, nextRetryDelayMs } from '../core/failure.js';
import { retryDelayMs } from '../core/retry-policy.js';
import { randomNumber } from '../postgres/protocol/commit.js';
import type { TaskAnswer } from '../postgres/protocol/tasks.js';
import type { Link } from './link.js';

/** An activity that is only just becoming a task is asked for again after this. */
const EARLY_PAUSE_MS = 25;
const EARLY_AT_MOST_MS = 30_000;

/**
 * `client.activity`: answers activities from outside, by the task token that `Durable.activity.getContext().taskToken` gave
 * out, in whatever process and however much later. The token knows its namespace.
 *
 * A call whose answer was lost is recognised when the client sends it again by itself. A second call is one of its own:
 * the outcome that came first counts, and the second is told.
 *
 * @example
 * // in the activity
 * await desk.ask(question, Durable.activity.getContext().taskToken);
 * throw new Durable.activity.CompleteAsyncError();
 * // anywhere, later
 * await client.activity.complete(taskToken, answer);
 */
export class ActivityCompletion {
  readonly #link: (namespace: string) => Promise<Link>;
  readonly #seal: Seal;

  /** @param link The way to a namespace. */
  constructor(link: (namespace: string) => Promise<Link>, seal: Seal) {
    this.#link = link;
    this.#seal = seal;
  }

  /**
   * The activity's result. Resolves when it is durable.
   *
   * @throws {InvalidArgumentError} for what is no task token; {PayloadError} for what cannot be stored.
   * @throws {ActivityNotFoundError} when nothing waits for it any more: `reason` says why.
   */
  async complete(taskToken: string, result?: unknown): Promise<void> {
    const token = decodeTaskToken('activity.complete', taskToken);
    await this.#send(token, { kind: 'done', payload: this.#seal.seal(encodePayload(result, 'result')), delayMs: 0 });
  }

  /**
   * The attempt failed. Retried by the policy of the call, as if the activity had thrown the error. Otherwise as
   * {@link complete}.
   */
  async fail(taskToken: string, error: unknown): Promise<void> {
    const token = decodeTaskToken('activity.fail', taskToken);
    const delayMs = retryInMs(token, error);
    const payload = encodeFailure(failureFromError(error), this.#seal);
    await this.#send(token, { kind: delayMs === null ? 'fail' : 'retry', payload, delayMs: delayMs ?? 0 });
  }

  /**
   * The work outside is alive; counts as a heartbeat of the attempt. Otherwise as {@link complete}: whoever does the work
   * learns by an ActivityNotFoundError that nobody waits for it any more, because the workflow was cancelled, for example.
   *
   * @param details A JSON value that the next attempt finds as `heartbeatDetails`. Without it those before stay.
   */
  async heartbeat(taskToken: string, details?: unknown): Promise<void> {
    const token = decodeTaskToken('activity.heartbeat', taskToken);
    await this.#send(token, {
      kind: 'heartbeat',
      payload: this.#seal.seal(encodePayload(details, 'details')),
      delayMs: 0,
    });
  }

  /**
   * The work outside was cancelled: the activity fails for good with a CancelledFailure as the cause. Does nothing when
   * nobody waits for it any more, as is usual when its workflow was cancelled.
   */
  async reportCancellation(taskToken: string, details?: unknown): Promise<void> {
    const token = decodeTaskToken('activity.reportCancellation', taskToken);
    const error = new CancelledFailure('the activity was cancelled outside');
    if (details !== undefined) Object.assign(error, { details: JSON.parse(encodeValue(details, 'details') ?? 'null') });
    try {
      await this.#send(token, {
        kind: 'fail',
        payload: encodeFailure(failureFromError(error), this.#seal),
        delayMs: 0,
      });
    } catch (refused) {
      if (!(refused instanceof ActivityNotFoundError) || refused.reason === 'unknown') throw refused;
    }
  }

  async #send(token: TaskToken, answer: Pick<TaskAnswer, 'kind' | 'payload' | 'delayMs'>): Promise<void> {
    const { namespace, threadNo, op, attempt, seed } = token;
    const link = await this.#link(namespace);
    const item = { ...answer, threadNo, op, attempt, runRequest: Number(seed), requestNo: randomNumber() };
    const deadline = performance.now() + EARLY_AT_MOST_MS;
    let status = await link.answerTask(item);
    while (status === 'early' && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, EARLY_PAUSE_MS));
      status = await link.answerTask(item);
    }
    switch (status) {
      case 'done':
        return;
      case 'finished':
        throw new ActivityNotFoundError(
          'the activity has its outcome already, or its workflow does not wait for it any more',
          status,
        );
      case 'superseded':
        throw new ActivityNotFoundError(
          `attempt ${attempt} of the activity was given up, and a later one made`,
          status,
        );
      case 'early':
        throw new ActivityNotFoundError('the activity waits for its worker, which is away. Try again later', 'unknown');
      default:
        throw new ActivityNotFoundError('no activity was called under this task token', 'unknown');
    }
  }
}

/** When the next attempt is due; null when this failure is final. */
function retryInMs({ attempt, retry }: TaskToken, error: unknown): number | null {
  if (attempt > retry.maximumAttempts || !isRetryable(error, retry.nonRetryableErrorTypes)) return null;
  return nextRetryDelayMs(error) ?? retryDelayMs({ ...retry, throwOnError: true }, attempt);
}
