import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  logisticAverage,
  Metrics,
  type MetricsReport,
  Quality,
  QualityWindow,
} from '../../src/task/metrics.ts';
import { seededRandom } from '../../src/task/random.ts';
import { missedAtRate, rankAreas, Scores } from '../../src/task/ranking.ts';

/** [truth, probability of the positive label] for labels ham, spam. */
type Case = readonly [truth: number, score: number];

function measure(cases: readonly Case[], seed = 1): MetricsReport {
  const metrics = new Metrics({ labels: ['ham', 'spam'], positive: 1, seed, mail: true });
  for (const [truth, score] of cases) {
    const scores = Float32Array.of(9, 1 - score, score);
    metrics.add(truth, score > 0.5 ? 1 : 0, scores, 1);
  }
  return metrics.report();
}

function scoresOf(values: readonly number[]): Scores {
  const scores = new Scores();
  for (const value of values) scores.add(value);
  return scores;
}

describe('counts', () => {
  // truth:     a a a a b b c c c c     10 events, 6 right
  // predicted: a a b a b c c c a c  -> 7 right
  const truth = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2];
  const predicted = [0, 0, 1, 0, 1, 2, 2, 2, 0, 2];
  const metrics = new Metrics({ labels: ['a', 'b', 'c'], positive: 2, seed: 1 });
  truth.forEach((t, i) => {
    const scores = new Float32Array(3).fill(0.1);
    scores[predicted[i]] = 0.8;
    metrics.add(t, predicted[i], scores, 0);
  });
  const report = metrics.report();

  it('match an example worked by hand', () => {
    expect(report.confusion).toEqual([
      [3, 1, 0],
      [0, 1, 1],
      [1, 0, 3],
    ]);
    expect(report.accuracy).toBeCloseTo(0.7, 12);
    expect(report.errorRate).toBeCloseTo(0.3, 12);
    expect(report.precision).toEqual({ a: 3 / 4, b: 1 / 2, c: 3 / 4 });
    expect(report.recall).toEqual({ a: 3 / 4, b: 1 / 2, c: 3 / 4 });
    expect(report.f1).toEqual({ a: 0.75, b: 0.5, c: 0.75 });
    expect(report.macroF1).toBeCloseTo(2 / 3, 12);
    // Chance: (4*4 + 2*2 + 4*4) / 100.
    expect(report.kappa).toBeCloseTo((0.7 - 0.36) / 0.64, 12);
    // The label repeats in 7 of 10 places (the first has none before it).
    expect(report.baselines).toEqual({ majority: 0.4, noChange: 0.7 });
    expect(report.kappaTemporal).toBeCloseTo(0, 12);
    expect(report.logLoss).toBeCloseTo(-(7 * Math.log(0.8) + 3 * Math.log(0.1)) / 10, 6);
    // All in the bin of 0.8: |0.7 - 0.8|.
    expect(report.calibrationError).toBeCloseTo(0.1, 6);
  });

  it('have no ranking measures with more than two labels', () => {
    expect(report.rocAuc).toBeUndefined();
    expect(report.lamPercent).toBeUndefined();
  });

  it('are null, not NaN, where nothing was tested', () => {
    const empty = new Metrics({ labels: ['a', 'b'], positive: 1, seed: 1, mail: true }).report();
    expect(empty).toMatchObject({ tested: 0, accuracy: null, kappa: null, logLoss: null, macroF1: null });
    expect(JSON.stringify(empty)).not.toContain('NaN');
  });

  it('give every bin of the calibration error its share', () => {
    const cases: Case[] = [
      [1, 0.9],
      [0, 0.9],
      [0, 0.2],
      [0, 0.2],
    ];
    // Bin of 0.9: 2 events, 1 right; bin of 0.8 (ham): 2 events, 2 right.
    expect(measure(cases).calibrationError).toBeCloseTo(
      (2 * Math.abs(0.5 - 0.9) + 2 * Math.abs(1 - 0.8)) / 4,
      6,
    );
  });

  it('bound the price of a certain mistake', () => {
    expect(measure([[1, 0]]).logLoss).toBeCloseTo(-Math.log(1e-15), 6);
  });
});

describe('ranking', () => {
  const scored = fc.array(fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 12 })), {
    minLength: 2,
    maxLength: 80,
  });

  it('gives the ROC AUC of counting every pair, ties one half', () => {
    fc.assert(
      fc.property(scored, (cases) => {
        const of = (label: number) => cases.filter(([l]) => l === label).map(([, s]) => s / 16);
        const [negatives, positives] = [of(0), of(1)];
        fc.pre(negatives.length > 0 && positives.length > 0);
        let pairs = 0;
        for (const p of positives) for (const n of negatives) pairs += p > n ? 1 : p === n ? 0.5 : 0;
        const found = rankAreas(scoresOf(positives), scoresOf(negatives), seededRandom(1, 'x'));
        expect(found!.rocAuc.value).toBeCloseTo(pairs / positives.length / negatives.length, 10);
      }),
      { numRuns: 60, seed: 5 },
    );
  });

  it('gives the average precision of summing over every threshold', () => {
    fc.assert(
      fc.property(scored, (cases) => {
        const positives = cases.filter(([l]) => l === 1).length;
        fc.pre(positives > 0 && positives < cases.length);
        let [area, before] = [0, 0];
        for (const threshold of [...new Set(cases.map(([, s]) => s))].sort((a, b) => b - a)) {
          const above = cases.filter(([, s]) => s >= threshold);
          const hits = above.filter(([l]) => l === 1).length;
          area += ((hits - before) / positives) * (hits / above.length);
          before = hits;
        }
        const report = measure(cases.map(([l, s]) => [l, s / 16] as const));
        expect(report.prAuc).toBeCloseTo(area, 10);
      }),
      { numRuns: 60, seed: 6 },
    );
  });

  it('brackets the estimate by an interval as wide as theory says, the same for one seed', () => {
    const random = seededRandom(3, 'cases');
    const cases = Array.from(
      { length: 2_000 },
      (_, i): Case => [i % 2, (random() + random() + (i % 2) * 0.5) / 2.5],
    );
    const a = measure(cases);
    expect(measure(cases).intervals).toEqual(a.intervals);
    expect(measure(cases, 2).intervals).not.toEqual(a.intervals);
    const [low, high] = a.intervals!.rocAuc;
    // Hanley & McNeil 1982, standard error of an AUC from n positives and n negatives.
    const [auc, n] = [a.rocAuc!, 1_000];
    const [q1, q2] = [auc / (2 - auc), (2 * auc ** 2) / (1 + auc)];
    const error = Math.sqrt((auc * (1 - auc) + (n - 1) * (q1 + q2 - 2 * auc ** 2)) / n ** 2);
    expect(high - low).toBeGreaterThan(3.92 * error * 0.85);
    expect(high - low).toBeLessThan(3.92 * error * 1.15);
    expect(low).toBeLessThan(auc);
    expect(high).toBeGreaterThan(auc);
    expect(a.oneMinusAucPercent).toBeCloseTo(100 * (1 - auc), 10);
    expect(a.intervals!.oneMinusAucPercent[0]).toBeCloseTo(100 * (1 - high), 10);
  });

  it('stays exact, with a sound interval, on more scores than it resamples one by one', () => {
    const random = seededRandom(4, 'many');
    const cases = Array.from({ length: 30_000 }, (_, i): Case => [i % 2, (random() + (i % 2) * 0.3) / 1.3]);
    const report = measure(cases);
    // P(U + 0.3 > V) for uniform U, V.
    expect(report.rocAuc).toBeCloseTo(1 - 0.7 ** 2 / 2, 2);
    const [low, high] = report.intervals!.rocAuc;
    expect(high - low).toBeGreaterThan(0.006);
    expect(high - low).toBeLessThan(0.013);
  });

  it('has none where one label is absent', () => {
    expect(measure([[0, 0.2]]).rocAuc).toBeUndefined();
    expect(measure([[0, 0.2]]).spamMissedAtHam0_1Percent).toBeNull();
  });
});

describe('mail', () => {
  it('counts misclassified ham and spam in percent, and their logistic average', () => {
    const cases: Case[] = [
      ...Array.from({ length: 99 }, (): Case => [0, 0.1]),
      [0, 0.9],
      ...Array.from({ length: 9 }, (): Case => [1, 0.9]),
      [1, 0.1],
    ];
    const report = measure(cases);
    expect(report.hamMisclassifiedPercent).toBeCloseTo(1, 12);
    expect(report.spamMisclassifiedPercent).toBeCloseTo(10, 12);
    const logit = (p: number) => Math.log(p / (1 - p));
    const mean = (logit(0.01) + logit(0.1)) / 2;
    expect(report.lamPercent).toBeCloseTo(100 / (1 + Math.exp(-mean)), 10);
  });

  it.each([
    [0, 10, 0],
    [0, 0, 0],
    [100, 10, 100],
    [0, 100, null],
  ])('takes the logistic average of %d and %d to its limit %j', (a, b, expected) => {
    expect(logisticAverage(a, b)).toBe(expected);
  });

  it('lets at most floor(rate x ham) ham reach the threshold, ties with ham being missed', () => {
    const ham = Array.from({ length: 2_000 }, (_, i) => i / 4_000);
    // Two may pass: 1999/4000 and 1998/4000. The threshold lies above 1997/4000.
    const spam = [1998 / 4000, 1997 / 4000, 0.1, 0.9];
    expect(missedAtRate(scoresOf(spam), scoresOf(ham), 0.001)).toBe(0.5);
    expect(missedAtRate(scoresOf(spam), scoresOf(ham.slice(0, 999)), 0.001)).toBe(0.25);
    expect(missedAtRate(scoresOf([0.3, 0.5]), scoresOf([0.5]), 0.001)).toBe(1);
    expect(missedAtRate(scoresOf([0.3]), scoresOf([]), 0.001)).toBe(0);
  });
});

describe('the window of a gateway', () => {
  it('reports since its last close while the total goes on, and survives save and restore', () => {
    const quality = new QualityWindow(['ok', 'fault']);
    quality.add(0, 0, Float32Array.of(0.5, 0.5));
    quality.add(1, 0, Float32Array.of(0.75, 0.25));
    expect(quality.close()).toMatchObject({
      tested: 2,
      accuracy: 0.5,
      logLoss: (Math.log(2) + Math.log(4)) / 2,
    });
    quality.add(1, 1, Float32Array.of(0, 1));
    const again = QualityWindow.restore(['ok', 'fault'], quality.save());
    for (const each of [quality, again]) {
      each.add(1, 1, Float32Array.of(0, 1));
      expect(each.close()).toMatchObject({ tested: 2, accuracy: 1, logLoss: 0 });
      expect(each.total.report()).toMatchObject({
        tested: 4,
        accuracy: 0.75,
        confusion: [
          [1, 0],
          [1, 2],
        ],
      });
      // fault after fault: two repetitions of four.
      expect(each.total.sameAsLast).toBe(2);
      expect(each.close().accuracy).toBeNull();
    }
  });

  it('does not count a verdict that gave no label', () => {
    const quality = new QualityWindow(['a', 'b']);
    quality.add(0, -1, Float32Array.of(0.5, 0.5));
    expect(quality.total.tested).toBe(0);
  });

  it('begins anew where the labels have changed', () => {
    const quality = new QualityWindow(['a', 'b']);
    quality.add(0, 0, Float32Array.of(1, 0));
    expect(QualityWindow.restore(['b', 'a'], quality.save()).total.tested).toBe(0);
  });

  it('knows a repetition across a close', () => {
    const quality = new Quality(2);
    quality.add(1, 1, 1);
    quality.reset();
    quality.add(1, 1, 1);
    expect(quality.sameAsLast).toBe(1);
  });
});
