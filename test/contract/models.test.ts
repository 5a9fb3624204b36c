/** What docs/spec.md asks of every model, of every row of the table of kinds. */
import { describe, expect, test } from 'vitest';
import type { Model, ModelShape } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { openEngine } from '../../src/model/engine.ts';
import { type ModelKindName, modelKinds, takesShape } from '../../src/model/kinds.ts';
import { bytesOf, randomRows, rowOf, seeded } from '../model/fixtures.ts';

const kinds = Object.keys(modelKinds) as ModelKindName[];
const shapes: readonly ModelShape[] = [
  { dims: 1024, denseDims: 0, classes: 2 },
  { dims: 256, denseDims: 4, classes: 3 },
  { dims: 0, denseDims: 5, classes: 2 },
];
const engine = openEngine();

const bits = async (model: Model): Promise<string> => bytesOf(await model.save()).toString('hex');

const codeOf = (call: () => unknown): Promise<string> =>
  Promise.resolve()
    .then(call)
    .then(
      () => 'none',
      (error) => (error instanceof SluiceError ? error.code : `not a SluiceError: ${error}`),
    );

const pairs = kinds.flatMap((kind) => shapes.map((shape) => [kind, shape] as const));

test.each(pairs.filter(([kind, shape]) => !takesShape(modelKinds[kind], shape)))(
  '%s says that it does not take %o',
  async (kind, shape) => {
    expect(await codeOf(() => engine.create(kind, shape, {}, 7))).toBe('MODEL_INPUT');
  },
);

describe.each(pairs.filter(([kind, shape]) => takesShape(modelKinds[kind], shape)))(
  '%s of %o',
  (kind, shape) => {
    const options = modelKinds[kind].options.parse({});
    const create = (seed = 7) => engine.create(kind, shape, options, seed);

    test('learns and scores a batch as its rows one by one, bit for bit', async () => {
      const batch = randomRows(1, 60, shape);
      const [whole, single, stepped] = [create(), create(), create()];
      await whole.learn(batch.rows, batch.labels, batch.weights);
      const scores: Buffer[] = [];
      for (let i = 0; i < 60; i++) {
        const row = rowOf(batch, i);
        scores.push(Buffer.from(bytesOf(await single.score(row.rows))));
        await single.learn(row.rows, row.labels, row.weights);
      }
      const prequential = await stepped.step(batch.rows, batch.labels, batch.weights);
      expect(bytesOf(prequential).equals(Buffer.concat(scores))).toBe(true);
      expect(await bits(single)).toBe(await bits(whole));
      expect(await bits(stepped)).toBe(await bits(whole));
      const alone = await Promise.all(
        Array.from({ length: 60 }, (_, i) => whole.score(rowOf(batch, i).rows)),
      );
      const together = bytesOf(await whole.score(batch.rows));
      expect(together.equals(Buffer.concat(alone.map((part) => bytesOf(part))))).toBe(true);
    });

    test('is the same for the same seed, rows and order, and is not changed by scoring', async () => {
      const batch = randomRows(2, 80, shape);
      const [one, two] = [create(), create()];
      await one.learn(batch.rows, batch.labels);
      await two.learn(batch.rows, batch.labels);
      const before = await bits(one);
      expect(await bits(two)).toBe(before);
      await one.score(batch.rows);
      await one.step(batch.rows, batch.labels, undefined, Int32Array.of(3, 1, 2));
      expect(await bits(one)).toBe(before);
    });

    test('gives probabilities, before and after it has learned', async () => {
      const batch = randomRows(3, 50, shape);
      const model = create();
      for (const _ of [0, 1]) {
        const scores = await model.score(batch.rows);
        expect(scores).toHaveLength(50 * shape.classes);
        for (let row = 0; row < 50; row++) {
          const own = scores.subarray(row * shape.classes, (row + 1) * shape.classes);
          expect(own.every((p) => p >= 0 && p <= 1)).toBe(true);
          expect(own.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
        }
        await model.learn(batch.rows, batch.labels);
      }
    });

    test('comes back from its bytes and goes on as if it had never been away', async () => {
      const [first, second] = [randomRows(4, 50, shape), randomRows(5, 50, shape)];
      const model = create();
      await model.learn(first.rows, first.labels);
      const copy = engine.load(await model.save());
      expect({ kind: copy.kind, shape: copy.shape }).toEqual({ kind, shape });
      await model.learn(second.rows, second.labels);
      await copy.learn(second.rows, second.labels);
      expect(await bits(copy)).toBe(await bits(model));
    });

    test('refuses garbage and altered bytes as a model, by code', async () => {
      const model = create();
      const batch = randomRows(6, 30, shape);
      await model.learn(batch.rows, batch.labels);
      const file = await model.save();
      const random = seeded(6);
      const refused = ['MODEL_CORRUPT', 'MODEL_VERSION'];
      expect(refused).toContain(await codeOf(() => engine.load(new Uint8Array(0))));
      for (let round = 0; round < 200; round++) {
        const noise = Uint8Array.from({ length: Math.floor(random() * 500) }, () => random() * 256);
        const bad = round % 2 === 0 ? file.slice() : file.slice(0, Math.floor(random() * file.length));
        if (round % 2 === 0) bad[Math.floor(random() * bad.length)] ^= 1 + Math.floor(random() * 255);
        for (const bytes of [noise, bad]) expect(refused).toContain(await codeOf(() => engine.load(bytes)));
      }
    });

    test('refuses a malformed batch whole, and is as before', async () => {
      const model = create();
      const { rows, labels } = randomRows(7, 10, shape);
      const before = await bits(model);
      const bad = [
        { ...rows, count: 11 },
        { ...rows, indptr: rows.indptr.slice(1) },
        { ...rows, denseDims: shape.denseDims + 1 },
      ];
      for (const batch of bad) {
        expect(await codeOf(() => model.learn(batch, labels))).toBe('MODEL_INPUT');
        expect(await codeOf(() => model.score(batch))).toBe('MODEL_INPUT');
      }
      expect(await codeOf(() => model.learn(rows, new Int32Array(10).fill(shape.classes)))).toBe(
        'MODEL_INPUT',
      );
      expect(await bits(model)).toBe(before);
    });

    test('has a meaning for each option, and refuses others and those out of range', async () => {
      for (const [name, option] of Object.entries(modelKinds[kind].options.shape))
        expect(option.description, name).toMatch(/\w{3}/);
      for (const wrong of [
        { ...options, unknown: 1 },
        { ...options, [Object.keys(options)[0]]: Number.NaN },
      ])
        expect(await codeOf(() => engine.create(kind, shape, wrong, 1))).toBe('MODEL_INPUT');
    });

    test('refuses every call once it is closed', async () => {
      const model = create();
      const { rows, labels } = randomRows(8, 4, shape);
      model.close();
      for (const call of [() => model.score(rows), () => model.learn(rows, labels), () => model.save()])
        expect(await codeOf(call)).toBe('MODEL_CLOSED');
    });
  },
);
