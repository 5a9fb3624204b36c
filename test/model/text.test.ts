/** The text model through the addon: the same bits however it is called, its refusals in words, figures on real texts. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ModelShape, Rows } from '../../src/contract.ts';
import { RowArena } from '../../src/features/rows.ts';
import { openEngine } from '../../src/model/engine.ts';
import { modelKinds, OWN_LABEL } from '../../src/model/kinds.ts';
import { promisesOfBits } from './bits.ts';
import { bytesOf, randomRows, rowOf, seeded } from './fixtures.ts';

const shape: ModelShape = { dims: 4096, denseDims: 0, classes: 2 };

describe.each([1, 2, 4, 8])('a text model of %i views', (views) => {
  promisesOfBits('text', shape, { views });

  it('comes back from its file with the same bits and learns on the same', async () => {
    const engine = openEngine({ backend: 'cpu' });
    const [first, second] = [randomRows(3, 80, shape), randomRows(4, 80, shape)];
    const model = engine.create('text', shape, { views, rate: 0.3, guard: 0 }, 9);
    await model.learn(first.rows, first.labels);
    const file = await model.save();
    const copy = engine.load(file);
    expect({ kind: copy.kind, shape: copy.shape }).toEqual({ kind: 'text', shape });
    expect(bytesOf(await copy.save()).equals(bytesOf(file))).toBe(true);
    const ends = await Promise.all([model, copy].map((each) => each.step(second.rows, second.labels)));
    expect(bytesOf(ends[0]).equals(bytesOf(ends[1]))).toBe(true);
    expect(bytesOf(await copy.save()).equals(bytesOf(await model.save()))).toBe(true);
  });
});

it.each([
  [24, {}],
  [32, { all: 1 }],
])('holds %i bytes a bucket and little more with %o', (bytes, options) => {
  const model = openEngine().create('text', shape, options, 9);
  expect(model.bytes).toBeGreaterThanOrEqual(bytes * shape.dims);
  expect(model.bytes).toBeLessThan(bytes * shape.dims + 1024);
});

it('takes at most 64 MiB for mail, in memory and as a file', async () => {
  const dims = 2 ** 21;
  const model = openEngine().create('text', { ...shape, dims }, {}, 9);
  expect(model.bytes).toBeLessThanOrEqual(2 ** 26);
  // Every bucket used.
  const indices = Uint32Array.from({ length: dims }, (_, i) => i);
  const values = new Float32Array(dims).fill(0.001);
  const one = { count: 1, indptr: Uint32Array.of(0, dims), denseDims: 0, dense: new Float32Array(0) };
  await model.learn({ ...one, indices, values }, Int32Array.of(1));
  const file = await model.save();
  expect(file.length).toBeGreaterThan(dims * 20);
  expect(file.length).toBeLessThanOrEqual(2 ** 26);
  model.close();
});

it('an unlabelled row, and one of weight 0, leaves no trace', async () => {
  const model = openEngine().create('text', shape, {}, 1);
  const untouched = bytesOf(await model.save());
  const { rows } = randomRows(7, 10, shape);
  await model.learn(rows, new Int32Array(10).fill(-1));
  await model.learn(rows, new Int32Array(10), new Float32Array(10));
  expect(bytesOf(await model.save()).equals(untouched)).toBe(true);
});

/** Rows of 40 words each, half of them of their label's own; `n` of each label by turns. */
function toldRows(n: number, seed: number): { rows: Rows; labels: Int32Array } {
  const random = seeded(seed);
  const arena = new RowArena(shape.dims, 0);
  for (let i = 0; i < n; i += 1) {
    arena.beginRow();
    for (let word = 0; word < 40; word += 1)
      arena.sparse(word % 2 ? Math.floor(random() * 4000) : 2 * Math.floor(random() * 300) + (i % 2), 1);
    arena.endRow();
  }
  return { rows: arena.view(), labels: Int32Array.from({ length: n }, (_, i) => i % 2) };
}

describe('rows without a label', () => {
  const taught = async (rows: number) => {
    const model = openEngine().create('text', shape, {}, 1);
    const known = toldRows(rows, 11);
    await model.learn(known.rows, known.labels);
    return model;
  };

  it('teach the model what it is sure of, as if someone had said so', async () => {
    const model = await taught(400);
    const before = bytesOf(await model.save());
    const { rows } = toldRows(50, 12);
    await model.learn(rows, new Int32Array(50).fill(OWN_LABEL));
    expect(bytesOf(await model.save()).equals(before)).toBe(false);
    const again = openEngine().load(before);
    for (let i = 0; i < 50; i += 1) {
      const row = rowOf(
        { rows, labels: new Int32Array(50).fill(OWN_LABEL), weights: new Float32Array(50).fill(1) },
        i,
      );
      await again.learn(row.rows, row.labels);
    }
    expect(bytesOf(await again.save()).equals(bytesOf(await model.save()))).toBe(true);
  });

  it('leave no trace in a model that knows little, nor where it is not sure', async () => {
    const young = await taught(200);
    const before = bytesOf(await young.save());
    const { rows } = toldRows(50, 13);
    await young.learn(rows, new Int32Array(50).fill(OWN_LABEL));
    expect(bytesOf(await young.save()).equals(before)).toBe(true);
    const model = await taught(400);
    const known = bytesOf(await model.save());
    const strange = randomRows(14, 20, shape);
    await model.learn(strange.rows, new Int32Array(20).fill(OWN_LABEL));
    expect(bytesOf(await model.save()).equals(known)).toBe(true);
  });

  it('are skipped by a kind that does not teach itself', async () => {
    const model = openEngine().create('linear', shape, {}, 1);
    const known = toldRows(400, 11);
    await model.learn(known.rows, known.labels);
    const before = bytesOf(await model.save());
    await model.learn(known.rows, new Int32Array(400).fill(OWN_LABEL));
    expect(bytesOf(await model.save()).equals(before)).toBe(true);
    expect([modelKinds.linear.teachesItself, modelKinds.text.teachesItself]).toEqual([false, true]);
  });
});

it('tells rows apart by their odds where a probability rounds to 1', async () => {
  const model = openEngine().create('text', shape, {}, 1);
  const { rows, labels } = toldRows(400, 11);
  for (let pass = 0; pass < 20; pass += 1) await model.learn(rows, labels);
  const scores = await model.score(rows);
  const spam = [...labels.keys()].filter((i) => labels[i] === 1);
  expect(spam.filter((i) => scores[2 * i + 1] === 1).length).toBeGreaterThan(50);
  const odds = spam.map((i) => Math.log(scores[2 * i + 1] / scores[2 * i]));
  expect(new Set(odds).size).toBe(spam.length);
  for (const each of odds) expect(Number.isFinite(each)).toBe(true);
});

it.each([
  [{ classes: 3 }, {}, /two labels/],
  [{ denseDims: 2 }, {}, /dense/],
  [{ dims: 0, denseDims: 2 }, {}, /dense/],
  [{ dims: 2 }, {}, /bucket for each view/],
  [{}, { views: 3 }, /views/],
  [{}, { smoothing: 0 }, /smoothing/],
  [{}, { guard: 0.5 }, /guard/],
])('refuses %o with %o, in words', (change, options, words) => {
  const engine = openEngine();
  expect(() => engine.create('text', { ...shape, ...change }, options as Record<string, number>, 1)).toThrow(
    words,
  );
});

const data = process.env.SLUICE_DATA ?? join(import.meta.dirname, '../../../shared/data');
const path = join(data, 'sms-spam', 'SMSSpamCollection');

/** Words and pairs of neighbours, hashed (FNV-1a), the words in the lower half and the pairs in the upper. */
function rowsOf(texts: readonly string[], dims: number): Rows {
  const arena = new RowArena(dims, 0);
  const hash = (text: string): number => {
    let h = 0x811c9dc5;
    for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
    return (h ^ (h >>> 15)) >>> 0;
  };
  for (const text of texts) {
    const words = text.toLowerCase().match(/[\p{L}\p{N}]+|[^\s]/gu) ?? [];
    const size = 1 / Math.sqrt(Math.max(1, words.length));
    arena.beginRow();
    for (const [i, word] of words.entries()) {
      arena.sparse(hash(word) % (dims / 2), size);
      if (i > 0) arena.sparse(dims / 2 + (hash(`${words[i - 1]} ${word}`) % (dims / 2)), size);
    }
    arena.endRow();
  }
  return arena.view();
}

/** The share of pairs of spam and ham that stand the wrong way round, in %, and the mean log-loss. */
function errorsOf(scores: Float32Array, truth: Int32Array): { pairs: number; loss: number } {
  const order = [...truth.keys()].sort((a, b) => scores[2 * a + 1] - scores[2 * b + 1]);
  let ham = 0;
  let right = 0;
  let loss = 0;
  for (const i of order) {
    if (truth[i] === 1) right += ham;
    else ham += 1;
    loss -= Math.log(Math.max(1e-9, scores[2 * i + truth[i]])) / truth.length;
  }
  return { pairs: 100 * (1 - right / (ham * (truth.length - ham))), loss };
}

describe.skipIf(!existsSync(path))('on short messages, one after the other', () => {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  const truth = Int32Array.from(lines, (line) => (line.startsWith('spam\t') ? 1 : 0));
  const dims = 2 ** 18;
  const texts = lines.map((line) => line.slice(line.indexOf('\t') + 1));
  const run = async (kind: string, labels: Int32Array, options = {}) => {
    const model = openEngine().create(kind, { dims, denseDims: 0, classes: 2 }, options, 1);
    return errorsOf(await model.step(rowsOf(texts, dims), labels), truth);
  };

  it('ranks them better than `linear`, and its probabilities are better', async () => {
    const [linear, text] = [await run('linear', truth), await run('text', truth, { views: 2 })];
    expect(text.pairs).toBeLessThan(linear.pairs);
    expect(text.loss).toBeLessThan(linear.loss);
  });

  it('ranks them better than `linear` where one label in ten is wrong', async () => {
    const random = seeded(5);
    const told = truth.map((label) => (random() < 0.1 ? 1 - label : label));
    const [linear, text] = [await run('linear', told), await run('text', told, { views: 2 })];
    expect(text.pairs).toBeLessThan(linear.pairs);
  });
});
