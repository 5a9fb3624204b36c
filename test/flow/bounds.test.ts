import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Delivery, Outcome } from '../../src/contract.ts';
import type { Verdict } from '../../src/envelope.ts';
import { Credit } from '../../src/flow/credit.ts';
import { PublishFilter } from '../../src/flow/policy.ts';
import { Slot } from '../../src/flow/settle.ts';

const never = new AbortController().signal;

test('credit never exceeds either bound, except for one larger message that passes alone', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 150 }), { minLength: 1, maxLength: 60 }),
      async (sizes) => {
        const credit = new Credit(5, 100);
        const held: number[] = [];
        const taken: Promise<void>[] = [];
        for (const size of sizes) {
          taken.push(
            credit.take(size, never).then((granted) => {
              expect(granted).toBe(true);
              held.push(size);
              const bytes = held.reduce((a, b) => a + b, 0);
              expect(held.length).toBeLessThanOrEqual(5);
              expect(bytes <= 100 || held.length === 1).toBe(true);
            }),
          );
        }
        for (let turns = 0; turns < sizes.length; turns++) {
          await Promise.resolve();
          await Promise.resolve();
          const size = held.shift();
          if (size !== undefined) credit.give(size);
        }
        await Promise.all(taken);
      },
    ),
  );
});

test('an abort ends the wait for credit without taking any', async () => {
  const credit = new Credit(1, 100);
  expect(credit.tryTake(10)).toBe(true);
  const abort = new AbortController();
  const waiting = credit.take(10, abort.signal);
  abort.abort();
  expect(await waiting).toBe(false);
  credit.give(10);
  expect(credit.events).toBe(0);
  expect(credit.tryTake(10)).toBe(true);
});

function delivery(): { delivery: Delivery; outcomes: Outcome[] } {
  const outcomes: Outcome[] = [];
  const message = {
    source: 's',
    topic: 't',
    key: null,
    payload: new Uint8Array(7),
    headers: {},
    at: 0,
    position: '',
  };
  return { delivery: { message, settle: (outcome) => outcomes.push(outcome) }, outcomes };
}

test('a message is settled once, after every task has finished with it, and then gives its credit back', () => {
  const credit = new Credit(10, 1_000);
  credit.tryTake(7);
  const { delivery: one, outcomes } = delivery();
  const slot = new Slot(one, 3, credit, 0, null);
  slot.finish('done');
  slot.finish('done');
  expect(outcomes).toEqual([]);
  expect(credit.events).toBe(1);
  slot.finish('done');
  slot.finish('done');
  expect(outcomes).toEqual(['done']);
  expect(credit.events).toBe(0);
  expect(credit.bytes).toBe(0);
});

test('one task that needs a retry makes the whole message come again', () => {
  const credit = new Credit(10, 1_000);
  credit.tryTake(7);
  const { delivery: one, outcomes } = delivery();
  const slot = new Slot(one, 2, credit, 0, null);
  slot.finish('retry');
  slot.finish('done');
  expect(outcomes).toEqual(['retry']);
});

function verdict(device: string, label: number, at: number): Verdict {
  return {
    event: {
      id: `${device}${at}`,
      device,
      weak: false,
      at,
      aliases: [],
      body: { kind: 'reading', values: new Float64Array(), categories: [] },
    },
    labels: ['ok', 'fault'],
    label,
    score: 0.5,
    scores: new Float32Array(2),
    offset: 0,
    model: 'm',
    backend: 'cpu',
    receivedAt: at,
    decidedAt: at,
  };
}

test('`changes` publishes a device when its label changes, `every` once an interval', () => {
  const changes = new PublishFilter({ kind: 'changes' });
  expect([0, 0, 1, 1, 0].map((label, i) => changes.wants(verdict('a', label, i)))).toEqual([
    true,
    false,
    true,
    false,
    true,
  ]);
  expect(changes.wants(verdict('b', 0, 9))).toBe(true);
  const every = new PublishFilter({ kind: 'every', ms: 10 });
  expect([0, 5, 10, 19, 20].map((at) => every.wants(verdict('a', 0, at)))).toEqual([
    true,
    false,
    true,
    false,
    true,
  ]);
});
