/** The linear model through the addon: the same bits however it is called, and figures on real streams. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ModelShape } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { promisesOfBits } from './bits.ts';
import { bytesOf, randomRows } from './fixtures.ts';

const shapes: readonly ModelShape[] = [
  { dims: 4096, denseDims: 0, classes: 2 },
  { dims: 1024, denseDims: 5, classes: 2 },
  { dims: 1024, denseDims: 3, classes: 6 },
  { dims: 0, denseDims: 9, classes: 3 },
];

describe.each(shapes)('a linear model of %o', (shape) => {
  promisesOfBits('linear', shape, {}, { l2: 1e-4 });

  it('comes back from its file with the same bits and learns on the same', async () => {
    const engine = openEngine({ backend: 'cpu' });
    const [first, second] = [randomRows(3, 80, shape), randomRows(4, 80, shape)];
    const model = engine.create('linear', shape, { rate: 0.3 }, 9);
    await model.learn(first.rows, first.labels);
    const file = await model.save();
    const copy = engine.load(file);
    expect(copy.shape).toEqual(shape);
    expect(copy.kind).toBe('linear');
    expect(bytesOf(await copy.save()).equals(bytesOf(file))).toBe(true);
    const [a, b] = [
      await model.step(second.rows, second.labels),
      await copy.step(second.rows, second.labels),
    ];
    expect(bytesOf(a).equals(bytesOf(b))).toBe(true);
    expect(bytesOf(await copy.save()).equals(bytesOf(await model.save()))).toBe(true);
  });

  it('gives probabilities, and NaN only for rows that a schedule never scores', async () => {
    const model = openEngine().create('linear', shape, {}, 9);
    const { rows, labels } = randomRows(5, 6, shape);
    const schedule = Int32Array.of(0, ~1, 4, ~1, ~5);
    const scores = await model.step(rows, labels, undefined, schedule);
    for (let i = 0; i < 6; i += 1) {
      const row = scores.subarray(i * shape.classes, (i + 1) * shape.classes);
      if (schedule.includes(i)) expect(row.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
      else expect(row.every(Number.isNaN)).toBe(true);
    }
  });
});

it('runs calls in the order in which they were made', async () => {
  const shape = shapes[0];
  const engine = openEngine();
  const batch = randomRows(6, 40, shape);
  const [burst, patient] = [engine.create('linear', shape, {}, 1), engine.create('linear', shape, {}, 1)];
  const promises = [burst.score(batch.rows), burst.learn(batch.rows, batch.labels), burst.score(batch.rows)];
  const [before, , after] = await Promise.all(promises);
  expect(bytesOf(before!).equals(bytesOf(await patient.score(batch.rows)))).toBe(true);
  await patient.learn(batch.rows, batch.labels);
  expect(bytesOf(after!).equals(bytesOf(await patient.score(batch.rows)))).toBe(true);
});

it('an unlabelled row, and one of weight 0, leaves no trace', async () => {
  const shape = shapes[1];
  const engine = openEngine();
  const model = engine.create('linear', shape, {}, 1);
  const untouched = bytesOf(await model.save());
  const { rows } = randomRows(7, 10, shape);
  await model.learn(rows, new Int32Array(10).fill(-1));
  await model.learn(rows, new Int32Array(10), new Float32Array(10));
  expect(bytesOf(await model.save()).equals(untouched)).toBe(true);
});

it('equal models are equal bytes, and another seed is another file', async () => {
  const engine = openEngine();
  const files = await Promise.all(
    [1, 1, 2].map((seed) => engine.create('linear', shapes[0], {}, seed).save()),
  );
  expect(bytesOf(files[0]).equals(bytesOf(files[1]))).toBe(true);
  expect(bytesOf(files[0]).equals(bytesOf(files[2]))).toBe(false);
});

const data = process.env.SLUICE_DATA ?? join(import.meta.dirname, '../../../shared/data');

describe.each([
  ['elec2.csv', 0.8],
  ['insects-gradual.csv', 0.75],
])('prequentially on the real stream %s', (name, least) => {
  const path = join(data, 'sensors', name);
  it.skipIf(!existsSync(path))(`is right on more than ${least} with the defaults`, async () => {
    const [head, ...lines] = readFileSync(path, 'utf8').trim().split(/\r?\n/);
    const denseDims = head.split(',').length - 1;
    const cells = lines.map((line) => line.split(','));
    const names = [...new Set(cells.map((row) => row[denseDims]))];
    const labels = Int32Array.from(cells, (row) => names.indexOf(row[denseDims]));
    const dense = Float32Array.from(cells.flatMap((row) => row.slice(0, denseDims).map(Number)));
    const count = lines.length;
    const empty = { indices: new Uint32Array(0), values: new Float32Array(0) };
    const rows = { count, indptr: new Uint32Array(count + 1), ...empty, denseDims, dense };
    const model = openEngine().create('linear', { dims: 0, denseDims, classes: names.length }, {}, 1);
    const scores = await model.step(rows, labels);
    let right = 0;
    for (let i = 0; i < count; i += 1) {
      const row = scores.subarray(i * names.length, (i + 1) * names.length);
      if (row.indexOf(Math.max(...row)) === labels[i]) right += 1;
    }
    expect(right / count).toBeGreaterThan(least);
  });
});
