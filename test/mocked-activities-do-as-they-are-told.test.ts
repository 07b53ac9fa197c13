import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { Errors, proxyActivities } from '../src/index.js';
import {
  crashTest,
  type MockActivities,
  type MockActivity,
  mockActivities,
  resetMocks,
  TestEnvironment,
} from '../src/testing/index.js';

interface Shop {
  charge(order: string, cents: number): Promise<string>;
  ship(order: string): Promise<number>;
}
const { charge, ship } = proxyActivities<Shop>({ retry: { maximumAttempts: 4, initialInterval: '1 hour' } });

async function order(id: string) {
  const receipts = [await charge(id, 100), await charge(id, 200)];
  return [...receipts, await ship(id)];
}

/** Those of the test that runs: making an environment for each takes longer than the tests. */
let mocks: MockActivities<Shop>;
let env: TestEnvironment;
beforeAll(async () => {
  const activities: Shop = { charge: (...args) => mocks.charge(...args), ship: (...args) => mocks.ship(...args) };
  env = await TestEnvironment.create({ workflow: order, activities: { ...activities } });
});
afterAll(() => env.close());
const run = async (activities: MockActivities<Shop>) => {
  mocks = activities;
  return await (await env.start('order', ['o-1'])).result();
};

describe('mocked activities', () => {
  it('give results and failures call by call, and keep record of each', async () => {
    const shop = mockActivities<Shop>(['charge', 'ship']);
    shop.charge.failsOnce('card declined').failsOnce(new TypeError('gateway')).returnsOnce('first').returns('further');
    shop.ship.does(async (id) => id.length);
    expect(await run(shop)).toEqual(['first', 'further', 3]);
    expect(shop.charge.calls).toMatchObject([
      { args: ['o-1', 100], attempt: 1, status: 'failed', error: { message: 'card declined' } },
      { args: ['o-1', 100], attempt: 2, status: 'failed', error: { name: 'TypeError' } },
      { args: ['o-1', 100], attempt: 3, status: 'returned', result: 'first' },
      { args: ['o-1', 200], attempt: 1, status: 'returned', result: 'further' },
    ]);
    const keys = shop.charge.calls.map(({ idempotencyKey }) => idempotencyKey);
    expect(new Set(keys.slice(0, 3)).size).toBe(1);
    expect(keys[3]).not.toBe(keys[0]);

    resetMocks(shop);
    shop.charge.returns('again');
    shop.ship.returns(7);
    expect(await run(shop)).toEqual(['again', 'again', 7]);
    expect(shop.charge.calls).toHaveLength(2);
  });

  it('do what they were made with, unless told otherwise', async () => {
    const shop = mockActivities<Shop>({ charge: async (id, cents) => `${id} ${cents}`, ship: async () => 1 });
    shop.charge.returnsOnce('one');
    expect(await run(shop)).toEqual(['one', 'o-1 200', 1]);
    shop.ship.fails(Errors.ApplicationFailure.nonRetryable('no van'));
    await expect(run(shop)).rejects.toThrow('no van');
    resetMocks(shop);
    expect(await run(shop)).toEqual(['o-1 100', 'o-1 200', 1]);
  });

  it('fail for good, and say so, when nobody told them what to do', async () => {
    const shop = mockActivities<Shop>(['charge', 'ship']);
    await expect(run(shop)).rejects.toThrow('charge: this mock has no result. Tell it: charge.returns(...)');
    expect(shop.charge.calls).toHaveLength(1);
  });

  it('repeat in a crash test what an attempt was given before', async () => {
    const report = await crashTest({
      workflow: order,
      args: ['o-1'],
      seeds: 8,
      activities: () => {
        const shop = mockActivities<Shop>(['charge', 'ship']);
        shop.charge.failsOnce('declined').returnsOnce('first').returnsOnce('second').fails('asked too often');
        shop.ship.returnsOnce(1).fails('shipped twice');
        return shop;
      },
    });
    expect(report.result).toEqual(['first', 'second', 1]);
    expect(report.repeated.map(({ name }) => name)).toContain('charge');
  });

  it('have the types of the activities', () => {
    const shop = mockActivities<Shop>(['charge', 'ship']);
    expectTypeOf(shop.charge).toEqualTypeOf<MockActivity<Shop['charge']>>();
    expectTypeOf(shop.charge.returns).parameter(0).toEqualTypeOf<string>();
    expectTypeOf(shop.ship.calls[0]?.args).toEqualTypeOf<[string] | undefined>();
    // @ts-expect-error no such activity
    mockActivities<Shop>(['chrage']);
  });

  it('can be called by themselves, and are refused when they are none', async () => {
    const { charge: mocked } = mockActivities<Shop>({ charge: async (id) => `direct ${id}` });
    expect(await mocked('x', 1)).toBe('direct x');
    expect(mocked.calls).toMatchObject([{ args: ['x', 1], attempt: 0, idempotencyKey: '', status: 'returned' }]);
    expect(() => mockActivities({ charge: 'paid' } as never)).toThrow(
      'mockActivities: charge must be a function; got "paid"',
    );
    expect(() => mockActivities([''] as never)).toThrow(/^mockActivities: name must be/);
    expect(() => resetMocks({ charge: () => {} })).toThrow('resetMocks: charge must be a mock');
    expect(() => resetMocks(null as never)).toThrow('resetMocks: mocks must be what mockActivities returned');
  });
});
