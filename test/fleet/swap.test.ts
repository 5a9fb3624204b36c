/**
 * Whatever comes at once, the running model is byte for byte its base with the effective labels behind `since` learned
 * on it in journal order: installs, rollbacks and dropped deltas between labels, corrections and withdrawals, with
 * commits that fail, slow models, kills, and a companion beside.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Engine, Model, Store } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { RowArena } from '../../src/features/rows.ts';
import { type Base, blankBase } from '../../src/fleet/base.ts';
import { Labels } from '../../src/fleet/labels.ts';
import { Learner } from '../../src/fleet/learner.ts';
import { openStore, storeOptions } from '../../src/state.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { bitsOf, engine, eventOf, task } from './kit.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  disk.fails = false;
  for (const close of closing.splice(0).reverse()) await close();
});

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => eventOf(from + i));
const flip = (label: string) => (label === 'ok' ? 'fault' : 'ok');

/** Bases that know something else each. */
const weights = Promise.all(
  [0, 1, 2].map((n) => bitsOf(range(1_000 * (n + 1), 1_000 * (n + 1) + 10 * (n + 1)))),
);
async function baseOf(n: number, since: number): Promise<Base> {
  const digest = String(n).repeat(64);
  return {
    digest,
    name: digest,
    version: n,
    weights: (await weights)[n],
    kind: 'linear',
    since,
    counts: [9, 9],
  };
}

/** Models whose calls come back late, in the order in which they were made. */
function slowEngine(delay: () => number): Engine {
  const slow = (model: Model): Model =>
    new Proxy(model, {
      get(target, name) {
        const value = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name !== 'learn' && name !== 'step' && name !== 'save') return value.bind(target);
        return async (...given: unknown[]) => {
          const result = value.apply(target, given);
          result.catch(() => undefined);
          const ms = delay();
          if (ms > 0) await systemClock.sleep(ms);
          return result;
        };
      },
    });
  return {
    backend: engine.backend,
    backends: engine.backends,
    create: (...given) => slow(engine.create(...given)),
    load: (bytes) => slow(engine.load(bytes)),
  };
}

interface Site {
  readonly folder: string;
  store: Store;
  learner: Learner;
  labels: Labels;
  /** What a restart begins from: written before the model runs. */
  recorded: Base;
  kill(clean: boolean): Promise<void>;
}

const telemetry = new Telemetry({ level: 'silent' });
const bury = async () => undefined;
const { path: _, ...limits } = storeOptions.parse({});

async function openSite(delay: () => number = () => 0): Promise<Site> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-swap-'));
  const slow = slowEngine(delay);
  const parts = async (base: Base) => {
    const store = await openStore({
      path: path.join(folder, 'state'),
      limits,
      clock: systemClock,
      telemetry,
    });
    const learner = await Learner.open({
      ...{ task, engine: slow, store, clock: systemClock, telemetry, base },
      ...{ learning: 'online', minLabels: 20, minPerLabel: 5 },
    });
    return {
      store,
      learner,
      labels: new Labels({ task, store, learner, bury, clock: systemClock, telemetry }),
    };
  };
  const recorded = blankBase(task);
  const site: Site = {
    folder,
    recorded,
    ...(await parts(recorded)),
    async kill(clean) {
      await site.labels.stop();
      if (!clean) site.store.snapshots.save = () => Promise.reject(new SluiceError('STORE_FAILED', 'killed'));
      await site.learner.close();
      await site.store.close();
      Object.assign(site, await parts(site.recorded));
    },
  };
  closing.push(async () => {
    await site.labels.stop();
    await site.learner.close();
    await site.store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return site;
}

async function join({ store, learner }: Site, some: ReturnType<typeof range>): Promise<void> {
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  for (const { event } of some) task.fill(event, arena);
  const { probabilities, model } = learner.score(arena.view());
  const scores = await probabilities;
  const predicted = Int32Array.from(some, (_one, i) => (scores[i * 2 + 1] > 0.5 ? 1 : 0));
  const [rows, events] = [arena.view(), some.map(({ event }) => event)];
  await store.join.put({
    task: task.name,
    features: task.features,
    model,
    rows,
    events,
    scores,
    classes: 2,
    predicted,
  });
}

const give = ({ labels }: Site, pairs: readonly (readonly [number, string | null])[]) =>
  labels.give(
    pairs.map(([n, label]) => ({
      ...{ target: { kind: 'name', name: `t/0/${n}` } as const, label, origin: 'test', weight: 1, at: 1 },
    })),
  );

/** A model folded from nothing but the base's weights and the journal. */
async function folded({ store }: Site, base: Base): Promise<Buffer> {
  const model = base.weights ? task.loadModel(engine, base.weights, 'linear') : task.newModel(engine);
  for (const { label, weight, joined } of store.journal.read(task.name, base.since, 100_000).entries)
    await model.learn(joined.rows, Int32Array.of(label), Float32Array.of(weight));
  const bytes = Buffer.from(await model.save());
  model.close();
  return bytes;
}

/** A swap that never ends is as wrong as one to other bits. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const late = systemClock.sleep(8_000).then(() => Promise.reject(new Error('it stands still')));
  return Promise.race([work, late]);
}

async function isTheFold(site: Site): Promise<void> {
  await systemClock.sleep(2); // who was told of a failure is told before the fold is taken back
  await inTime(site.learner.settled());
  const { learner, store } = site;
  const effective = store.journal.read(task.name, learner.base.since, 100_000).entries;
  expect(learner.labels).toBe(effective.length);
  expect(Buffer.from(await learner.save()).equals(await folded(site, learner.base)), 'the same bits').toBe(
    true,
  );
}

const lastSeq = ({ store }: Site) => {
  const { entries } = store.journal.tail(task.name, 0, 100_000);
  return entries.at(-1)?.seq ?? 0;
};

/** The next write finds a disk that fails: all that waits to be written fails together. */
const disk = vi.hoisted(() => ({ fails: false }));
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const statfsSync: typeof fs.statfsSync = ((...given: Parameters<typeof fs.statfsSync>) => {
    const real = fs.statfsSync(...given);
    if (!disk.fails) return real;
    disk.fails = false;
    throw new Error('the disk failed');
  }) as typeof fs.statfsSync;
  return { ...fs, statfsSync };
});

const EVENTS = 60;
const event = fc.nat(EVENTS - 1);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('label' as const),
      events: fc.array(event, { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('flip' as const),
      events: fc.array(event, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('withdraw' as const),
      events: fc.array(event, { minLength: 1, maxLength: 2 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('install' as const),
      n: fc.nat(2),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('accompany' as const), n: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), clean: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rest' as const), ms: fc.nat(8) }) },
);

test('is the fold of its base and the labels behind it, whatever comes at once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), fc.nat(4), async (steps, slow) => {
      let turn = 0;
      closing.length = 0;
      const site = await openSite(() => (slow > 0 && turn++ % 3 === 0 ? slow : 0));
      await join(site, range(0, EVENTS));
      const given = new Map<number, string>();
      const under = new Set<Promise<unknown>>();
      const aside = (work: Promise<unknown>) => {
        const done: Promise<unknown> = work.catch(() => undefined).finally(() => under.delete(done));
        under.add(done);
      };
      for (const each of steps) {
        if (each.do === 'label' || each.do === 'flip') {
          const pairs = each.events.map((n) => {
            const label =
              each.do === 'flip' ? flip(given.get(n) ?? 'ok') : (given.get(n) ?? eventOf(n).label);
            given.set(n, label);
            return [n, label] as const;
          });
          aside(give(site, pairs));
        } else if (each.do === 'withdraw')
          aside(
            give(
              site,
              each.events.map((n) => [n, null] as const),
            ),
          );
        else if (each.do === 'install') {
          site.recorded = await baseOf(each.n, Math.floor(lastSeq(site) * each.part));
          aside(site.learner.install(site.recorded));
        } else if (each.do === 'drop') {
          site.recorded = { ...site.recorded, since: lastSeq(site) };
          aside(site.learner.install(site.recorded));
        } else if (each.do === 'accompany')
          site.learner.accompany(each.n === 3 ? null : await baseOf(each.n, 0));
        else if (each.do === 'fail') disk.fails = true;
        else if (each.do === 'rest') await systemClock.sleep(each.ms);
        else {
          disk.fails = false;
          await site.kill(each.clean);
          await isTheFold(site);
        }
      }
      disk.fails = false;
      await inTime(Promise.all(under));
      await isTheFold(site);
      expect(site.learner.base).toEqual(site.recorded);
      // What is on disk leads to the same model.
      await site.kill(false);
      await isTheFold(site);
      await closing.pop()!();
    }),
    { numRuns: Number(process.env.RUNS ?? 30), endOnFailure: true, interruptAfterTimeLimit: 500_000 },
  );
}, 600_000);

test('of several bases that are asked for at once each is run in turn, and each is told', async () => {
  const site = await openSite();
  await join(site, range(0, 20));
  await give(
    site,
    Array.from({ length: 20 }, (_, n) => [n, eventOf(n).label] as const),
  );
  const bases = await Promise.all([0, 1, 2].map((n) => baseOf(n, 10)));
  await inTime(Promise.all(bases.map((base) => site.learner.install(base))));
  expect(site.learner.base).toEqual(bases[2]);
  await isTheFold(site);
});

test('labels that never stop coming do not hold up a swap', async () => {
  let slow = 0;
  const site = await openSite(() => slow);
  await join(site, range(0, 400));
  slow = 3;
  let n = 0;
  let going = true;
  const labelling = (async () => {
    for (; going && n < 400; n++) {
      void give(site, [[n, eventOf(n).label]]);
      await systemClock.sleep(1);
    }
  })();
  await systemClock.sleep(60);
  await inTime(site.learner.install(await baseOf(1, 0)));
  expect(n, 'they were still coming').toBeLessThan(400);
  going = false;
  await labelling;
  await isTheFold(site);
});

test('an append that fails while a base waits for it holds up nothing', async () => {
  const site = await openSite();
  await join(site, range(0, 6));
  await give(
    site,
    [0, 1, 2].map((n) => [n, eventOf(n).label] as const),
  );
  await site.learner.settled();
  disk.fails = true;
  const failing = give(site, [[3, eventOf(3).label]]).then(
    () => 'durable',
    () => 'failed',
  );
  const installed = site.learner.install(await baseOf(1, 0));
  expect(await failing).toBe('failed');
  await inTime(installed);
  await isTheFold(site);
  expect(site.learner.labels).toBe(3);
});

test('a label that lies in one base and not in the other is taken back while the one makes room for the other', async () => {
  let slow = 0;
  const site = await openSite(() => slow);
  await join(site, range(0, 40));
  await give(
    site,
    Array.from({ length: 40 }, (_, n) => [n, eventOf(n).label] as const),
  );
  await site.learner.install(await baseOf(1, 30));
  slow = 20;
  const back = site.learner.install(await baseOf(2, 0)); // knows none of them
  await systemClock.sleep(10);
  await give(site, [[4, flip(eventOf(4).label)]]);
  slow = 0;
  await inTime(back);
  await isTheFold(site);
  expect(site.learner.labels).toBe(40);
});

test('what was tested under earlier bases stays counted, once, over a swap, a correction after it and a restart', async () => {
  const site = await openSite();
  const all = Array.from({ length: 40 }, (_, n) => [n, eventOf(n).label] as const);
  await join(site, range(0, 40));
  await give(site, all.slice(0, 30));
  await site.learner.install(await baseOf(1, 20));
  expect(site.learner.quality.total.tested).toBe(30);
  await give(site, [[25, flip(eventOf(25).label)]]);
  await site.learner.settled();
  expect(site.learner.quality.total.tested).toBe(30);
  site.recorded = site.learner.base;
  await site.kill(true);
  await give(site, [[26, flip(eventOf(26).label)], ...all.slice(30)]);
  await site.learner.settled();
  expect(site.learner.quality.total.tested).toBe(40);
});
