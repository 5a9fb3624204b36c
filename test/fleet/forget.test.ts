/** Forgetting: out of the model as if it had never been, and out of the store. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FeedbackTarget } from '../../src/envelope.ts';
import { decodeFeedback, feedbackFromText, feedbackText } from '../../src/envelope.ts';
import { bitsOf, eventOf, makeRig, type Rig, task } from './kit.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await makeRig();
});
afterEach(() => rig.close());

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => eventOf(from + i));
const bits = async () => Buffer.from(await rig.learner.save());
const given = { label: null, origin: 'desk', weight: 1, at: 1, forget: true } as const;
const forget = (...targets: FeedbackTarget[]) =>
  rig.labels.give(targets.map((target) => ({ ...given, target })));
const named = (n: number): FeedbackTarget => ({ kind: 'name', name: `t/0/${n}` });

async function learn(some: ReturnType<typeof range>): Promise<void> {
  await rig.join(some.map(({ event }) => event));
  await rig.give(some.map(({ event, label }) => [event.id, label] as const));
  await rig.learner.settled();
}

/** Everything that the journal holds of an event. */
const entriesOf = (event: string) =>
  rig.store.journal.tail(task.name, 0, 10_000).entries.filter((entry) => entry.event === event);

test('a forgotten event leaves the model as if its label had never been given, and its row is gone', async () => {
  const some = range(0, 60);
  await learn(some);
  await rig.give([[some[5].event.id, some[5].label === 'ok' ? 'fault' : 'ok']]); // a correction: two entries
  await forget(named(5));
  await rig.learner.settled();
  const expected = await bitsOf([...some.slice(0, 5), ...some.slice(6)]);
  const check = async () => {
    expect(rig.learner.labels).toBe(59);
    expect((await bits()).equals(expected)).toBe(true);
    expect(rig.store.join.find(task.name, 't/0/5')).toBeNull();
    expect(entriesOf('t/0/5')).toHaveLength(1);
    const [{ label, joined }] = entriesOf('t/0/5');
    expect(label).toBe(-1);
    expect([...joined.rows.dense].every(Number.isNaN)).toBe(true);
    expect([...joined.scores]).toEqual([0, 0]);
    expect(rig.store.join.find(task.name, 't/0/6')).not.toBeNull();
  };
  await check();
  await rig.reopen(false);
  await rig.learner.settled();
  await check();
  expect(await rig.telemetry.value('feedback_received', { result: 'forgotten' })).toBe(1);
});

test('an event without a label is forgotten too, and a span of a device at once', async () => {
  await learn(range(0, 30));
  await rig.join(range(30, 60).map(({ event }) => event));
  await forget(named(40), { kind: 'span', device: 'd1', from: 1_000_000, to: 1_020_000 });
  await rig.learner.settled();
  expect(rig.store.join.find(task.name, 't/0/40')).toBeNull();
  expect(rig.store.join.span(task.name, 'd1', 1_000_000, 1_020_000, 100)).toEqual([]);
  expect(rig.store.join.span(task.name, 'd2', 1_000_000, 1_020_000, 100)).toHaveLength(7);
  expect(rig.learner.labels).toBe(23);
  // Asked again, there is nothing left to do.
  await forget(named(40), named(1));
  expect(rig.learner.labels).toBe(23);
});

test('a label that is given after its withdrawal was asked for is kept, and so is its entry', async () => {
  await learn(range(0, 30));
  const [asked, again] = [forget(named(3)), rig.give([['t/0/3', 'ok']])];
  await Promise.all([asked, again]);
  await rig.learner.settled();
  expect(rig.learner.labels).toBe(30);
  expect(rig.store.journal.labelOf(task.name, 't/0/3')?.label).toBe(0);
  expect(rig.store.journal.read(task.name, 0, 1_000).entries.some(({ event }) => event === 't/0/3')).toBe(
    true,
  );
});

test('on the wire it is a withdrawal with one word more; without null it is nothing', () => {
  const read = (fields: object) =>
    decodeFeedback(Buffer.from(JSON.stringify({ event: 'e', ...fields })), 1, () => '')[0];
  expect(read({ label: null, forget: true })).toMatchObject({ label: null, forget: true });
  expect(read({ label: 'ok', forget: true }).forget).toBeUndefined();
  expect(read({ label: null }).forget).toBeUndefined();
  expect(() => read({ label: null, forget: 'yes' })).toThrow('the feedback needs');
  const waiting = read({ label: null, forget: true });
  expect(feedbackFromText(feedbackText(waiting))).toEqual(waiting);
});
