import { describe, expect, it } from 'vitest';
import { mayPass, reactionTo } from './reaction.js';

const sqlError = (code: string, routine?: string) =>
  Object.assign(new Error('said the server'), { code, severity: 'ERROR', routine });
const socketError = (code: string) => Object.assign(new Error(code), { code });

describe('a lane', () => {
  it.each([
    ['a reset socket', socketError('ECONNRESET')],
    ['a broken pipe, whose code looks like a SQLSTATE', socketError('EPIPE')],
    ['a client that lost its connection', new Error('Connection terminated unexpectedly')],
    ['a connection exception', sqlError('08006')],
    ['a backend ended by an administrator', sqlError('57P01')],
    ['a server that starts up', sqlError('57P03')],
    ['a primary that became a standby', sqlError('25006')],
    ['a prepared plan whose result type changed', sqlError('0A000', 'RevalidateCachedQuery')],
  ])('connects anew after %s', (_what, error) => expect(reactionTo(error)).toBe('reconnect'));

  it.each(['40001', '40P01', '53100', '53300', '57014', '58030'])('repeats after %s', (code) => {
    expect(reactionTo(sqlError(code))).toBe('repeat');
  });

  it('repeats a commit that met itself, and leaves any other unique violation to the caller', () => {
    expect(reactionTo(Object.assign(sqlError('23505'), { constraint: 'history_pkey' }))).toBe('repeat');
    expect(reactionTo(Object.assign(sqlError('23505'), { constraint: 'worker_pkey' }))).toBe('throw');
  });

  it.each(['42P05', '26000'])('gives up statement names after %s', (code) => {
    expect(reactionTo(sqlError(code))).toBe('unprepare');
  });

  it.each(['XX000', 'XX001', '58000', '58P01'])('repeats some times after %s', (code) => {
    expect(reactionTo(sqlError(code))).toBe('retry');
  });

  it.each(['55P03', '23505', '22P02', '42501', '0A000', 'PD001', 'PD409'])('leaves %s to the caller', (code) => {
    expect(reactionTo(sqlError(code))).toBe('throw');
  });
});

describe('connecting', () => {
  it.each([
    socketError('ECONNREFUSED'),
    socketError('ENOTFOUND'),
    sqlError('53300'),
    sqlError('57P03'),
    new Error('no answer within 10000 ms'),
    new Error('Client has encountered a connection error and is not queryable'),
  ])('may work later after %s', (error) => expect(mayPass(error)).toBe(true));

  it.each([
    sqlError('28P01'),
    sqlError('3D000'),
    socketError('DEPTH_ZERO_SELF_SIGNED_CERT'),
    socketError('ERR_INVALID_ARG_TYPE'),
    new Error('SASL: client password must be a string'),
  ])('will not work later after %s', (error) => expect(mayPass(error)).toBe(false));
});
