import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from './errors.js';
import { nearestName, unknownOption } from './nearest.js';

const known = ['workflowId', 'workflowName', 'taskQueue', 'maximumAttempts', 'args', 'expire'];

describe('nearestName', () => {
  it.each([
    ['workflowID', 'workflowId'],
    ['workflow_name', 'workflowName'],
    ['TASKQUEUE', 'taskQueue'],
    ['maxAttempts', 'maximumAttempts'],
    ['arg', 'args'],
    ['expires', 'expire'],
    ['exipre', 'expire'],
  ])('of %s is %s', (name, nearest) => {
    expect(nearestName(name, known)).toBe(nearest);
  });

  it.each(['', 'retries', 'x', 'namespace', 'x'.repeat(1_000_000)])('of %s is none', (name) => {
    expect(nearestName(name, known)).toBeUndefined();
  });
});

describe('unknownOption', () => {
  it('asks for the nearest name', () => {
    const error = unknownOption('start', 'workflowID', known);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(error.message).toBe('start: unknown option "workflowID"; did you mean "workflowId"?');
    expect(unknownOption('start', 'maxAttempts', known, 'config').message).toBe(
      'start: unknown option "config.maxAttempts"; did you mean "config.maximumAttempts"?',
    );
  });

  it('lists what is known when none is near', () => {
    expect(unknownOption('sleep', 'colour', ['duration', 'until']).message).toBe(
      'sleep: unknown option "colour"; known are duration, until',
    );
  });

  it('escapes and cuts the key', () => {
    expect(unknownOption('start', `\n${'x'.repeat(1_000)}`, []).message.length).toBeLessThan(200);
  });
});
