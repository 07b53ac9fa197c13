import { InvalidArgumentError } from '../core/errors.js';

/**
 * Refused: a workflow has no engine object. What it reads or does through one would not be recorded, so a replay would see
 * something else.
 *
 * @throws {InvalidArgumentError} always; says what to use instead.
 */
export function getHotMesh(): never {
  throw new InvalidArgumentError(
    'getHotMesh: a workflow has no engine object, since what it read there would differ in a replay. Use the calls of ' +
      'Durable.workflow (terminate, signal, emit, search), or client.getHotMeshClient() in an activity',
  );
}
