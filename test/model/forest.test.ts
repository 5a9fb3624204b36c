/** The forest through the addon: the same bits however it is called, threads without a trace, figures on real streams. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ModelShape, Rows } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { promisesOfBits } from './bits.ts';
import { bytesOf, randomRows } from './fixtures.ts';

const shapes: readonly ModelShape[] = [
  { dims: 256, denseDims: 0, classes: 2 },
  { dims: 256, denseDims: 5, classes: 3 },
  { dims: 0, denseDims: 30, classes: 6 },
];

describe.each(shapes)('a forest of %o', (shape) => {
  promisesOfBits('forest', shape, { trees: 5 }, { trees: 5, retired: 2, balance: 0.5 });

  it('comes back from its file with the same bits and learns on the same', async () => {
    const engine = openEngine({ backend: 'cpu' });
    const [first, second] = [randomRows(3, 500, shape, 10), randomRows(4, 500, shape, 10)];
    const model = engine.create('forest', shape, {}, 9);
    await model.learn(first.rows, first.labels);
    const file = await model.save();
    const copy = engine.load(file);
    expect({ kind: copy.kind, shape: copy.shape }).toEqual({ kind: 'forest', shape });
    expect(bytesOf(await copy.save()).equals(bytesOf(file))).toBe(true);
    const ends = await Promise.all([model, copy].map((each) => each.step(second.rows, second.labels)));
    expect(bytesOf(ends[0]).equals(bytesOf(ends[1]))).toBe(true);
    expect(bytesOf(await copy.save()).equals(bytesOf(await model.save()))).toBe(true);
  });
});

it('says how large it has become, and its copy is as large', async () => {
  const shape = shapes[2];
  const engine = openEngine({ backend: 'cpu' });
  const { rows, labels } = randomRows(5, 2_000, shape, 10);
  const model = engine.create('forest', shape, {}, 9);
  const empty = model.bytes;
  await model.learn(rows, labels);
  expect(model.bytes).toBeGreaterThan(empty);
  // But for room that was set aside.
  const copy = engine.load(await model.save());
  expect(Math.abs(copy.bytes / model.bytes - 1)).toBeLessThan(0.05);
});

it('says in words what it refuses', () => {
  const make = (options: Record<string, number>) => openEngine().create('forest', shapes[0], options, 1);
  expect(() => make({ trees: 0 })).toThrow(/trees/);
  expect(() => make({ trees: 2.5 })).toThrow(/trees/);
  expect(() => make({ columns: 0 })).toThrow(/columns/);
  expect(() => make({ tree: 10 })).toThrow(/tree/);
});

it('is another forest with another seed, and the same with the same', async () => {
  const batch = randomRows(5, 400, shapes[1], 10);
  const files = await Promise.all(
    [1, 1, 2].map(async (seed) => {
      const model = openEngine().create('forest', shapes[1], {}, seed);
      return bytesOf(await model.step(batch.rows, batch.labels));
    }),
  );
  expect(files[0].equals(files[1])).toBe(true);
  expect(files[0].equals(files[2])).toBe(false);
});

const data = process.env.SLUICE_DATA ?? join(import.meta.dirname, '../../../shared/data');

/** A table whose last column is the class. */
function readTable(path: string): { rows: Rows; labels: Int32Array; classes: number } {
  const [head, ...lines] = readFileSync(path, 'utf8').trim().split(/\r?\n/);
  const denseDims = head.split(',').length - 1;
  const cells = lines.map((line) => line.split(','));
  const names = [...new Set(cells.map((row) => row[denseDims]))];
  const dense = Float32Array.from(cells.flatMap((row) => row.slice(0, denseDims).map(Number)));
  const empty = { indices: new Uint32Array(0), values: new Float32Array(0) };
  const rows = { count: lines.length, indptr: new Uint32Array(lines.length + 1), ...empty, denseDims, dense };
  return {
    rows,
    labels: Int32Array.from(cells, (row) => names.indexOf(row[denseDims])),
    classes: names.length,
  };
}

// What ten trees of MOA 2024.07 reach on the same stream, test then train.
describe.each([
  ['elec2.csv', 0.8913],
  ['insects-gradual.csv', 0.7873],
])('prequentially on the real stream %s', (name, moa) => {
  const path = join(data, 'sensors', name);
  it.skipIf(!existsSync(path))(`is right on more than ${moa} with the defaults`, async () => {
    const { rows, labels, classes } = readTable(path);
    const model = openEngine().create('forest', { dims: 0, denseDims: rows.denseDims, classes }, {}, 1);
    const scores = await model.step(rows, labels);
    let right = 0;
    for (let i = 0; i < rows.count; i += 1) {
      const row = scores.subarray(i * classes, (i + 1) * classes);
      if (row.indexOf(Math.max(...row)) === labels[i]) right += 1;
    }
    expect(right / rows.count).toBeGreaterThan(moa);
  });
});
