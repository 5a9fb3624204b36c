import { describe, expect, test } from 'vitest';
import type { ColumnRule, Model, ModelShape, Rows } from '../../src/contract.ts';
import { createConditioned, isConditioned, loadConditioned } from '../../src/model/conditioned.ts';
import { openEngine } from '../../src/model/engine.ts';
import { modelKinds } from '../../src/model/kinds.ts';
import { seededRandom } from '../../src/task/random.ts';

const engine = openEngine({ backend: 'cpu', threads: 1 });
const NAN = Number.NaN;
const linear = { ...(modelKinds.linear.options.parse({}) as Record<string, number>), normalise: 0 };

const rule = (column: number, more: Partial<ColumnRule> = {}): ColumnRule => ({
  ...{ column, impute: 'none', clip: 0, scale: 'none', target: false },
  ...more,
});

function denseRows(rows: readonly (readonly number[])[]): Rows {
  return {
    count: rows.length,
    indptr: new Uint32Array(rows.length + 1),
    indices: new Uint32Array(0),
    values: new Float32Array(0),
    denseDims: rows[0]?.length ?? 0,
    dense: Float32Array.from(rows.flat()),
  };
}

/** A model that only writes down what it is given. */
function probe(shape: ModelShape): { model: Model; seen: number[][] } {
  const seen: number[][] = [];
  const note = ({ count, denseDims, dense }: Rows) => {
    for (let i = 0; i < count; i += 1) seen.push([...dense.subarray(i * denseDims, (i + 1) * denseDims)]);
  };
  const model = createConditioned(shape, (inner) => ({
    ...{ kind: 'probe', shape: inner, backend: 'none', bytes: 0 },
    score: async (rows) => {
      note(rows);
      return new Float32Array(rows.count * inner.classes).fill(1 / inner.classes);
    },
    learn: async (rows) => note(rows),
    step: async (rows) => {
      note(rows);
      return new Float32Array(rows.count * inner.classes).fill(1 / inner.classes);
    },
    save: async () => new Uint8Array(0),
    close: () => undefined,
  }));
  return { model, seen };
}

/** What one column becomes when 0, 1, 2 … were learned. */
async function conditioned(learned: readonly number[], given: readonly number[], more: Partial<ColumnRule>) {
  const { model, seen } = probe({ dims: 0, denseDims: 1, classes: 2, rules: [rule(0, more)] });
  if (learned.length > 0)
    await model.learn(denseRows(learned.map((x) => [x])), new Int32Array(learned.length));
  seen.length = 0;
  await model.score(denseRows(given.map((x) => [x])));
  return seen.flat();
}

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('a column is', () => {
  test('filled with mean or median, and left missing while nothing is known', async () => {
    const learned = [1, 2, 3, 100, NAN];
    expect(await conditioned(learned, [NAN, 7], { impute: 'mean' })).toEqual([26.5, 7]);
    expect(await conditioned(learned, [NAN, 7], { impute: 'median' })).toEqual([2.5, 7]);
    expect(await conditioned([], [NAN, 7], { impute: 'median' })).toEqual([NAN, 7]);
    expect(await conditioned(learned, [NAN], {})).toEqual([NAN]);
  });

  test('cut off beyond so many interquartile ranges, once quartiles are known', async () => {
    // 0..100: median 50, quartiles 25 and 75.
    expect(await conditioned(count(101), [-1_000, 30, 1_000], { clip: 2 })).toEqual([-50, 30, 150]);
    expect(await conditioned(count(9), [3, 1_000], { clip: 2 })).toEqual([NAN, NAN]);
    expect(await conditioned(Array(50).fill(3), [1_000], { clip: 2 })).toEqual([1_000]);
  });

  test('scaled by mean and deviation, by least and most, or by median and quartiles', async () => {
    expect(await conditioned([0, 10], [5, 10, 0], { scale: 'zscore' })).toEqual([0, 1, -1]);
    expect(await conditioned(count(101), [0, 50, 100], { scale: 'minmax' })).toEqual([0, 0.5, 1]);
    expect(await conditioned(count(101), [50, 100, 75], { scale: 'robust' })).toEqual([0, 1, 0.5]);
  });

  test('never out of hand: far values are cut, constants are 0, nothing known is missing', async () => {
    for (const scale of ['zscore', 'robust', 'minmax'] as const) {
      expect(await conditioned(count(101), [1e30], { scale })).toEqual([8]);
      expect(await conditioned(Array(30).fill(0.1), [0.1], { scale })).toEqual([0]);
      expect(await conditioned([], [5], { scale })).toEqual([NAN]);
      expect(await conditioned(count(9), [NAN], { scale })).toEqual([NAN]);
    }
  });

  test('scaled by what was learned last, so that a drift is followed', async () => {
    const [before] = await conditioned([...count(2_000)], [1_744], { scale: 'robust' });
    expect(before).toBeCloseTo(0, 1); // the last 512: 1488..1999
  });

  test('another beside it left alone', async () => {
    const { model, seen } = probe({
      dims: 0,
      denseDims: 2,
      classes: 2,
      rules: [rule(1, { scale: 'minmax' })],
    });
    await model.learn(denseRows([0, 10].map((x) => [x, x])), new Int32Array(2));
    seen.length = 0;
    await model.score(denseRows([[5, 5]]));
    expect(seen).toEqual([[5, 0.5]]);
  });
});

describe('a category is encoded', () => {
  const shape = { dims: 0, denseDims: 1, classes: 2, rules: [rule(0, { target: true })] };

  test('by how often each label came with it, smoothed towards all', async () => {
    const { model, seen } = probe(shape);
    const codes = [...Array(40).fill(7), ...Array(40).fill(9)];
    const labels = Int32Array.from(codes, (code, i) => (code === 7 || i % 40 === 0 ? 1 : 0));
    await model.learn(denseRows(codes.map((code) => [code])), labels);
    seen.length = 0;
    await model.score(denseRows([[7], [9], [11], [NAN]]));
    const prior = 42 / 82;
    expect(seen[0][0]).toBeCloseTo((40 + 10 * prior) / 50, 5);
    expect(seen[1][0]).toBeCloseTo((1 + 10 * prior) / 50, 5);
    expect([seen[2][0], seen[3][0]]).toEqual([Math.fround(prior), Math.fround(prior)]);
  });

  test('without its own label, also while it is learned', async () => {
    const { model, seen } = probe(shape);
    await model.learn(denseRows([[7], [7]]), Int32Array.of(1, 1));
    expect(seen[0][0]).toBe(0.5);
    expect(seen[1][0]).toBeGreaterThan(0.5);
  });

  test('by a number for each label but the first', async () => {
    const { model, seen } = probe({ ...shape, denseDims: 2, classes: 4 });
    await model.learn(denseRows([[7, 1]]), Int32Array.of(2));
    seen.length = 0;
    await model.score(denseRows([[7, 1]]));
    expect(seen[0]).toHaveLength(4);
    expect(seen[0][1]).toBe(1);
    expect(seen[0][2]).toBeGreaterThan(seen[0][0]); // of label 2, of label 1
  });

  test('in bounded memory, however many there are', async () => {
    const { model, seen } = probe(shape);
    const codes = count(6_000);
    await model.learn(denseRows(codes.map((code) => [code])), new Int32Array(6_000).fill(1));
    const { bytes } = model;
    await model.learn(denseRows(codes.map((code) => [code + 10_000])), new Int32Array(6_000).fill(1));
    expect(model.bytes).toBe(bytes);
    seen.length = 0;
    await model.score(denseRows([[3], [50_000]]));
    expect(seen.flat().every((share) => share > 0.9)).toBe(true);
  });
});

// ---------------------------------------------------------------- a real model

const RULES = [
  rule(0, { impute: 'median', clip: 4, scale: 'robust' }),
  rule(1, { scale: 'minmax' }),
  rule(2, { target: true }),
];
const SHAPE: ModelShape = { dims: 64, denseDims: 3, classes: 3, rules: RULES };

function stream(n: number, seed = 1): { rows: Rows; labels: Int32Array; weights: Float32Array } {
  const random = seededRandom(seed, 'stream');
  const rows: number[][] = [];
  const indices: number[] = [];
  const labels: number[] = [];
  for (let i = 0; i < n; i += 1) {
    const [x, y, code] = [random() * 10, random() * 100, Math.floor(random() * 5)];
    rows.push([random() < 0.1 ? NAN : x, y, code]);
    indices.push(Math.floor(random() * 64));
    labels.push(random() < 0.05 ? -1 : x + code > 9 ? 2 : y > 50 ? 1 : 0);
  }
  const sparse = {
    indptr: Uint32Array.from({ length: n + 1 }, (_, i) => i),
    indices: Uint32Array.from(indices),
    values: new Float32Array(n).fill(1),
  };
  return {
    rows: { ...denseRows(rows), ...sparse },
    labels: Int32Array.from(labels),
    weights: Float32Array.from(labels, (_, i) => 1 + (i % 3) / 4),
  };
}

const only = ({ rows, labels, weights }: ReturnType<typeof stream>, from: number, to: number) => ({
  rows: {
    ...rows,
    count: to - from,
    indptr: rows.indptr.subarray(from, to + 1),
    dense: rows.dense.subarray(from * 3, to * 3),
  },
  labels: labels.subarray(from, to),
  weights: weights.subarray(from, to),
});

const create = () => engine.create('linear', SHAPE, linear, 1);

describe('a conditioned model', () => {
  test('learns what a plain one cannot: the category by its labels', async () => {
    const { rows, labels } = stream(4_000);
    const model = create();
    const scores = await model.step(rows, labels);
    let right = 0;
    for (let i = 2_000; i < 4_000; i += 1) {
      const own = [...scores.subarray(i * 3, i * 3 + 3)];
      right += Number(own.indexOf(Math.max(...own)) === labels[i]);
    }
    expect(right / 2_000).toBeGreaterThan(0.75);
    model.close();
  });

  test('gives the same bits one by one, in batches, and by step; scoring changes nothing', async () => {
    const all = stream(600);
    const [one, batch, stepped] = [create(), create(), create()];
    const oneByOne: number[] = [];
    for (let i = 0; i < 600; i += 1) {
      const { rows, labels, weights } = only(all, i, i + 1);
      oneByOne.push(...(await one.score(rows)));
      await one.learn(rows, labels, weights);
    }
    for (let i = 0; i < 600; i += 150) {
      const { rows, labels, weights } = only(all, i, i + 150);
      await batch.score(rows);
      await batch.learn(rows, labels, weights);
    }
    const scores = await stepped.step(all.rows, all.labels, all.weights);
    expect([...scores]).toEqual(oneByOne);
    const saved = await one.save();
    expect(Buffer.compare(await batch.save(), saved)).toBe(0);
    expect(Buffer.compare(await stepped.save(), saved)).toBe(0);
    for (const model of [one, batch, stepped]) model.close();
  });

  test('follows a schedule, with rows that are never scored', async () => {
    const { rows, labels } = stream(20);
    const [stepped, called] = [create(), create()];
    const schedule = Int32Array.of(~3, ~4, 7, ~7, 3, 8);
    const scores = await stepped.step(rows, labels, undefined, schedule);
    const at = (i: number) => only(stream(20), i, i + 1);
    await called.learn(at(3).rows, at(3).labels);
    await called.learn(at(4).rows, at(4).labels);
    const seven = await called.score(at(7).rows);
    await called.learn(at(7).rows, at(7).labels);
    const three = await called.score(at(3).rows);
    expect([...scores.subarray(21, 24)]).toEqual([...seven]);
    expect([...scores.subarray(9, 12)]).toEqual([...three]);
    expect(scores.subarray(0, 3).every(Number.isNaN)).toBe(true);
    for (const model of [stepped, called]) model.close();
  });

  test('frozen and loaded elsewhere, scores to the same bits, and goes on learning to the same bits', async () => {
    const [first, then] = [stream(700), stream(300, 2)];
    const here = create();
    await here.learn(first.rows, first.labels);
    const bytes = await here.save();
    expect(isConditioned(bytes)).toBe(true);
    const there = openEngine({ backend: 'cpu', threads: 2 }).load(bytes);
    expect([there.kind, there.shape]).toEqual(['linear', SHAPE]);
    expect([...(await there.score(then.rows))]).toEqual([...(await here.score(then.rows))]);
    expect(Buffer.compare(await there.save(), bytes)).toBe(0);
    await Promise.all([here, there].map((model) => model.learn(then.rows, then.labels)));
    expect(Buffer.compare(await there.save(), await here.save())).toBe(0);
    for (const model of [here, there]) model.close();
  });

  test('refuses a malformed batch whole, unchanged', async () => {
    const { rows, labels } = stream(30);
    const model = create();
    await model.learn(rows, labels);
    const before = await model.save();
    const refused = expect.objectContaining({ code: 'MODEL_INPUT' });
    const bad = Int32Array.from(labels, (label, i) => (i === 29 ? 3 : label));
    await expect(model.learn(rows, bad)).rejects.toEqual(refused);
    await expect(model.learn(rows, labels.subarray(1))).rejects.toEqual(refused);
    await expect(model.learn(rows, labels, new Float32Array(30).fill(-1))).rejects.toEqual(refused);
    await expect(model.step(rows, labels, undefined, Int32Array.of(30))).rejects.toEqual(refused);
    await expect(model.learn({ ...rows, indices: new Uint32Array(30).fill(64) }, labels)).rejects.toEqual(
      refused,
    );
    await expect(model.score({ ...rows, denseDims: 2 })).rejects.toEqual(refused);
    expect(Buffer.compare(await model.save(), before)).toBe(0);
    model.close();
  });

  test('does not load what was changed, cut, or means nothing', async () => {
    const { rows, labels } = stream(30);
    const model = create();
    await model.learn(rows, labels);
    const bytes = await model.save();
    model.close();
    const load = (data: Uint8Array) => () => loadConditioned(data, (inner) => engine.load(inner));
    for (let at = 8; at < bytes.length; at += 97) {
      const copy = Uint8Array.from(bytes);
      copy[at] ^= 4;
      expect(load(copy)).toThrowError(expect.objectContaining({ code: 'MODEL_CORRUPT' }));
    }
    for (const length of [28, 40, bytes.length - 1])
      expect(load(bytes.subarray(0, length))).toThrowError(
        expect.objectContaining({ code: 'MODEL_CORRUPT' }),
      );
    const newer = Uint8Array.from(bytes);
    newer[4] = 2;
    expect(load(newer)).toThrowError(expect.objectContaining({ code: 'MODEL_VERSION' }));
  });
});
