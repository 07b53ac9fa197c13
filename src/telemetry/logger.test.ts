import { afterEach, describe, expect, it, vi } from 'vitest';
import { boundLogger, type Logger, loggerOf } from '../core/logger.js';
import { consoleLogger, resolveLogger } from './logger.js';

function written() {
  const spy = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  return () => spy.mock.calls.map(([text]) => String(text));
}

function heard() {
  const calls: unknown[][] = [];
  const at =
    (level: string) =>
    (...values: unknown[]) =>
      void calls.push([level, ...values]);
  const logger = { trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  return { calls, logger: logger as Logger };
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe('lines on stderr', () => {
  it('take fields and message, a message alone, an error, and values as util.format does', () => {
    const lines = written();
    const logger = consoleLogger('trace');
    logger.info({ taskQueue: 'q', n: 1, gone: undefined }, 'here');
    logger.warn('%s of %d', 'one', 2);
    logger.error(new Error('broken'));
    logger.debug({ big: 1n, err: new Error('why') }, 'odd');
    logger.trace({});
    expect(lines()).toEqual([
      'perdure info: here taskQueue="q" n=1 gone=undefined\n',
      'perdure warn: one of 2\n',
      'perdure error: broken err=broken\n',
      'perdure debug: odd big=1n err=why\n',
      'perdure trace: \n',
    ]);
  });

  it.each([
    ['silent', []],
    ['error', ['error']],
    ['warn', ['error', 'warn']],
    ['info', ['error', 'warn', 'info']],
    ['debug', ['error', 'warn', 'info', 'debug']],
    ['trace', ['error', 'warn', 'info', 'debug', 'trace']],
  ])('of level %s are %j', (level, said) => {
    const lines = written();
    const logger = resolveLogger('Worker.create', undefined, level);
    for (const at of ['error', 'warn', 'info', 'debug', 'trace'] as const) logger[at]('x');
    expect(lines()).toEqual(said.map((at) => `perdure ${at}: x\n`));
  });

  it('are of the level in the environment, else info; another word there is refused', () => {
    const lines = written();
    vi.stubEnv('HMSH_LOGLEVEL', 'warn');
    resolveLogger('Worker.create', null, undefined).info('x');
    resolveLogger('Worker.create', null, 'info').info('option wins');
    vi.stubEnv('HMSH_LOGLEVEL', '');
    resolveLogger('Worker.create', null, undefined).debug('x');
    resolveLogger('Worker.create', null, undefined).info('default');
    expect(lines()).toEqual(['perdure info: option wins\n', 'perdure info: default\n']);
    vi.stubEnv('HMSH_LOGLEVEL', 'loud');
    expect(() => resolveLogger('Client', undefined, undefined)).toThrow(
      /^Client: the environment's HMSH_LOGLEVEL must be silent, error, .*; got "loud"/,
    );
  });
});

describe('a logger of the user', () => {
  it('is called as pino is, and decides by itself what is said unless a level is given', () => {
    vi.stubEnv('HMSH_LOGLEVEL', 'silent');
    const { calls, logger } = heard();
    const to = resolveLogger('Client', logger, undefined);
    to.debug({ a: 1 }, 'x %d', 2);
    to.trace('only words');
    to.warn({ b: 2 });
    resolveLogger('Client', logger, 'error').warn('not said');
    expect(calls).toEqual([
      ['debug', { a: 1 }, 'x %d', 2],
      ['trace', {}, 'only words'],
      ['warn', { b: 2 }],
    ]);
  });

  it('may be console, and may throw', () => {
    const info = vi.spyOn(console, 'info').mockImplementation(() => {
      throw new Error('EPIPE');
    });
    resolveLogger('Client', console, undefined).info({ a: 1 }, 'x');
    expect(info).toHaveBeenCalledWith({ a: 1 }, 'x');
  });

  it.each([
    [
      { info() {}, error() {}, warn() {} },
      /^Client: logger must be an object with the methods .*got an object.*no method debug$/,
    ],
    ['stdout', /^Client: logger must be an object with the methods .*no method error$/],
  ])('is refused when it is none: %s', (given, message) => {
    expect(() => resolveLogger('Client', given, undefined)).toThrow(message);
  });

  it('keeps what is bound to it, unless a message says otherwise', () => {
    const said: unknown[] = [];
    const to = loggerOf((level, fields, message, values) => void said.push([level, fields, message, values]));
    const bound = boundLogger(to, { id: 'a', n: 1 });
    bound.info({ n: 2 }, 'x');
    bound.error('y', 3);
    expect(said).toEqual([
      ['info', { id: 'a', n: 2 }, 'x', []],
      ['error', { id: 'a', n: 1 }, 'y', [3]],
    ]);
  });
});
