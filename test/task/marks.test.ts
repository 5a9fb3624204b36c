/** Drift marks of an evaluation: a rise of the loss is marked once, steady and falling losses are not. */
import { expect, test } from 'vitest';
import { DriftMarks } from '../../src/task/marks.ts';
import { seededRandom } from '../../src/task/random.ts';

/** Marks of `n` tested events, each given this probability on average, with the noise of a classifier. */
function marked(seed: number, n: number, wrong: (i: number) => number) {
  const random = seededRandom(seed, 'marks');
  const marks = new DriftMarks();
  for (let i = 0; i < n; i++) {
    const sure = 0.6 + 0.4 * random();
    marks.add(i + 100, random() < wrong(i) ? 1 - sure : sure);
  }
  return marks.marks;
}

test('streams whose loss stays are not marked, nor those that learn', () => {
  for (let seed = 1; seed <= 10; seed++) {
    expect(marked(seed, 50_000, () => 0.05)).toEqual([]);
    expect(marked(seed, 50_000, (i) => 0.02 + 0.48 * Math.exp(-i / 3_000))).toEqual([]);
  }
});

test('a rise is marked once, at its place in the stream, with its levels', () => {
  const marks = marked(3, 20_000, (i) => (i < 10_000 ? 0.03 : 0.3));
  expect(marks).toHaveLength(1);
  const [mark] = marks;
  expect(mark).toMatchObject({ stream: 'logLoss', detector: 'sequential' });
  expect(mark.at).toBeGreaterThan(10_100);
  expect(mark.at).toBeLessThan(10_800);
  expect(Math.abs(mark.since - 10_100)).toBeLessThanOrEqual(200);
  expect(mark.now).toBeGreaterThan(2 * mark.before);
  expect(mark.statistic).toBeGreaterThanOrEqual(mark.threshold);
});

test('a probability that is none is passed over', () => {
  const marks = new DriftMarks();
  for (let i = 0; i < 5_000; i++) marks.add(i, i % 2 === 0 ? Number.NaN : 0.9);
  expect(marks.marks).toEqual([]);
});
