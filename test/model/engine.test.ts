/** The engine: what it finds, what it refuses and how it says so. */
import { describe, expect, it } from 'vitest';
import type { Model, Rows } from '../../src/contract.ts';
import { errorTable, SluiceError } from '../../src/errors.ts';
import { openEngine } from '../../src/model/engine.ts';
import { findModelKind, modelKinds } from '../../src/model/kinds.ts';
import { bytesOf, randomRows, seeded } from './fixtures.ts';

const shape = { dims: 256, denseDims: 2, classes: 3 };

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return error instanceof SluiceError ? error.code : `not a SluiceError: ${error}`;
  }
  return 'none';
}

const rejection = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error) => (error instanceof SluiceError ? error.code : `not a SluiceError: ${error}`),
  );

describe('openEngine', () => {
  it('lists the backends with what was chosen or why not', () => {
    const engine = openEngine();
    expect(engine.backend).toBe('cpu');
    const cpu = engine.backends.find((row) => row.name === 'cpu');
    expect(cpu?.ok).toBe(true);
    expect(cpu?.detail).toMatch(/baseline|avx2/);
    expect(engine.backends.find((row) => row.name === 'cuda')).toEqual({
      name: 'cuda',
      ok: false,
      detail: 'not built',
    });
  });

  it('refuses a backend that cannot be used, with the reason', () => {
    expect(() => openEngine({ backend: 'cuda' })).toThrow(/cuda cannot be used: not built/);
    expect(codeOf(() => openEngine({ backend: 'cuda' }))).toBe('BACKEND_UNAVAILABLE');
    expect(codeOf(() => openEngine({ backend: 'tpu' as 'cpu' }))).toBe('BACKEND_UNAVAILABLE');
    expect(codeOf(() => openEngine({ isa: 'mmx' as 'auto' }))).toBe('BACKEND_UNAVAILABLE');
    expect(codeOf(() => openEngine({ threads: -1 }))).toBe('MODEL_INPUT');
  });
});

describe('create', () => {
  it('refuses kinds, shapes and options that make no sense, naming them', () => {
    const engine = openEngine();
    const make = (kind: string, change: object, options: Record<string, number> = {}) =>
      engine.create(kind, { ...shape, ...change }, options, 1);
    expect(() => make('oracle', {})).toThrow(/"oracle".*linear/);
    expect(() => make('linear', { dims: 100 })).toThrow(/power of two/);
    expect(() => make('linear', {}, { rates: 1 })).toThrow(/rates/);
    expect(() => make('linear', {}, { rate: Number.NaN })).toThrow(/rate/);
    for (const change of [
      { dims: 100 },
      { dims: -1 },
      { dims: 2 ** 31 },
      { dims: 1.5 },
      { dims: '256' },
      { denseDims: Number.NaN },
      { dims: 0, denseDims: 0 },
      { classes: 1 },
      { classes: 1e6 },
      { classes: undefined },
    ])
      expect(
        codeOf(() => make('linear', change)),
        JSON.stringify(change),
      ).toBe('MODEL_INPUT');
    expect(codeOf(() => make('linear', { dims: 2 ** 28, classes: 1000 }))).toBe('MODEL_MEMORY');
  });

  it('reports the memory of a model, so that forgotten ones are collected without being asked', async () => {
    const engine = openEngine();
    let collected = 0;
    const registry = new FinalizationRegistry(() => {
      collected += 1;
    });
    // A few hundred bytes of JavaScript each: only what the core reports can make V8 collect them.
    for (let i = 0; i < 200 && collected === 0; i += 1) {
      const model = engine.create('linear', { dims: 2 ** 22, denseDims: 0, classes: 2 }, {}, 1);
      expect(model.bytes).toBeGreaterThan(2 ** 25);
      registry.register(model, i);
      await new Promise(setImmediate);
    }
    expect(collected).toBeGreaterThan(0);
  });
});

describe('a batch', () => {
  const good = randomRows(1, 8, shape);
  const rowsWith = (change: object): Rows => ({ ...good.rows, ...change }) as Rows;
  const spoil = <T extends Uint32Array | Float32Array | Int32Array>(
    array: T,
    at: number,
    value: number,
  ): T => {
    const copy = array.slice() as T;
    copy[at] = value;
    return copy;
  };
  const resizable = (bytes: number) =>
    new (ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer)(bytes, {
      maxByteLength: bytes,
    });
  const { rows } = good;
  const bad: readonly (readonly [string, Rows])[] = [
    ['more rows than indptr', rowsWith({ count: 9 })],
    ['a negative count', rowsWith({ count: -1 })],
    ['a count that is no number', rowsWith({ count: '8' })],
    ['a huge count', rowsWith({ count: 2 ** 40 })],
    ['falling indptr', rowsWith({ indptr: spoil(rows.indptr, 3, 4_000_000_000) })],
    ['an index outside', rowsWith({ indices: spoil(rows.indices, 0, 256) })],
    ['an infinite value', rowsWith({ values: spoil(rows.values, 2, Number.POSITIVE_INFINITY) })],
    ['a NaN value', rowsWith({ values: spoil(rows.values, 2, Number.NaN) })],
    ['short values', rowsWith({ values: rows.values.slice(1) })],
    ['short dense', rowsWith({ dense: rows.dense.slice(1) })],
    ['other dense columns', rowsWith({ denseDims: 1 })],
    ['indices of another type', rowsWith({ indices: new Int32Array(rows.indices) })],
    ['values of another type', rowsWith({ values: Float64Array.from(rows.values) })],
    ['an array of numbers', rowsWith({ values: [...rows.values] })],
    ['a DataView', rowsWith({ values: new DataView(new ArrayBuffer(4096)) })],
    ['an ArrayBuffer', rowsWith({ values: new ArrayBuffer(4096) })],
    ['a missing array', rowsWith({ indptr: undefined })],
    ['null', rowsWith({ dense: null })],
    ['memory that can shrink', rowsWith({ values: new Float32Array(resizable(4096)) })],
  ];

  it.each(bad)('with %s is refused, and the model is as before', async (_, rowsBad) => {
    const model = openEngine().create('linear', shape, {}, 1);
    await model.learn(good.rows, good.labels);
    const before = bytesOf(await model.save());
    expect(await rejection(model.score(rowsBad))).toBe('MODEL_INPUT');
    expect(await rejection(model.learn(rowsBad, good.labels))).toBe('MODEL_INPUT');
    expect(await rejection(model.step(rowsBad, good.labels))).toBe('MODEL_INPUT');
    expect(bytesOf(await model.save()).equals(before)).toBe(true);
  });

  it('with labels, weights or a schedule out of range is refused', async () => {
    const model = openEngine().create('linear', shape, {}, 1);
    const { labels, weights } = good;
    const calls = [
      model.learn(rows, spoil(labels, 1, 3)),
      model.learn(rows, spoil(labels, 1, -3)),
      model.learn(rows, labels.slice(1)),
      model.learn(rows, new Int32Array(0)),
      model.learn(rows, undefined as unknown as Int32Array),
      model.learn(rows, [...labels] as unknown as Int32Array),
      model.learn(rows, labels, spoil(weights, 0, -1)),
      model.learn(rows, labels, spoil(weights, 0, Number.NaN)),
      model.learn(rows, labels, new Float32Array(0)),
      model.step(rows, labels, weights, Int32Array.of(8)),
      model.step(rows, labels, weights, Int32Array.of(~8)),
      model.step(rows, labels, weights, Int32Array.of(-(2 ** 31))),
      model.step(rows, labels, weights, Uint32Array.of(0) as unknown as Int32Array),
    ];
    expect(await Promise.all(calls.map(rejection))).toEqual(calls.map(() => 'MODEL_INPUT'));
  });

  it('may be empty', async () => {
    const model = openEngine().create('linear', shape, {}, 1);
    const none = randomRows(1, 0, shape);
    expect(await model.score(none.rows)).toHaveLength(0);
    expect(await model.step(none.rows, none.labels)).toHaveLength(0);
    await model.learn(none.rows, none.labels, none.weights);
    expect(await model.step(good.rows, good.labels, undefined, new Int32Array(0))).toHaveLength(24);
  });
});

describe('a model file', () => {
  it('that was altered is refused, always', async () => {
    const engine = openEngine();
    const model = engine.create('linear', shape, {}, 1);
    const batch = randomRows(2, 50, shape);
    await model.learn(batch.rows, batch.labels);
    const file = await model.save();
    const random = seeded(3);
    for (let round = 0; round < 3000; round += 1) {
      const bad = file.slice(0, round % 5 === 0 ? Math.floor(random() * file.length) : file.length);
      const flips = 1 + Math.floor(random() * 4);
      const distinct = new Set(Array.from({ length: flips }, () => Math.floor(random() * bad.length)));
      for (const at of distinct) if (at < bad.length) bad[at] ^= 1 + Math.floor(random() * 255);
      if (bytesOf(bad).equals(bytesOf(file))) continue;
      expect(['MODEL_CORRUPT', 'MODEL_VERSION']).toContain(codeOf(() => engine.load(bad)));
    }
  });

  it('must be bytes', () => {
    const engine = openEngine();
    expect(codeOf(() => engine.load(new Uint8Array(0)))).toBe('MODEL_CORRUPT');
    expect(codeOf(() => engine.load('SLUMODEL' as unknown as Uint8Array))).toBe('MODEL_INPUT');
    expect(codeOf(() => engine.load(new Float32Array(99) as unknown as Uint8Array))).toBe('MODEL_INPUT');
  });

  it('may lie on shared memory', async () => {
    const engine = openEngine();
    const file = await engine.create('linear', shape, {}, 1).save();
    const view = new Uint8Array(new SharedArrayBuffer(file.length + 3), 3);
    view.set(file);
    expect(bytesOf(await engine.load(view).save()).equals(bytesOf(file))).toBe(true);
  });
});

describe('a closed model', () => {
  it('refuses every call with MODEL_CLOSED and may be closed again', async () => {
    const model = openEngine().create('linear', shape, {}, 1);
    const { rows, labels } = randomRows(1, 4, shape);
    await model.score(rows);
    model.close();
    model.close();
    const calls: Promise<unknown>[] = [
      model.score(rows),
      model.learn(rows, labels),
      model.step(rows, labels),
      model.save(),
    ];
    expect(await Promise.all(calls.map(rejection))).toEqual(calls.map(() => 'MODEL_CLOSED'));
  });

  it('settles everything that was under way, done or MODEL_CLOSED', async () => {
    const engine = openEngine();
    const big = { dims: 2 ** 16, denseDims: 0, classes: 2 };
    const { rows, labels } = randomRows(4, 5000, big);
    for (let round = 0; round < 20; round += 1) {
      const model: Model = engine.create('linear', big, {}, 1);
      const calls = [model.learn(rows, labels), model.score(rows), model.step(rows, labels), model.save()];
      if (round % 2 === 0) await calls[0];
      model.close();
      const outcomes = await Promise.all(calls.map(rejection));
      for (const outcome of outcomes) expect(['none', 'MODEL_CLOSED']).toContain(outcome);
      if (round % 2 === 1) expect(outcomes[3]).toBe('MODEL_CLOSED');
    }
  });
});

describe('the table of kinds', () => {
  it('describes every option and gives each a default that the core takes', async () => {
    const engine = openEngine();
    for (const [name, kind] of Object.entries(modelKinds)) {
      const shape = { dims: 256, denseDims: kind.columns ? 2 : 0, classes: kind.labels === 'two' ? 2 : 3 };
      for (const [option, type] of Object.entries(kind.options.shape))
        expect(type.description, option).toMatch(/\w{3}/);
      const model = engine.create(name, shape, kind.options.parse({}), 1);
      expect(model.kind).toBe(name);
      expect(model.shape).toEqual(shape);
      const { rows, labels } = randomRows(5, 20, shape);
      for (const p of await model.step(rows, labels)) expect(p >= 0 && p <= 1).toBe(true);
      expect(bytesOf(await engine.load(await model.save()).save()).equals(bytesOf(await model.save()))).toBe(
        true,
      );
    }
  });

  it('finds only its own rows', () => {
    expect(findModelKind('linear')).toBe(modelKinds.linear);
    expect(findModelKind('constructor')).toBeNull();
    expect(findModelKind('__proto__')).toBeNull();
  });

  it('has codes for everything the core may throw', () => {
    for (const code of ['MODEL_INPUT', 'MODEL_CORRUPT', 'MODEL_VERSION', 'MODEL_MEMORY', 'MODEL_CLOSED'])
      expect(Object.hasOwn(errorTable, code)).toBe(true);
    expect(Object.hasOwn(errorTable, 'BACKEND_UNAVAILABLE')).toBe(true);
  });
});
