/** The fold of the journal, whatever fails or comes at once: slow and failing commits, kills, corrections in the middle. */
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Delivery, Engine, Model, Source } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { Lmdb } from '../../src/state/database.ts';
import { bitsOf, engine, eventOf, makeRig, message, type Rig, type RigOptions } from './kit.ts';

let rig: Rig;
const write = Lmdb.prototype.write;
afterEach(async () => {
  Lmdb.prototype.write = write;
  await rig.close();
});

const open = async (options?: RigOptions) => {
  rig = await makeRig(options);
};
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => eventOf(from + i));
const pair = ({ event, label }: ReturnType<typeof eventOf>) => [event.id, label] as const;
const flipped = ({ event, label }: ReturnType<typeof eventOf>) =>
  [event.id, label === 'ok' ? 'fault' : 'ok'] as const;
const equalBits = async (learned: ReturnType<typeof range>) =>
  Buffer.from(await rig.learner.save()).equals(await bitsOf(learned));

/** The next write fails as a damaged disk would make it fail. */
function failNextWrite(): void {
  Lmdb.prototype.write = function (ops) {
    Lmdb.prototype.write = write;
    const tooLong = { table: this.tables.meta, key: Buffer.alloc(5_000), value: Buffer.alloc(1) };
    // First: what is put before a throw may still land, which no failing disk would do.
    return write.call(this, [tooLong, ...ops]);
  };
}

/** Writes wait until the returned function is called. */
function slowDisk(): () => void {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  Lmdb.prototype.write = function (ops) {
    return gate.then(() => write.call(this, ops));
  };
  return () => {
    Lmdb.prototype.write = write;
    release();
  };
}

/** An engine whose models learn as `learn` says. */
function engineWith(learn: (model: Model, ...given: Parameters<Model['learn']>) => Promise<void>): Engine {
  const create: Engine['create'] = (...given) => {
    const model = engine.create(...given);
    return new Proxy(model, {
      get(target, name) {
        if (name === 'learn') return (...rows: Parameters<Model['learn']>) => learn(target, ...rows);
        const value = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  return { backend: engine.backend, backends: engine.backends, create, load: (bytes) => engine.load(bytes) };
}

test('after a failed write, labels that come while the next is slow are all learned, in order', async () => {
  await open();
  const some = range(0, 13);
  await rig.join(some.map(({ event }) => event));
  await rig.give(some.slice(0, 10).map(pair));
  await rig.learner.settled();
  failNextWrite();
  await expect(rig.give([pair(some[10])])).rejects.toThrow();
  const release = slowDisk();
  const first = rig.give([pair(some[11])]);
  await systemClock.sleep(100);
  const second = rig.give([pair(some[12])]);
  await systemClock.sleep(20);
  release();
  await Promise.all([first, second]);
  await rig.learner.settled();
  expect(rig.learner.labels).toBe(12);
  expect(await equalBits([...some.slice(0, 10), ...some.slice(11)])).toBe(true);
});

test('a label corrected while a rewind has already read it leaves no trace', async () => {
  let slow = 0;
  await open({
    engine: engineWith(async (model, ...given) => {
      if (slow > 0) await systemClock.sleep(slow);
      await model.learn(...given);
    }),
  });
  const some = range(0, 700);
  await rig.join(some.map(({ event }) => event));
  await rig.give(some.slice(0, 300).map(pair));
  await rig.learner.settled();
  slow = 60;
  await rig.give([flipped(some[0])]);
  await rig.give(some.slice(300).map(pair));
  await systemClock.sleep(100);
  await rig.give([flipped(some[310])]);
  await rig.learner.settled();
  expect(rig.learner.labels).toBe(700);
  const wrong = (one: ReturnType<typeof eventOf>) => ({ ...one, label: flipped(one)[1] });
  const expected = [
    ...some.slice(1, 300),
    wrong(some[0]),
    ...some.slice(300, 310),
    ...some.slice(311),
    wrong(some[310]),
  ];
  expect(await equalBits(expected)).toBe(true);
}, 60_000);

test('a batch that the model refuses once is learned after all', async () => {
  let refuse = false;
  await open({
    engine: engineWith(async (model, ...given) => {
      if (refuse) {
        refuse = false;
        throw new SluiceError('MODEL_MEMORY', 'no memory');
      }
      await model.learn(...given);
    }),
  });
  const some = range(0, 20);
  await rig.join(some.map(({ event }) => event));
  for (const [n, one] of some.entries()) {
    refuse = n === 7;
    await rig.give([pair(one)]);
  }
  await rig.learner.settled();
  expect(rig.learner.labels).toBe(20);
  expect(await equalBits(some)).toBe(true);
});

test('feedback that waited is learned after a kill between its event and its label', async () => {
  await open();
  const [one] = range(0, 1);
  await rig.give([pair(one)]);
  // Joined, and killed before the label was taken up: nobody calls `joined`.
  const { joined } = rig.labels;
  rig.labels.joined = () => undefined;
  await rig.join([one.event]);
  rig.labels.joined = joined;
  await rig.reopen(false);
  await rig.labels.rematch();
  await rig.learner.settled();
  expect(rig.learner.labels).toBe(1);
  expect(rig.store.waiting.size).toBe(0);
});

test('a snapshot that cannot be written neither stops learning nor the stop', async () => {
  let shift = 0;
  await open({ clock: { ...systemClock, now: () => Date.now() + shift } });
  const some = range(0, 5);
  await rig.join(some.map(({ event }) => event));
  rig.store.snapshots.save = () => Promise.reject(new SluiceError('STORE_FULL', 'the disk is full'));
  shift = 400_000;
  await rig.give(some.map(pair));
  await rig.learner.settled();
  expect(rig.learner.labels).toBe(5);
  await rig.learner.close();
  await rig.reopen(false);
  expect(rig.learner.labels).toBe(5);
});

test('a correction that cannot be prepared comes again with what came beside it, and snapshots go on', async () => {
  await open();
  const some = range(0, 20);
  await rig.join(some.map(({ event }) => event));
  await rig.give(some.map(pair));
  await rig.learner.settled();
  const { snapshots } = rig.store;
  const dropAfter = snapshots.dropAfter.bind(snapshots);
  let failures = 1;
  snapshots.dropAfter = (...given) =>
    failures-- > 0 ? Promise.reject(new SluiceError('STORE_FAILED', 'the disk failed')) : dropAfter(...given);
  const settled: string[] = [];
  const feedback = (payload: unknown, name: string): Delivery => ({
    message: message(payload, name),
    settle: (outcome) => settled.push(`${name} ${outcome}`),
  });
  const [event, label] = flipped(some[5]);
  let turn = 0;
  const source: Source = {
    name: 's',
    health: () => ({ ok: true }),
    close: async () => undefined,
    async *read(signal) {
      while (turn < 2 && !signal.aborted) {
        turn += 1;
        yield [feedback({ nonsense: 1 }, 'bad'), feedback({ event, label }, 'correction')];
        await systemClock.sleep(1_500, signal);
      }
    },
  };
  rig.labels.follow(source);
  await expect.poll(() => settled.length, { timeout: 10_000 }).toBe(4);
  await rig.learner.settled();
  expect(settled.slice(0, 2).sort()).toEqual(['bad retry', 'correction retry']);
  expect(settled.slice(2).sort()).toEqual(['bad done', 'correction done']);
  expect(rig.learner.labels).toBe(20);
  await rig.labels.stop();
  await rig.learner.close();
  expect(snapshots.newest('machine')?.labels).toBe(20);
  await rig.reopen(false);
});

test('quality counts every tested event once, with the label that holds now, and windows hold only what is new', async () => {
  await open();
  const some = range(0, 60);
  await rig.join(some.slice(0, 50).map(({ event }) => event));
  await rig.give(some.slice(0, 50).map(pair));
  await rig.learner.settled();
  expect(rig.learner.quality.close().tested).toBe(50);
  await rig.give([flipped(some[3])]);
  await rig.learner.settled();
  expect(rig.learner.quality.total.tested).toBe(50);
  expect(rig.learner.quality.close().tested).toBe(0);
  await rig.join(some.slice(50).map(({ event }) => event));
  await rig.give(some.slice(50).map(pair));
  await rig.learner.settled();
  expect(rig.learner.quality.close().tested).toBe(10);
  expect(rig.learner.quality.total.tested).toBe(60);
});
