/** What a model learns of its columns is part of the fold: it survives a kill, and goes with a label that is taken back. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RowArena } from '../../src/features/rows.ts';
import { openTask } from '../../src/task/task.ts';
import { engine, makeRig, message, type Rig } from './kit.ts';

const LABELS = ['ok', 'fault'];
const task = openTask({
  name: 'machine',
  event: 'sensor',
  labels: LABELS,
  decode: {
    kind: 'json',
    options: {
      fields: {
        a: { missing: 'median', clip: 4, scale: 'robust' },
        b: { scale: 'minmax' },
        who: { type: 'category', encode: 'target' },
      },
      device: { pointer: '/device' },
    },
  },
  model: { kind: 'linear' },
  seed: 1,
});

const eventOf = (n: number) => {
  const a = Math.sin(n * 1.7);
  const b = Math.cos(n * 0.9);
  const body = {
    ...(n % 7 === 0 ? {} : { a: n % 11 === 0 ? 1e9 : a }),
    b,
    who: `w${n % 5}`,
    device: `d${n % 3}`,
  };
  const [event] = task.decode(message(body, `t/0/${n}`));
  return { event, label: a + b > 0 ? 'fault' : 'ok' };
};
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => eventOf(from + i));

let rig: Rig;
beforeEach(async () => {
  rig = await makeRig({ task });
});
afterEach(() => rig.close());

async function learn(some: ReturnType<typeof range>): Promise<void> {
  await rig.join(some.map(({ event }) => event));
  await rig.give(some.map(({ event, label }) => [event.id, label] as const));
  await rig.learner.settled();
}

/** The bits of a model that learned just these, in this order. */
async function bitsOf(some: ReturnType<typeof range>): Promise<Buffer> {
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  for (const { event } of some) task.fill(event, arena);
  const model = task.newModel(engine);
  await model.learn(
    arena.view(),
    Int32Array.from(some, ({ label }) => LABELS.indexOf(label)),
  );
  const bytes = Buffer.from(await model.save());
  model.close();
  return bytes;
}

const same = async (some: ReturnType<typeof range>): Promise<boolean> =>
  Buffer.from(await rig.learner.save()).equals(await bitsOf(some));

test('statistics are those of the labels in the journal, whatever was scored besides', async () => {
  const some = range(0, 200);
  await rig.join(range(1_000, 1_200).map(({ event }) => event));
  await learn(some);
  expect(await same(some)).toBe(true);
});

test('a label that is taken back leaves no trace in them', async () => {
  const some = range(0, 120);
  await learn(some);
  await rig.give([[some[11].event.id, null]]);
  await rig.learner.settled();
  expect(await same(some.filter((_, n) => n !== 11))).toBe(true);
});

test.each([true, false])(
  'a restart gives the same bits, after a clean stop (%s) and after none',
  async (clean) => {
    await learn(range(0, 100));
    await rig.reopen(true);
    await learn(range(100, 160));
    await rig.reopen(clean);
    expect(await same(range(0, 160))).toBe(true);
  },
);
