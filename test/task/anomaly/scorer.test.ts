import { describe, expect, it } from 'vitest';
import type { Rows } from '../../../src/contract.ts';
import { Calibration } from '../../../src/task/anomaly/calibration.ts';
import { AnomalyScorer, groupsOf } from '../../../src/task/anomaly/scorer.ts';
import { seededRandom } from '../../../src/task/random.ts';

type Columns = ConstructorParameters<typeof AnomalyScorer>[1];

const columnsOf = (...names: string[]): Columns => names.map((name) => ({ name, field: name }));

function rowsOf(values: readonly (readonly number[])[]): Rows {
  const denseDims = values[0]?.length ?? 0;
  return {
    ...{ count: values.length, denseDims, dense: Float32Array.from(values.flat()) },
    ...{
      indptr: new Uint32Array(values.length + 1),
      indices: new Uint32Array(0),
      values: new Float32Array(0),
    },
  };
}

/** Two values that belong together, with a little noise. */
function pairs(count: number, seed = 1): number[][] {
  const random = seededRandom(seed, 'pairs');
  return Array.from({ length: count }, () => {
    const a = 100 * random();
    return [a, 2 * a + random()];
  });
}

describe('anomaly scores', () => {
  const columns = columnsOf('a', 'b');

  it('are none until there is something to compare with, and then a share below 1', () => {
    const scores = new AnomalyScorer('v', columns).step(rowsOf(pairs(500)));
    expect([...scores.subarray(0, 30)].every(Number.isNaN)).toBe(true);
    expect([...scores.subarray(100)].every((score) => score >= 0 && score < 1)).toBe(true);
  });

  it('are spread evenly while all is as ever: one in a hundred is above 0.99', () => {
    const scores = [...new AnomalyScorer('v', columns).step(rowsOf(pairs(20_000))).subarray(2_000)];
    for (const share of [0.5, 0.9, 0.99]) {
      const above = scores.filter((score) => score > share).length / scores.length;
      expect(above).toBeGreaterThan((1 - share) / 2);
      expect(above).toBeLessThan((1 - share) * 2);
    }
  });

  it('find a value out of all range, and one within range that does not fit the other', () => {
    const scorer = new AnomalyScorer('v', columns);
    scorer.step(rowsOf(pairs(2_000)));
    const [far, apart, usual] = scorer.step(
      rowsOf([
        [1e6, 2e6],
        [10, 190],
        [50, 100.5],
      ]),
    );
    expect(far).toBeGreaterThan(0.999);
    expect(apart).toBeGreaterThan(0.999);
    expect(usual).toBeLessThan(0.9);
    expect(far).toBeGreaterThan(apart);
  });

  it('find what lies between two ways of running, where nothing ever was', () => {
    const random = seededRandom(1, 'modes');
    const scorer = new AnomalyScorer('v', columns);
    scorer.step(
      rowsOf(Array.from({ length: 3_000 }, (_, i) => [i % 2 ? 10 + random() : 90 + random(), random()])),
    );
    expect(scorer.step(rowsOf([[50, 0.5]]))[0]).toBeGreaterThan(0.99);
  });

  it('go on while a fault lasts, and get used to what stays', () => {
    const scorer = new AnomalyScorer('v', columns);
    scorer.step(rowsOf(pairs(3_000)));
    const shifted = pairs(20_000, 2).map(([a, b]) => [a, b + 60]);
    const scores = [...scorer.step(rowsOf(shifted))];
    const mean = (some: readonly number[]) => some.reduce((sum, score) => sum + score, 0) / some.length;
    expect(mean(scores.slice(0, 200))).toBeGreaterThan(0.99);
    expect(mean(scores.slice(-2_000))).toBeLessThan(0.7);
  });

  it('bear missing, infinite, constant and enormous values', () => {
    const scorer = new AnomalyScorer('v', columnsOf('a', 'b', 'c'));
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, -3e38, 3e38, 0, 1e-38, 7];
    const rows = Array.from({ length: 3_000 }, (_, i) => [
      5,
      odd[i % odd.length],
      odd[(i >> 3) % odd.length],
    ]);
    const scores = scorer.step(rowsOf(rows));
    expect([...scores.subarray(200)].every((score) => score >= 0 && score < 1)).toBe(true);
    expect(scorer.step(rowsOf([[Number.NaN, Number.NaN, Number.NaN]]))[0]).toBeNaN();
    expect(scorer.step(rowsOf([]))).toHaveLength(0);
  });

  it('are the same after save and restore, in batches of any size', () => {
    const rows = pairs(3_000);
    const whole = new AnomalyScorer('v', columns);
    const expected = whole.step(rowsOf(rows));
    let scorer = new AnomalyScorer('v', columns);
    for (let at = 0; at < rows.length; at += 7) {
      const scores = scorer.step(rowsOf(rows.slice(at, at + 7)));
      expect(scores).toEqual(expected.subarray(at, at + 7));
    }
    expect(Buffer.from(scorer.save()).equals(Buffer.from(whole.save()))).toBe(true);
    const again = new AnomalyScorer('v', columns);
    again.restore(scorer.save());
    scorer = again;
    const more = pairs(500, 3);
    const [a, b] = [again.step(rowsOf(more)), whole.step(rowsOf(more))];
    // Factors are made anew at once, not after some rows: nearly the same.
    for (let i = 0; i < a.length; i += 1) expect(Math.abs(a[i] - b[i])).toBeLessThan(0.1);
  });

  it('refuse bytes of other features, cut or changed, and go on as before', () => {
    const scorer = new AnomalyScorer('v', columns);
    scorer.step(rowsOf(pairs(200)));
    const before = Buffer.from(scorer.save());
    const bad = [
      before.subarray(0, 40),
      new AnomalyScorer('w', columns).save(),
      new AnomalyScorer('v', columnsOf('a')).save(),
    ];
    for (let i = 0; i < before.length; i += 97) bad.push(Buffer.from(before).fill(before[i] ^ 1, i, i + 1));
    for (const bytes of bad)
      expect(() => scorer.restore(bytes)).toThrow(expect.objectContaining({ code: 'DETECTOR_STATE' }));
    expect(Buffer.from(scorer.save()).equals(before)).toBe(true);
  });

  it('look at values and their windows together, not at what says that a value is missing', () => {
    const wide = Array.from({ length: 20 }, (_, i) => [
      { name: `f${i}`, field: `f${i}` },
      { name: `f${i} missing`, field: `f${i}` },
    ]).flat();
    const windows = Array.from({ length: 20 }, (_, i) => ({
      name: `f${i} departure 8`,
      field: `f${i}`,
      derived: true as const,
    }));
    const groups = groupsOf([...wide, ...windows]);
    expect(groups.map((group) => group.length)).toEqual([16, 16, 8]);
    expect(groups.flatMap((group) => [...group]).filter((place) => place < 40 && place % 2 === 1)).toEqual(
      [],
    );
  });
});

it('a calibration rises with the distance, also beyond all that was seen', () => {
  const calibration = new Calibration(new Float64Array(Calibration.stateSize));
  const random = seededRandom(2, 'distances');
  for (let i = 0; i < 5_000; i += 1) calibration.add(random() * 4, 1);
  let before = -1;
  for (const distance of [0, 0.01, 0.5, 1, 2, 3.9, 4.5, 10, 100, 1e6, 1e12]) {
    const share = calibration.shareBelow(distance);
    expect(share).toBeGreaterThanOrEqual(before);
    expect(share).toBeLessThan(1);
    before = share;
  }
  expect(calibration.shareBelow(2)).toBeCloseTo(0.5, 1);
});
