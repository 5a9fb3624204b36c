import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Outgoing, Store } from '../../src/contract.ts';
import { sizeOf } from '../../src/state/parcel.ts';
import { type Bench, bench } from './support.ts';

let here: Bench;
beforeEach(() => {
  here = bench();
});
afterEach(() => here.done());

const message = (payload: string): Outgoing => ({ topic: 't', key: null, payload });
const numbered = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => message(String(from + i)));

/** Takes everything out, `step` at a time. */
async function drain(store: Store, sink: string, step: number): Promise<Outgoing[]> {
  const all: Outgoing[] = [];
  for (;;) {
    const { messages, through } = store.outbox.peek(sink, step, 1e9);
    if (messages.length === 0) return all;
    all.push(...messages);
    await store.outbox.remove(sink, through);
  }
}

test('gives back every field of a message as it was', async () => {
  const store = await here.open();
  const messages: Outgoing[] = [
    {
      topic: 'a/b',
      key: 'k',
      payload: Uint8Array.of(0, 255, 7),
      headers: { ce_id: '1', __proto__x: '' },
      retain: true,
    },
    { topic: '', key: '', payload: '', headers: {}, retain: false },
    { topic: 'ü', key: null, payload: 'text 🙂' },
    { topic: 'big', key: null, payload: new Uint8Array(2_000_000).fill(3) },
  ];
  await store.outbox.append('sink', messages);
  await store.close();
  const again = await here.open();
  const given = again.outbox.peek('sink', 10, 1e9).messages;
  expect(given).toEqual(messages);
});

test('first in, first out per sink, whatever is appended, peeked, removed and restarted', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.record({
            kind: fc.constant('append' as const),
            sink: fc.nat(2),
            count: fc.nat({ max: 2_500 }),
            wait: fc.boolean(),
          }),
          fc.record({
            kind: fc.constant('take' as const),
            sink: fc.nat(2),
            messages: fc.nat({ max: 3_000 }),
            bytes: fc.nat({ max: 60_000 }),
            keep: fc.nat(9),
          }),
          fc.record({ kind: fc.constant('restart' as const) }),
        ),
        { minLength: 4, maxLength: 25 },
      ),
      async (steps) => {
        const own = bench();
        try {
          let store = await own.open();
          const model: Outgoing[][] = [[], [], []];
          let pending: Promise<void>[] = [];
          let n = 0;
          for (const step of steps) {
            if (step.kind === 'append') {
              const messages = numbered(n, step.count);
              n += step.count;
              model[step.sink].push(...messages);
              pending.push(store.outbox.append(`s${step.sink}`, messages));
              if (!step.wait) continue;
            }
            await Promise.all(pending);
            pending = [];
            if (step.kind === 'restart') {
              await store.close();
              store = await own.open();
            }
            if (step.kind !== 'take') continue;
            const { messages, through } = store.outbox.peek(`s${step.sink}`, step.messages, step.bytes);
            const queue = model[step.sink];
            expect(messages).toEqual(queue.slice(0, messages.length));
            expect(messages.length).toBeGreaterThanOrEqual(Math.min(1, queue.length));
            expect(messages.length).toBeLessThanOrEqual(Math.max(1, step.messages));
            const bytes = messages.reduce((sum, each) => sum + sizeOf(each), 0);
            expect(messages.length <= 1 || bytes <= step.bytes).toBe(true);
            // A sink may confirm only a part of what it was given.
            const removed = Math.max(0, messages.length - step.keep);
            await store.outbox.remove(`s${step.sink}`, through - (messages.length - removed));
            queue.splice(0, removed);
          }
          await Promise.all(pending);
          for (const [sink, queue] of model.entries()) {
            const bytes = queue.reduce((sum, each) => sum + sizeOf(each), 0);
            expect(store.outbox.size(`s${sink}`)).toEqual({ messages: queue.length, bytes });
            expect(await drain(store, `s${sink}`, 777)).toEqual(queue);
            expect(store.outbox.size(`s${sink}`)).toEqual({ messages: 0, bytes: 0 });
          }
        } finally {
          await own.done();
        }
      },
    ),
    { numRuns: 12, seed: 4 },
  ));

test('refuses what does not fit where it may only block, says so in health, and takes it once there is room', async () => {
  const store = await here.open({ outbox: { bytes: '20kB', whenFull: 'block' } });
  await store.outbox.append('a', numbered(0, 500));
  await store.outbox.append('b', numbered(0, 500));
  await expect(store.outbox.append('a', numbered(500, 500))).rejects.toMatchObject({
    code: 'STORE_FULL',
    retry: true,
  });
  expect(store.health()).toMatchObject({ ok: false });
  expect(store.outbox.size('a').messages).toBe(500);
  await store.outbox.remove('b', store.outbox.peek('b', 500, 1e9).through);
  expect(store.health()).toEqual({ ok: true });
  await store.outbox.append('a', numbered(500, 500));
  expect(await drain(store, 'a', 1_000)).toEqual(numbered(0, 1_000));
});

test('lets one message larger than the limit pass alone', async () => {
  const store = await here.open({ outbox: { bytes: '20kB' } });
  await store.outbox.append('a', [message('x'.repeat(100_000))]);
  await expect(store.outbox.append('a', [message('y')])).rejects.toMatchObject({ code: 'STORE_FULL' });
  expect((await drain(store, 'a', 9)).length).toBe(1);
});

test('drops the oldest of all sinks, and counts every one, where it may', async () => {
  const store = await here.open({ outbox: { bytes: '40kB', whenFull: 'drop-oldest' } });
  await store.outbox.append('old', numbered(0, 400));
  here.clock.ms += 1_000;
  for (let n = 0; n < 40; n++) await store.outbox.append('new', numbered(n * 100, 100));
  const [old, young] = [await drain(store, 'old', 1e6), await drain(store, 'new', 1e6)];
  const dropped = await here.telemetry.value('outbox_dropped');
  expect(old).toEqual([]);
  expect(old.length + young.length + dropped).toBe(4_400);
  expect(young).toEqual(numbered(4_000 - young.length, young.length));
  expect(young.reduce((sum, each) => sum + sizeOf(each), 0)).toBeLessThanOrEqual(40_000);
  expect(await here.telemetry.value('outbox_dropped', { sink: 'old' })).toBe(400);
});

test('what was dropped while it was being published is not removed again', async () => {
  const store = await here.open({ outbox: { bytes: '20kB', whenFull: 'drop-oldest' } });
  await store.outbox.append('a', numbered(0, 900));
  const { through } = store.outbox.peek('a', 10, 1e9);
  await store.outbox.append('a', numbered(900, 900));
  const before = store.outbox.size('a').messages;
  await store.outbox.remove('a', through);
  expect(store.outbox.size('a').messages).toBe(before);
  expect((await drain(store, 'a', 100)).at(-1)).toEqual(message('1799'));
});

test('drops what is too old at a sweep, counted, and nothing younger', async () => {
  const store = await here.open({ outbox: { age: '1h' } });
  for (let n = 0; n < 5; n++) {
    await store.outbox.append('a', numbered(n * 3_000, 3_000));
    here.clock.ms += 1_200_000;
  }
  await store.sweep();
  expect(await here.telemetry.value('outbox_dropped', { sink: 'a' })).toBe(6_000);
  expect(await drain(store, 'a', 5_000)).toEqual(numbered(6_000, 9_000));
  expect(await here.telemetry.value('outbox_messages', { sink: 'a' })).toBe(0);
});
