/** The running model is the fold of the journal: once each, in order, whatever happens in between. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Delivery, Source } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { bitsOf, eventOf, makeRig, message, type Rig } from './kit.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await makeRig();
});
afterEach(() => rig.close());

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => eventOf(from + i));
const pairs = (some: readonly { event: { id: string }; label: string }[]) =>
  some.map(({ event, label }) => [event.id, label] as const);
const bits = async () => Buffer.from(await rig.learner.save());

async function learn(some: ReturnType<typeof range>): Promise<void> {
  await rig.join(some.map(({ event }) => event));
  await rig.give(pairs(some));
  await rig.learner.settled();
}

test('labels are learned in journal order, in batches as one by one', async () => {
  const some = range(0, 300);
  await learn(some);
  expect(rig.learner.labels).toBe(300);
  expect((await bits()).equals(await bitsOf(some))).toBe(true);
});

test('the same label again is a duplicate and changes nothing', async () => {
  const some = range(0, 50);
  await learn(some);
  const before = await bits();
  await rig.give(pairs(some));
  await rig.give(pairs(some.slice(10, 20)));
  await rig.learner.settled();
  expect(rig.learner.labels).toBe(50);
  expect((await bits()).equals(before)).toBe(true);
  expect(await rig.telemetry.value('feedback_received', { result: 'duplicate' })).toBe(60);
});

test('a correction leaves the model as if the wrong label had never been learned', async () => {
  const some = range(0, 60);
  const wrong = some.map((one, n) =>
    n === 20 ? { ...one, label: one.label === 'ok' ? 'fault' : 'ok' } : one,
  );
  await learn(wrong);
  await rig.give([[some[20].event.id, some[20].label]]);
  await rig.learner.settled();
  // The right label counts from when it came: after the others.
  const expected = [...some.slice(0, 20), ...some.slice(21), some[20]];
  expect(rig.learner.labels).toBe(60);
  expect((await bits()).equals(await bitsOf(expected))).toBe(true);
});

test('a withdrawal leaves the model as if the label had never been given, and may be followed by a new label', async () => {
  const some = range(0, 60);
  await learn(some);
  await rig.give([[some[5].event.id, null]]);
  await rig.learner.settled();
  const without = some.filter((_, n) => n !== 5);
  expect(rig.learner.labels).toBe(59);
  expect((await bits()).equals(await bitsOf(without))).toBe(true);
  await rig.give([[some[5].event.id, some[5].label]]);
  await rig.learner.settled();
  expect((await bits()).equals(await bitsOf([...without, some[5]]))).toBe(true);
});

test('within one group the last word counts', async () => {
  const some = range(0, 30);
  await rig.join(some.map(({ event }) => event));
  const [first] = some;
  const other = first.label === 'ok' ? 'fault' : 'ok';
  await rig.give([
    ...pairs(some),
    [first.event.id, other],
    [first.event.id, null],
    [first.event.id, first.label],
  ]);
  await rig.learner.settled();
  expect(rig.learner.labels).toBe(30);
});

test('a restart gives the same bits, after a clean stop and after none', async () => {
  const some = range(0, 200);
  await learn(some.slice(0, 100));
  await rig.reopen(true);
  expect((await bits()).equals(await bitsOf(some.slice(0, 100)))).toBe(true);
  await learn(some.slice(100));
  await rig.reopen(false);
  expect(rig.learner.labels).toBe(200);
  expect((await bits()).equals(await bitsOf(some))).toBe(true);
});

test('a label from before a restart is still a duplicate after it, and can still be withdrawn', async () => {
  const some = range(0, 40);
  await learn(some);
  await rig.reopen(true);
  await rig.give(pairs(some.slice(0, 10)));
  await rig.learner.settled();
  expect(rig.learner.labels).toBe(40);
  await rig.give([[some[39].event.id, null]]);
  await rig.learner.settled();
  expect((await bits()).equals(await bitsOf(some.slice(0, 39)))).toBe(true);
});

test('feedback that comes before its event waits for it, also over a restart', async () => {
  const some = range(0, 20);
  await rig.give(pairs(some));
  expect(rig.store.waiting.size).toBe(20);
  await rig.join(some.slice(0, 10).map(({ event }) => event));
  await expect.poll(() => [rig.learner.labels, rig.store.waiting.size]).toEqual([10, 10]);
  await rig.reopen(false);
  await rig.join(some.slice(10).map(({ event }) => event));
  await expect.poll(() => [rig.learner.labels, rig.store.waiting.size]).toEqual([20, 0]);
});

test('a span labels every reading of its device and no other', async () => {
  const some = range(0, 90);
  await rig.join(some.map(({ event }) => event));
  const from = some[30].event.at;
  const to = some[60].event.at;
  await rig.labels.give([
    { target: { kind: 'span', device: 'd1', from, to }, label: 'fault', origin: 'x', weight: 1, at: 1 },
  ]);
  await rig.learner.settled();
  const meant = some.filter(({ event }) => event.device === 'd1' && event.at >= from && event.at <= to);
  expect(rig.learner.labels).toBe(meant.length);
  const expected = meant.map(({ event }) => ({ event, label: 'fault' }));
  expect((await bits()).equals(await bitsOf(expected))).toBe(true);
});

test('no label is given before the model is sufficient, and prequential quality uses the score at verdict time', async () => {
  expect(rig.learner.sufficient).toBe(false);
  await learn(range(0, 19));
  expect(rig.learner.sufficient).toBe(false);
  await learn(range(19, 100));
  expect(rig.learner.sufficient).toBe(true);
  const { total } = rig.learner.quality;
  expect(total.tested).toBe(100);
  const before = total.correct;
  const [one] = range(200, 201);
  await rig.join([one.event]);
  const predicted = rig.store.join.find('machine', one.event.id)!.predicted;
  await learn(range(300, 500));
  await rig.give([[one.event.id, one.label]]);
  await rig.learner.settled();
  expect(rig.learner.quality.total.tested).toBe(301);
  expect(rig.learner.quality.total.correct - before).toBeGreaterThanOrEqual(
    predicted === (one.label === 'fault' ? 1 : 0) ? 1 : 0,
  );
});

/** A source that hands out one array and records what was settled. */
function sourceOf(payloads: readonly string[]): { source: Source; settled: string[] } {
  const settled: string[] = [];
  const deliveries: Delivery[] = payloads.map((payload, n) => ({
    message: { ...message({}, `f/0/${n}`), payload: Buffer.from(payload) },
    settle: (outcome) => settled.push(outcome),
  }));
  const source: Source = {
    name: 'feedback',
    async *read() {
      yield deliveries;
    },
    health: () => ({ ok: true }),
    close: async () => undefined,
  };
  return { source, settled };
}

test('bad feedback is buried with its code and acknowledged; the good beside it is learned', async () => {
  const some = range(0, 3);
  await rig.join(some.map(({ event }) => event));
  const good = JSON.stringify({ event: some[0].event.id, label: some[0].label });
  const { source, settled } = sourceOf(['{', JSON.stringify({ event: 'x', label: 'maybe' }), good, '[]']);
  rig.labels.follow(source);
  await rig.labels.stop();
  await rig.learner.settled();
  expect(settled).toEqual(['done', 'done', 'done', 'done']);
  expect(rig.buried.map(({ code }) => code)).toEqual(['FEEDBACK_INVALID', 'FEEDBACK_LABEL']);
  expect(rig.learner.labels).toBe(1);
});

test('labels whose append fails are taken back out of the model, and are learned when they come again', async () => {
  const some = range(0, 40);
  await learn(some.slice(0, 30));
  const before = await bits();
  await rig.join(some.slice(30).map(({ event }) => event));
  const { journal } = rig.store;
  const append = journal.append.bind(journal);
  let learnedEarly = 0;
  journal.append = async (entries, entered) => {
    entered?.(entries.map((entry, i) => ({ ...entry, seq: 31 + i, supersedes: 0 })));
    learnedEarly = rig.learner.labels;
    throw new SluiceError('STORE_FULL', 'the disk is full');
  };
  await expect(rig.give(pairs(some.slice(30)))).rejects.toThrow('the disk is full');
  await rig.learner.settled();
  expect(learnedEarly).toBe(40);
  expect(rig.learner.labels).toBe(30);
  expect((await bits()).equals(before)).toBe(true);
  journal.append = append;
  await rig.give(pairs(some.slice(30)));
  await rig.learner.settled();
  expect((await bits()).equals(await bitsOf(some))).toBe(true);
});
