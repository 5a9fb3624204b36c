import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatencyHistogram } from '../src/latency.ts';

test('percentiles are never told too small and at most 5 % too large', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.001, max: 100_000, noNaN: true }), { minLength: 1 }),
      (values) => {
        const histogram = new LatencyHistogram();
        for (const value of values) histogram.add(value);
        const sorted = [...values].sort((a, b) => a - b);
        for (const q of [0.5, 0.95, 0.99, 1]) {
          const exact = sorted[Math.ceil(q * sorted.length) - 1];
          const told = histogram.percentile(q);
          expect(told).toBeGreaterThanOrEqual(exact * 0.994);
          expect(told).toBeLessThanOrEqual(exact * 1.06);
        }
      },
    ),
  );
});

test('an empty histogram says 0, and what is no time or beyond all times spoils nothing', () => {
  const histogram = new LatencyHistogram();
  expect(histogram.summary()).toEqual({ p50: 0, p95: 0, p99: 0 });
  for (const odd of [-3, 0, Number.NaN, 1e12, Number.POSITIVE_INFINITY]) histogram.add(odd);
  expect(histogram.count).toBe(5);
  expect(Number.isFinite(histogram.percentile(1))).toBe(true);
  histogram.reset();
  expect(histogram.summary()).toEqual({ p50: 0, p95: 0, p99: 0 });
});

test('merged histograms tell what one would that saw it all', () => {
  const [one, two, all] = [new LatencyHistogram(), new LatencyHistogram(), new LatencyHistogram()];
  for (let i = 1; i <= 10_000; i++) {
    (i % 3 === 0 ? one : two).add(i / 10);
    all.add(i / 10);
  }
  one.merge(two);
  expect(one.summary()).toEqual(all.summary());
});
