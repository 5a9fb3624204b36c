/** Each detector on streams made for it: what it finds, what it leaves alone, and what its options mean. */
import { describe, expect, test } from 'vitest';
import { chiSquareQuantile, chiSquareTail } from '../../src/drift/chi-square.ts';
import { detectors } from '../../src/drift/index.ts';
import { stabilityIndex } from '../../src/drift/psi.ts';
import { alarms, errors, normal } from './streams.ts';

const { adwin, ddm, kswin, psi, sequential } = detectors;
const pageHinkley = detectors['page-hinkley'];
const seeds = Array.from({ length: 20 }, (_, i) => i + 1);
const count = (values: readonly number[][]): number => values.reduce((sum, { length }) => sum + length, 0);

describe('ADWIN', () => {
  test('finds a change of the error rate soon after it and none before', () => {
    const found = alarms(adwin.create({}), errors(1, 0.1, 3_000, 0.4, 1_000));
    expect(found[0]).toBeGreaterThanOrEqual(3_000);
    expect(found[0]).toBeLessThan(3_200);
  });

  test('leaves streams without a change alone', () => {
    expect(count(seeds.map((seed) => alarms(adwin.create({}), errors(seed, 0.2, 5_000))))).toBeLessThan(5);
  });

  test('forgets the old level when it tells', () => {
    const detector = adwin.create({});
    alarms(detector, errors(2, 0.1, 2_000, 0.6, 2_000));
    const { state } = JSON.parse(detector.save()) as {
      state: { rows: { sum: number }[][] };
    };
    const kept = state.rows.flatMap((row, size) => row.map(({ sum }) => ({ sum, n: 2 ** size })));
    const mean = kept.reduce((sum, b) => sum + b.sum, 0) / kept.reduce((n, b) => n + b.n, 0);
    expect(mean).toBeGreaterThan(0.55);
  });

  test('tells only the side that was asked for', () => {
    const fall = errors(3, 0.6, 2_000, 0.1, 1_000);
    expect(alarms(adwin.create({ side: 'up' }), fall)).toEqual([]);
    expect(alarms(adwin.create({ side: 'down' }), fall).length).toBeGreaterThan(0);
  });

  test('holds a million values in a few kilobytes', () => {
    const detector = adwin.create({ every: 1_000 });
    for (let i = 0; i < 1_000_000; i++) detector.update(i & 1);
    expect(detector.save().length).toBeLessThan(10_000);
  });
});

describe('DDM', () => {
  test('finds a rising error rate, and takes a falling one for progress', () => {
    const rise = alarms(ddm.create({}), errors(1, 0.02, 2_000, 0.3, 500));
    expect(rise.some((at) => at >= 2_000 && at < 2_150)).toBe(true);
    expect(alarms(ddm.create({}), errors(1, 0.5, 1_000, 0.02, 1_000))).toEqual([]);
  });

  test('says nothing of its first values, however bad', () => {
    expect(alarms(ddm.create({ least: 100 }), new Array(99).fill(1))).toEqual([]);
  });

  test('is not woken by the first error after a clean start alone', () => {
    expect(alarms(ddm.create({}), [...new Array(40).fill(0), 1])).toEqual([]);
  });
});

describe('Page-Hinkley', () => {
  const given = { delta: 0.2, threshold: 20 };

  test('finds a rise by hand-made sums: 25 deviations of 1 less 0.2 each', () => {
    const stream = [...new Array(1_000).fill(0), ...new Array(40).fill(1)];
    const [at] = alarms(pageHinkley.create(given), stream);
    expect(at - 1_000).toBeGreaterThanOrEqual(24);
    expect(at - 1_000).toBeLessThanOrEqual(27);
  });

  test('tells falls only where they were asked for', () => {
    const fall = [...new Array(1_000).fill(1), ...new Array(60).fill(0)];
    expect(alarms(pageHinkley.create(given), fall)).toEqual([]);
    expect(alarms(pageHinkley.create({ ...given, side: 'both' }), fall)).toHaveLength(1);
    expect(alarms(pageHinkley.create({ ...given, side: 'down' }), fall)).toHaveLength(1);
  });

  test('tolerates a change within delta for ever', () => {
    const stream = [...new Array(500).fill(0), ...new Array(20_000).fill(0.15)];
    expect(alarms(pageHinkley.create(given), stream)).toEqual([]);
  });
});

describe('KSWIN', () => {
  test('finds a change of spread that leaves the mean where it was', () => {
    const still = normal(1, 2_000);
    const wild = normal(2, 300).map((value) => value * 8);
    const found = alarms(kswin.create({ alpha: 0.001 }), [...still, ...wild]);
    expect(found.some((at) => at >= 2_000 && at < 2_100)).toBe(true);
  });

  test('draws by its seed: the same seed tells the same, and alpha bounds what is told by chance', () => {
    const stream = normal(3, 4_000);
    const one = alarms(kswin.create({ alpha: 0.01, seed: 5 }), stream);
    expect(alarms(kswin.create({ alpha: 0.01, seed: 5 }), stream)).toEqual(one);
    expect(
      count(seeds.slice(0, 5).map((seed) => alarms(kswin.create({}), normal(seed, 4_000)))),
    ).toBeLessThan(5);
  });

  test('refuses a recent part larger than half of the window', () => {
    expect(() => kswin.create({ window: 50, recent: 30 })).toThrow(/recent/);
  });
});

describe('PSI', () => {
  test('states its false alarms: one window in a hundred, whatever the sizes', () => {
    for (const [reference, window] of [
      [1_000, 50],
      [2_000, 500],
      [300, 300],
    ]) {
      const windows = 100;
      const streams = seeds.map((seed) => normal(seed, reference + windows * window));
      const told = count(
        streams.map((stream) => alarms(psi.create({ reference, window, alpha: 0.01 }), stream)),
      );
      // 2,000 windows: 20 expected; the reference is drawn too and shared by a run's windows.
      expect(told, `${reference}/${window}`).toBeLessThan(60);
      expect(told, `${reference}/${window}`).toBeGreaterThan(2);
    }
  });

  test('the customary 0.25 would cry in every second window of 50', () => {
    const counts = (seed: number, n: number): number[] => {
      const bins = new Array<number>(10).fill(0);
      for (const value of normal(seed, n)) bins[Math.min(9, Math.max(0, Math.floor((value + 2.5) * 2)))] += 1;
      return bins;
    };
    const beyond = seeds.filter((seed) => stabilityIndex(counts(99, 1_000), counts(seed, 50)) > 0.1);
    expect(beyond.length).toBeGreaterThan(10);
  });

  test('finds a shift at the end of the window in which it is plain', () => {
    const [at] = alarms(psi.create({}), normal(4, 3_000, 1, 400));
    expect(at).toBeGreaterThan(3_000);
    expect(at).toBeLessThan(3_400);
  });

  test('takes values that repeat, and a constant that ends', () => {
    const rate = errors(5, 0.1, 3_000, 0.5, 600);
    expect(alarms(psi.create({}), rate).filter((at) => at >= 3_000)).not.toEqual([]);
    expect(alarms(psi.create({}), [...new Array(3_000).fill(7), ...new Array(400).fill(8)])).toHaveLength(1);
    expect(alarms(psi.create({}), new Array(5_000).fill(7))).toEqual([]);
  });
});

test('chi-square thresholds are those of the tables', () => {
  expect(chiSquareQuantile(0.05, 1)).toBeCloseTo(3.8415, 3);
  expect(chiSquareQuantile(0.01, 9)).toBeCloseTo(21.666, 3);
  expect(chiSquareQuantile(0.001, 63)).toBeCloseTo(103.442, 2);
  for (const degrees of [1, 2, 9, 63])
    for (const alpha of [0.3, 0.01, 1e-6]) {
      const back = chiSquareTail(chiSquareQuantile(alpha, degrees), degrees);
      expect(back / alpha).toBeCloseTo(1, 6);
    }
});

describe('the sequential detector', () => {
  test.each([
    [0.01, 0.02, 2_353],
    [0.02, 0.1, 109],
    [0.1, 0.2, 207],
    [0.2, 0.5, 41],
  ])('tells errors from %d to %d within 1.5 floors on average, at its budget', (p0, p1, floor) => {
    const runs = 60;
    let [told, waited, before] = [0, 0, 0];
    for (let seed = 1; seed <= runs; seed++) {
      const found = alarms(sequential.create({}), errors(seed, p0, 10_000, p1, 10_000));
      before += found.filter((at) => at < 10_000).length;
      const first = found.find((at) => at >= 10_000);
      if (first === undefined) continue;
      told += 1;
      waited += first - 9_999;
    }
    expect(waited / told).toBeLessThan(1.5 * floor);
    expect(told).toBeGreaterThan(runs * 0.9);
    // Budget: one in 10,000 values.
    expect(before).toBeLessThan(runs);
  });

  test.each([
    [0.25, 295],
    [1, 18.4],
  ])('tells normal values that rise by %d deviations, of whatever unit', (shift, floor) => {
    const runs = 30;
    let waited = 0;
    for (let seed = 1; seed <= runs; seed++) {
      const stream = normal(seed, 5_000, shift, 3_000).map((value) => 1e6 + 300 * value);
      const found = alarms(sequential.create({ kind: 'normal', side: 'both' }), stream);
      waited += (found.find((at) => at >= 5_000) ?? 8_000) - 4_999;
    }
    expect(waited / runs).toBeLessThan(1.5 * floor);
  });

  test('keeps its budget with a level that was given, on either side', () => {
    const told = (given: object) =>
      count(
        seeds.map((seed) => alarms(sequential.create({ arl: 2_000, ...given }), errors(seed, 0.2, 20_000))),
      );
    // 400,000 values: at most 200 expected.
    expect(told({ level: 0.2 })).toBeLessThan(200);
    expect(told({ level: 0.2, side: 'both' })).toBeLessThan(200);
    expect(told({ level: 0.1 })).toBeGreaterThan(1_000);
  });

  test('tells falls where they were asked for, and not where they were not', () => {
    const fall = errors(7, 0.5, 3_000, 0.2, 1_000);
    expect(alarms(sequential.create({}), fall).filter((at) => at >= 3_000 && at < 3_400)).toEqual([]);
    expect(alarms(sequential.create({ side: 'down' }), fall)[0]).toBeLessThan(3_200);
  });

  test('is not shaken by one value, however wild, nor by a start without any error', () => {
    const stream = normal(8, 3_000);
    stream[2_000] = 1e12;
    expect(alarms(sequential.create({ kind: 'normal', side: 'both', arl: 1e6 }), stream)).toEqual([]);
    expect(alarms(sequential.create({}), [...new Array(2_000).fill(0), 1])).toEqual([]);
  });

  test('refuses a rate outside 0..1 and a level without its deviation', () => {
    expect(() => sequential.create({ level: 1.5 })).toThrow(/level/);
    expect(() => sequential.create({ kind: 'normal', level: 3 })).toThrow(/deviation/);
  });
});
