import { describe, expect, it } from 'vitest';
import { area, precisionFor, ScoreBins } from '../../../src/task/html/bins.ts';
import { logisticRange, wilson } from '../../../src/task/html/interval.ts';
import { cut } from '../../../src/task/html/markup.ts';
import { linear, logarithmic, type Point, shares, thin } from '../../../src/task/html/scale.ts';
import { Timeline } from '../../../src/task/html/timeline.ts';
import { percent, short } from '../../../src/task/html/words.ts';
import { seededRandom } from '../../../src/task/random.ts';
import { collect, verdict, verdicts } from './support.ts';

describe('score bins', () => {
  it('keep scores apart that differ by a hair of 0 or 1, in their order', () => {
    const scores = [0, 1e-18, 1e-12, 1e-6, 0.01, 0.3, 0.5, 0.51, 0.7, 0.99, 1 - 1e-4, 1 - 1e-6, 1].map(
      Math.fround,
    );
    const bins = new ScoreBins();
    for (const score of scores) bins.add(score, true);
    const places = bins.places().slice(1);
    expect(places.map(({ hits }) => hits)).toEqual(scores.map((_, i) => i + 1));
    const thresholds = places.map(({ threshold }) => threshold).reverse();
    thresholds.forEach((threshold, i) => {
      expect(threshold).toBeLessThanOrEqual(scores[i] + 1e-9);
      expect(threshold).toBeGreaterThanOrEqual(scores[i] * 0.98 - 1e-18);
    });
  });

  it('take anything that is no probability without going astray', () => {
    const bins = new ScoreBins();
    for (const score of [Number.NaN, -1, 2, Infinity, -Infinity]) bins.add(score, false);
    expect(bins.places().at(-1)).toMatchObject({ alarms: 5 });
    expect(bins.roc()).toEqual([]);
  });

  it('have the area of the scores even when all lie within a thousandth of 1', () => {
    const random = seededRandom(1, 'near');
    const near = Array.from({ length: 4_000 }, (_, i) => {
      const hit = i % 2 === 0;
      return { hit, score: Math.fround(1 - 10 ** -(3 + 2 * random() + (hit ? 1 : 0))) };
    });
    const bins = new ScoreBins();
    for (const { hit, score } of near) bins.add(score, hit);
    const [hits, alarms] = [true, false].map((kind) => near.filter(({ hit }) => hit === kind));
    let pairs = 0;
    for (const a of hits)
      for (const b of alarms) pairs += a.score > b.score ? 1 : a.score === b.score ? 0.5 : 0;
    expect(area(bins.roc())).toBeCloseTo(pairs / (hits.length * alarms.length), 3);
  });

  it('get coarser, not more, with many labels', () => {
    expect(precisionFor(1)).toBe(6);
    expect(precisionFor(1_000)).toBeLessThan(6);
    expect(precisionFor(100_000)).toBe(0);
  });
});

describe('the time line', () => {
  it('tells the share of right answers in each window, and of the two that know nothing', () => {
    const line = new Timeline(2);
    // The first thousand all right and all alike, the second all wrong and alternating.
    for (let i = 0; i < 2_000; i++) line.add(i, i < 1_000 ? 0 : i % 2, i < 1_000 ? 0 : 1 - (i % 2));
    const moments = line.moments();
    expect(line.window).toBe(60);
    expect(moments[0].at).toBeLessThan(60);
    expect(moments.find(({ at }) => at >= 900)).toMatchObject({ accuracy: 1, noChange: 1, majority: 1 });
    expect(moments.at(-1)).toMatchObject({ at: 1_999, accuracy: 0, noChange: 0, majority: 0.5 });
  });

  it('needs no more room for a long stream, and still knows where it is', () => {
    const line = new Timeline(3);
    for (let i = 0; i < 1_000_000; i++) line.add(i + 500, i % 3, i < 700_000 ? i % 3 : 0);
    const moments = line.moments();
    expect(moments.length).toBeGreaterThan(450);
    expect(moments.length).toBeLessThanOrEqual(1_000);
    expect(moments.at(-1)!.at).toBe(1_000_499);
    expect(moments.find(({ at }) => at > 650_000)!.accuracy).toBe(1);
    expect(moments.at(-1)!.accuracy).toBeCloseTo(1 / 3, 2);
    expect(line.window).toBeGreaterThan(25_000);
    expect(line.window).toBeLessThan(35_000);
  });
});

describe('the collector', () => {
  it('keeps the twenty surest mistakes, the surest first', () => {
    const stream = Array.from({ length: 500 }, (_, i) => verdict(i, 0, 0.5 + ((i * 37) % 500) / 1_001));
    const { mistakes } = collect(['no', 'yes'], stream).collector;
    const sure = stream.map(({ scores }) => scores[1]).sort((a, b) => b - a);
    expect(mistakes.map(({ probability }) => probability)).toEqual(sure.slice(0, 20));
    expect(mistakes[0]).toMatchObject({ id: 'f#28', at: 27, truth: 0, predicted: 1 });
  });

  it('shows of a mail its place in a file, never a file that may be named after its subject', () => {
    const ids = [
      'index.tsv#3',
      'inbox/Re your salary.eml#1',
      'Re your salary.eml#1',
      'jo@example.org.mbox#4',
    ];
    const stream = ids.map((id, i) => verdict(i, 0, 0.9 - i / 100, id));
    const shown = (mail: boolean) =>
      collect(['ham', 'spam'], stream, mail).collector.mistakes.map(({ id }) => id);
    expect(shown(true)).toEqual(['index.tsv#3', '', '', '•••#4']);
    expect(shown(false)).toEqual(ids);
  });

  it('cuts ids that are too long', () => {
    const { mistakes } = collect(['no', 'yes'], [verdict(0, 0, 0.9, 'é'.repeat(1e6))]).collector;
    expect(mistakes[0].id).toBe(`${'é'.repeat(119)}…`);
    expect(cut('😀😀😀', 3)).toBe('😀😀😀');
    expect(cut('😀😀😀😀', 3)).toBe('😀😀…');
  });

  it('calibrates on the positive label of two, and on the given label of more', () => {
    const two = collect(['no', 'yes'], [verdict(0, 1, 0.1), verdict(1, 0, 0.1), verdict(2, 1, 1)]).collector;
    expect(two.calibration()[1]).toMatchObject({ count: 2, hits: 1, mean: expect.closeTo(0.1, 6) });
    expect(two.calibration()[14]).toMatchObject({ count: 1, hits: 1, mean: 1 });
    const { collector, evaluation } = collect(['a', 'b', 'c'], verdicts(2_000, 3));
    const error = collector
      .calibration()
      .reduce((sum, { count, hits, mean }) => sum + (count > 0 ? Math.abs(hits - count * mean) : 0), 0);
    expect(error / 2_000).toBeCloseTo(evaluation.calibrationError!, 9);
  });
});

describe('scales and numbers', () => {
  it('tick where people would', () => {
    expect(linear(0, 45_311, 5).ticks.map(({ text }) => text)).toEqual(['0', '10 k', '20 k', '30 k', '40 k']);
    expect(linear(7, 9, 4).ticks.map(({ at }) => at)).toEqual([7, 7.5, 8, 8.5, 9]);
    expect(shares(0.913, 5).ticks.map(({ text }) => text)).toEqual([
      '90 %',
      '92 %',
      '94 %',
      '96 %',
      '98 %',
      '100 %',
    ]);
    expect(logarithmic(1 / 4_000).ticks.map(({ text }) => text)).toEqual([
      '0.01 %',
      '0.1 %',
      '1 %',
      '10 %',
      '100 %',
    ]);
    expect(logarithmic(1e-4).place(0.01)).toBeCloseTo(0.5, 12);
  });

  it('thin a line to what can be seen and keep its corners', () => {
    const corner: Point[] = Array.from({ length: 2_001 }, (_, i) => [
      Math.min(i, 1_000),
      Math.max(0, i - 1_000),
    ]);
    expect(thin(corner, 0.1)).toEqual([
      [0, 0],
      [1_000, 0],
      [1_000, 1_000],
    ]);
    const random = seededRandom(1, 'noise');
    const noise: Point[] = Array.from({ length: 20_000 }, (_, i) => [i / 20, 100 * random()]);
    expect(thin(noise, 0.1).length).toBeLessThanOrEqual(500);
  });

  it('never write nearly all as all, nor hardly any as none', () => {
    expect(percent(0.999999)).toBe('> 99.99 %');
    expect(percent(1e-9)).toBe('< 0.01 %');
    expect([percent(1), percent(0), percent(null), percent(Number.NaN)]).toEqual([
      '100.00 %',
      '0.00 %',
      '–',
      '–',
    ]);
    expect([short(0.5), short(9_500), short(12_000), short(2_500_000)]).toEqual([
      '0.5',
      '9,500',
      '12 k',
      '2.5 M',
    ]);
  });

  it('give the published intervals', () => {
    // Newcombe 1998, method 3, 81 of 263 and 0 of 20.
    expect(wilson(81, 263).map((x) => x.toFixed(4))).toEqual(['0.2553', '0.3662']);
    expect(wilson(0, 20).map((x) => x.toFixed(4))).toEqual(['0.0000', '0.1611']);
    const [low, high] = logisticRange(10, 1_000, 10, 1_000);
    expect(low).toBeLessThan(0.01);
    expect(high).toBeGreaterThan(0.01);
    expect(logisticRange(0, 100, 100, 100).every(Number.isFinite)).toBe(true);
  });
});
