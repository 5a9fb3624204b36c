import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { upperBound } from '../../src/web/bound.ts';
import { Series } from '../../src/web/series.ts';

const columns = { a: 'mean', b: 'sum', c: 'max', d: 'last', e: 'min' } as const;
const make = (capacity = 4) => new Series({ resolutionMs: 10, capacity, columns });

describe('a series', () => {
  it('makes one value of all in a bucket, each column by its rule', () => {
    const series = make();
    series.add(100, { a: 1, b: 1, c: 1, d: 1, e: 1 });
    series.add(109, { a: 4, b: 4, c: 4, d: 4, e: 4 }, 2);
    series.add(105, { c: 2, d: 3 });
    expect(series.points()).toEqual({ at: [100], values: { a: [3], b: [5], c: [4], d: [3], e: [1] } });
  });

  it('keeps buckets without a value out, and columns without one null', () => {
    const series = make();
    series.add(0, { a: 1, b: Number.NaN, c: null });
    series.add(30, { b: 2 });
    expect(series.points().at).toEqual([0, 30]);
    expect(series.points().values).toMatchObject({ a: [1, null], b: [null, 2], c: [null, null] });
  });

  it('forgets the oldest by count and by age', () => {
    const series = make(3);
    for (const at of [0, 10, 20, 30]) series.add(at, { b: at });
    expect(series.points().at).toEqual([10, 20, 30]);
    series.add(50, { b: 1 });
    expect(series.points().at).toEqual([30, 50]);
    series.add(1_000, { b: 1 });
    expect(series.points().at).toEqual([1_000]);
  });

  it('takes late values in their place and refuses those before its reach', () => {
    const series = make(3);
    series.add(30, { b: 3 });
    expect(series.add(15, { b: 1 })).toBe(true);
    expect(series.add(20, { b: 2 })).toBe(true);
    expect(series.points()).toMatchObject({ at: [10, 20, 30], values: { b: [1, 2, 3] } });
    expect(series.add(0, { b: 9 })).toBe(false);
    expect(series.add(Number.NaN, { b: 9 })).toBe(false);
    expect(series.add(30, { b: 9 }, 0)).toBe(false);
    expect(series.points().values.b).toEqual([1, 2, 3]);
  });

  it('gives only what begins at or after a time', () => {
    const series = make();
    for (const at of [0, 10, 20]) series.add(at, { b: 1 });
    expect(series.points(10).at).toEqual([10, 20]);
    expect(series.points(99).at).toEqual([]);
  });

  it('is in order, without doubles and bounded, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 80 }), (times) => {
        const series = make(7);
        const sums = new Map<number, number>();
        for (const at of times)
          if (series.add(at, { b: 1 })) {
            const bucket = Math.floor(at / 10) * 10;
            sums.set(bucket, (sums.get(bucket) ?? 0) + 1);
          }
        const { at, values } = series.points();
        expect(at).toEqual([...new Set(at)].sort((x, y) => x - y));
        expect(at.length).toBeLessThanOrEqual(7);
        if (at.length > 0) expect(at.at(-1)! - at[0]).toBeLessThan(70);
        expect(values.b).toEqual(at.map((time) => sums.get(time)));
      }),
    );
  });

  it('refuses a width or a length that is none', () => {
    expect(() => new Series({ resolutionMs: 0, capacity: 1, columns })).toThrow(RangeError);
    expect(() => new Series({ resolutionMs: 1, capacity: 0, columns })).toThrow(RangeError);
    expect(() => new Series({ resolutionMs: 1, capacity: 1.5, columns })).toThrow(RangeError);
  });
});

describe('the upper bound of a share', () => {
  it('of none in n is the rule of three', () => {
    expect(upperBound(0, 12_400)).toBeCloseTo(0.00024156, 8);
    expect(upperBound(0, 1)).toBeCloseTo(0.95, 12);
  });

  it('is the p at which so few have the chance of 5 %, to seven digits', () => {
    // Exact sums of the binomial distribution function.
    const chance = (k: number, n: number, p: number) => {
      let [term, sum] = [(1 - p) ** n, 0];
      for (let i = 0; i <= k; i++) {
        sum += term;
        term *= ((n - i) / (i + 1)) * (p / (1 - p));
      }
      return sum;
    };
    for (const [k, n] of [
      [1, 10],
      [3, 50],
      [9, 10],
      [7, 300],
      [40, 100],
    ])
      expect([k, n, chance(k, n, upperBound(k, n))]).toEqual([k, n, expect.closeTo(0.05, 7)]);
  });

  it('is never below what was seen, nor above one, and falls with more that is seen', () => {
    expect(upperBound(5, 5)).toBe(1);
    expect(upperBound(0, 0)).toBe(1);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 1, max: 100_000 }), (k, extra) => {
        const n = k + extra;
        const bound = upperBound(k, n);
        expect(bound).toBeGreaterThan(k / n);
        expect(bound).toBeLessThanOrEqual(1);
        expect(upperBound(k, 2 * n)).toBeLessThan(bound);
      }),
      { numRuns: 50 },
    );
  });
});
