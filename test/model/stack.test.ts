/** The stack through the addon: the same bits however it is called, its refusals in words, figures on real streams. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ModelShape, Rows } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { modelKinds } from '../../src/model/kinds.ts';
import { promisesOfBits } from './bits.ts';
import { bytesOf, randomRows } from './fixtures.ts';

const small = { window: 40, hidden: 8, features: 12 };
const shape: ModelShape = { dims: 64, denseDims: 6, classes: 3 };

describe.each([0, 1])('a stack with history %i', (history) => {
  promisesOfBits('stack', shape, { ...modelKinds.stack.options.parse({ ...small, history }) });
});

it('comes back from its file with its seed and learns on the same, another seed another model', async () => {
  const engine = openEngine({ backend: 'cpu' });
  const options = modelKinds.stack.options.parse(small);
  const [first, second] = [randomRows(3, 80, shape), randomRows(4, 80, shape)];
  const [model, other] = [9, 10].map((seed) => engine.create('stack', shape, options, seed));
  for (const each of [model, other]) await each.learn(first.rows, first.labels);
  const file = await model.save();
  expect(bytesOf(await other.save()).equals(bytesOf(file))).toBe(false);
  const copy = engine.load(file);
  expect({ kind: copy.kind, shape: copy.shape }).toEqual({ kind: 'stack', shape });
  const ends = await Promise.all([model, copy].map((each) => each.step(second.rows, second.labels)));
  expect(bytesOf(ends[0]).equals(bytesOf(ends[1]))).toBe(true);
  expect(bytesOf(await copy.save()).equals(bytesOf(await model.save()))).toBe(true);
});

it.each([
  [{ ...shape, denseDims: 1025 }, /1024 dense columns/],
  [{ ...shape, classes: 257 }, /256 labels/],
])('refuses %o', (bad, sentence) => {
  expect(() => openEngine().create('stack', bad, {}, 1)).toThrow(sentence);
});

it('grows to its window and no further', async () => {
  const plain: ModelShape = { dims: 0, denseDims: 6, classes: 2 };
  const model = openEngine().create('stack', plain, { window: 100 }, 1);
  const sizes: number[] = [];
  for (let round = 0; round < 4; round++) {
    const batch = randomRows(round, 100, plain);
    await model.learn(batch.rows, new Int32Array(100).fill(round % 2));
    sizes.push((await model.save()).length);
  }
  expect(new Set(sizes).size).toBe(1);
  expect(sizes[0]).toBeLessThan(200_000);
});

const sensors = join(process.env.SLUICE_DATA ?? join(import.meta.dirname, '../../../shared/data'), 'sensors');

/** The first rows of a CSV, each column beside its distance from two exponential means of earlier rows. */
function stream(name: string, limit: number): { rows: Rows; labels: Int32Array; classes: number } {
  const lines = readFileSync(join(sensors, name), 'utf8')
    .split('\n')
    .slice(1, limit + 1);
  const cells = lines.map((line) => line.trim().split(','));
  const columns = cells[0].length - 1;
  const names = [...new Set(cells.map((row) => row[columns]))];
  const parts = [8, 64].map((half) => 1 - 2 ** (-1 / half));
  const means = parts.map(() => new Array<number>(columns).fill(Number.NaN));
  const dense: number[] = [];
  for (const row of cells) {
    const values = row.slice(0, columns).map(Number);
    dense.push(...values);
    for (const [m, part] of parts.entries())
      for (const [j, value] of values.entries()) {
        const mean = means[m][j];
        dense.push(value - mean);
        means[m][j] = Number.isNaN(mean) ? value : mean + part * (value - mean);
      }
  }
  const count = cells.length;
  const none = { indices: new Uint32Array(0), values: new Float32Array(0) };
  return {
    rows: {
      count,
      indptr: new Uint32Array(count + 1),
      ...none,
      denseDims: columns * 3,
      dense: Float32Array.from(dense),
    },
    labels: Int32Array.from(cells, (row) => names.indexOf(row[columns])),
    classes: names.length,
  };
}

const right = (scores: Float32Array, labels: Int32Array, classes: number): number => {
  let count = 0;
  for (const [i, label] of labels.entries()) {
    const own = scores.subarray(i * classes, (i + 1) * classes);
    if (own.indexOf(Math.max(...own)) === label) count += 1;
  }
  return count / labels.length;
};

// Parts of the streams, to be quick: the whole ones are in the benches.
it.runIf(existsSync(sensors)).each([
  ['elec2.csv', 12_000, 0.925],
  ['insects-gradual.csv', 8_000, 0.8],
])('tells %s as it comes, without a word about which stream it is', async (name, limit, least) => {
  const { rows, labels, classes } = stream(name, limit);
  const kind = openEngine().create('stack', { dims: 0, denseDims: rows.denseDims, classes }, {}, 1);
  expect(right(await kind.step(rows, labels), labels, classes)).toBeGreaterThan(least);
});
