/** One stream of block values: what is told, what is usual, and when it is over. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LEARN_LEVEL, Tracker } from '../../src/drift/monitor/tracker.ts';
import { LEARN } from '../../src/drift/monitor/tracker-state.ts';
import { seededRandom } from '../../src/task/random.ts';
import { normal } from './streams.ts';

const ARL = 1e6;

function run(tracker: Tracker, values: Iterable<number>, error = 0) {
  const changes: {
    readonly block: number;
    readonly state: string;
    readonly since: number;
    readonly now: number;
  }[] = [];
  let block = 0;
  for (const value of values) {
    const change = tracker.add(value, error, block * 10);
    if (change) changes.push({ block, state: change.state, since: change.since, now: change.now });
    block += 1;
  }
  return changes;
}

/** AR(1) of deviation 1. */
function related(seed: number, n: number, by: number): Float64Array {
  let last = 0;
  return normal(seed, n).map((e) => {
    last = by * last + Math.sqrt(1 - by * by) * e;
    return last;
  });
}

const seeds = Array.from({ length: 20 }, (_, i) => i + 1);

test.each([
  ['independent', (seed: number) => normal(seed, 10_000)],
  ['each like the one before', (seed: number) => related(seed, 10_000, 0.8)],
  [
    'with a daily rhythm',
    (seed: number) =>
      related(seed, 10_000, 0.5).map((x, i) => x + 9 * Math.sin((2 * Math.PI * i) / 43_200 + seed)),
  ],
  [
    'with short outbursts',
    (seed: number) => {
      const random = seededRandom(seed, 'bursts');
      let left = 0;
      return normal(seed, 10_000).map((x) => {
        left = left > 0 ? left - 1 : random() < 0.003 ? 2 : 0;
        return x + (left > 0 ? 20 : 0);
      });
    },
  ],
])('blocks %s: 200,000 of them tell nothing', (_, make) => {
  const told = seeds.flatMap((seed) => run(new Tracker('both', ARL), make(seed)));
  expect(told).toEqual([]);
});

test('episodes that come again and again become usual: a few alarms at most', () => {
  const told = seeds.map((seed) => {
    const random = seededRandom(seed, 'episodes');
    let left = 0;
    const stream = normal(seed, 10_000).map((x) => {
      left = left > 0 ? left - 1 : random() < 0.03 ? 5 : 0;
      return (left > 0 ? 1 : 0) + 0.2 * x;
    });
    return run(new Tracker('up', ARL), stream).filter(({ state }) => state === 'drift').length;
  });
  expect(Math.max(...told)).toBeLessThanOrEqual(3);
});

test('a large step is told within a dozen blocks, with the block since when and both levels', () => {
  const off = seeds.map((seed) => {
    const stream = related(seed, 400, 0.5).map((x, i) => 50 + x + (i >= 200 ? 8 : 0));
    const [drift] = run(new Tracker('both', 1e8), stream);
    expect(drift.state).toBe('drift');
    expect(drift.block - 200).toBeLessThan(12);
    expect(drift.now).toBeGreaterThan(53);
    return Math.abs(drift.since / 10 - 200);
  });
  off.sort((a, b) => a - b);
  expect(off[10]).toBeLessThanOrEqual(2);
  expect(off[19]).toBeLessThanOrEqual(10);
});

test('an alarm is over when the stream is back, and can be told again', () => {
  const stream = normal(3, 600).map((x, i) => x + ((i >= 100 && i < 130) || i >= 300 ? 8 : 0));
  const changes = run(new Tracker('both', ARL), stream);
  expect(changes.slice(0, 3).map(({ state }) => state)).toEqual(['drift', 'over', 'drift']);
  expect(changes[1].block).toBeGreaterThan(130);
  expect(changes[1].block).toBeLessThan(160);
  expect(changes[1].since).toBe(changes[0].since);
});

test('a level that stays becomes the usual one: over once, then silent, and a way back is a change too', () => {
  const stream = normal(4, 900).map((x, i) => x + (i >= 100 && i < 600 ? 8 : 0));
  const changes = run(new Tracker('both', ARL), stream);
  expect(changes.map(({ state }) => state)).toEqual(['drift', 'over', 'drift', 'over']);
  expect(changes[1].now).toBeGreaterThan(7);
  expect(changes[2].block).toBeGreaterThanOrEqual(600);
});

test('a side that was not asked for is never told', () => {
  const stream = normal(5, 400).map((x, i) => x - (i >= 200 ? 8 : 0));
  expect(run(new Tracker('up', ARL), stream)).toEqual([]);
  expect(run(new Tracker('down', ARL), stream)[0].state).toBe('drift');
});

test('no step smaller than the standard error that came with it is told', () => {
  const stream = new Array(400).fill(0).map((_, i) => (i >= 200 ? 0.01 : 0));
  expect(run(new Tracker('both', ARL), stream, 0.01)).toEqual([]);
  expect(run(new Tracker('both', ARL), stream, 0.001)[0].state).toBe('drift');
});

test('relearn ends an alarm and makes the next blocks the reference', () => {
  const tracker = new Tracker('both', ARL);
  run(
    tracker,
    normal(6, 200).map((x, i) => x + (i >= 180 ? 9 : 0)),
  );
  expect(tracker.alarmed).toBe(true);
  expect(tracker.relearn()?.state).toBe('over');
  expect(tracker.armed).toBe(false);
  run(
    tracker,
    normal(7, LEARN).map((x) => x + 100),
  );
  expect(tracker.armed).toBe(true);
  expect(tracker.level).toBeGreaterThan(95);
});

test.each([
  // How much one block follows another is hardly known yet: what comes so early has to be large.
  { what: 'a first reference', keep: false, blocks: LEARN, step: 8 },
  { what: 'a first reference and as much again', keep: false, blocks: 2 * LEARN, step: 4 },
  { what: 'another level with known spreads', keep: true, blocks: LEARN_LEVEL, step: 4 },
])('a change of $step spreads that comes as soon as $what is learned is told', ({ keep, blocks, step }) => {
  let told = 0;
  for (let seed = 0; seed < 100; seed++) {
    const tracker = new Tracker('up', 1e6);
    run(tracker, normal(seed, 200));
    expect(tracker.relearn(keep)).toBe(null);
    run(tracker, normal(1_000 + seed, blocks));
    expect(tracker.armed).toBe(true);
    const [change] = run(
      tracker,
      normal(2_000 + seed, 25).map((x) => x + step),
    );
    if (change?.state === 'drift') told += 1;
  }
  // What few blocks make of the spread is sometimes too wide.
  expect(told).toBeGreaterThanOrEqual(92);
});

test('a new level worse than what was borne before is a change, with the time from which it holds', () => {
  const told = (side: 'up' | 'down' | 'both', step: number) => {
    const tracker = new Tracker(side, ARL);
    run(tracker, normal(8, 200));
    tracker.relearn(true);
    const values = normal(9, LEARN_LEVEL).map((x) => x + step);
    return run(tracker, values);
  };
  expect(told('up', 8)).toMatchObject([{ state: 'drift', block: LEARN_LEVEL - 1 }]);
  expect(told('up', 8)[0].now).toBeGreaterThan(7);
  expect(told('down', -8)).toMatchObject([{ state: 'drift' }]);
  expect([told('up', -8), told('down', 8), told('both', 8), told('up', 0.5)]).toEqual([[], [], [], []]);
});

test('levels that are learned anew are no alarm: 500 streams with correlated blocks, five new levels each', () => {
  let alarms = 0;
  for (let seed = 0; seed < 500; seed++) {
    const tracker = new Tracker('up', 1e6);
    const values = normal(seed, 900);
    let state = 0;
    const stream = values.map((x) => {
      state = 0.6 * state + x;
      return state;
    });
    alarms += run(tracker, stream.slice(0, 150)).length;
    for (let part = 1; part < 6; part++) {
      tracker.relearn(true);
      alarms += run(tracker, stream.slice(150 * part, 150 * part + 150)).length;
    }
  }
  // 450,000 blocks at one alarm in a million; the rest is what few blocks cannot know of their spread.
  expect(alarms).toBeLessThanOrEqual(4);
});

test('goes on after save and restore as if nothing had been, wherever it is cut', () => {
  fc.assert(
    fc.property(
      fc.nat(1_000),
      fc.nat(299),
      fc.double({ min: -10, max: 10, noNaN: true }),
      (seed, cut, step) => {
        const stream = normal(seed, 300).map((x, i) => x + (i % 100 >= 60 ? step : 0));
        const whole = new Tracker('both', ARL);
        let parted = new Tracker('both', ARL);
        stream.forEach((value, i) => {
          if (i === cut) {
            const state = JSON.parse(JSON.stringify(parted.save()));
            parted = new Tracker('both', ARL);
            parted.restore(state);
          }
          expect(parted.add(value, 0.1, i)).toEqual(whole.add(value, 0.1, i));
        });
        expect(parted.save()).toEqual(whole.save());
      },
    ),
    { numRuns: 40, seed: 5 },
  );
});

test('a large change begins where it begins, whatever small rise went before it', () => {
  let early = 0;
  for (let seed = 0; seed < 50; seed++) {
    const stream = normal(seed, 300).map((x, i) => x + (i >= 240 ? 6 : i >= 225 ? 1 : 0));
    const change = run(new Tracker('up', 1e12), stream).find(({ block }) => block >= 240);
    expect(change?.state).toBe('drift');
    if ((change?.since ?? 0) < 2_380) early += 1;
  }
  expect(early).toBeLessThanOrEqual(3);
});
