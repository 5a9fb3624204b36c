import { describe, expect, it } from 'vitest';
import type { Engine, Model } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { RowArena } from '../../src/features/rows.ts';
import { openEngine } from '../../src/model/engine.ts';
import { inferColumns } from '../../src/task/columns.ts';
import { sensorTask, sortLabels, spamTask } from '../../src/task/presets.ts';
import { openTask, type TaskSpec } from '../../src/task/task.ts';
import { readingMessage, readingTask } from './fixtures.ts';

const spec: TaskSpec = {
  name: 'spam',
  event: 'email',
  labels: ['ham', 'spam'],
  decode: { kind: 'mime' },
  model: { kind: 'linear' },
  seed: 1,
};

const mail = (text: string) => ({ ...readingMessage(0, {}, 'ham'), payload: Buffer.from(text) });

describe('opening a task', () => {
  it('fills in every default and takes the last label as the positive one', () => {
    const task = openTask(spec);
    expect(task.positive).toBe(1);
    expect(task.shape).toMatchObject({ classes: 2, denseDims: expect.any(Number) });
    expect(openTask({ ...spec, positive: 'ham' }).positive).toBe(0);
  });

  it.each([
    [{ labels: ['ham'] }, 'at least two labels'],
    [{ labels: ['ham', 'ham'] }, 'not distinct'],
    [{ positive: 'eggs' }, 'positive: eggs is not one of ham, spam'],
    [{ model: { kind: 'oracle' } }, 'model kind oracle is not one of'],
    [{ model: { kind: 'toString' } }, 'model kind toString is not one of'],
    [{ model: { kind: 'text' }, labels: ['ham', 'spam', 'bulk'] }, 'model kind text takes two labels only'],
    [{ model: { kind: 'linear', options: { rat: 1 } } }, 'rat'],
    [{ model: { kind: 'linear', options: { rate: -1 } } }, 'model.rate'],
    [{ features: { options: { bits: 99 } } }, 'features.bits'],
    [{ decode: { kind: 'mime', options: { maxBytes: 'lots' } } }, 'decode.maxBytes'],
    [{ decode: { kind: 'json', options: { fields: { a: {} } } } }, 'gives a reading, email needs a mail'],
  ] as [Partial<TaskSpec>, string][])('refuses %j and names the place', (change, message) => {
    expect(() => openTask({ ...spec, ...change })).toThrowError(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }),
    );
  });

  it.each([
    [{}, 'text', 4],
    [{ labels: ['ham', 'spam', 'bulk'] }, 'linear', undefined],
    [{ features: { options: { preset: 'fast' } } }, 'linear', undefined],
    [{ model: { kind: 'text', options: { views: 1 } } }, 'text', 1],
    [{ model: { options: { rate: 0.2 } } }, 'text', 4],
    [{ model: { kind: 'linear' } }, 'linear', undefined],
  ] as [Partial<TaskSpec>, string, number | undefined][])(
    'learns mail of %j with the kind %s',
    (change, kind, views) => {
      const { model } = openTask({ ...spec, model: undefined, ...change });
      expect(model.kind).toBe(kind);
      expect(model.options.views).toBe(views);
    },
  );

  it('learns readings with the kind linear', () => {
    expect(readingTask().model.kind).toBe('linear');
  });

  it('has a fingerprint that changes with whatever a fresh model depends on, and with nothing else', () => {
    const { fingerprint } = openTask(spec);
    expect(openTask({ ...spec, name: 'other', positive: 'ham' }).fingerprint).toBe(fingerprint);
    const changes: Partial<TaskSpec>[] = [
      { labels: ['spam', 'ham'] },
      { seed: 2 },
      { features: { options: { bits: 18 } } },
      { model: { kind: 'linear', options: { rate: 0.1 } } },
    ];
    const all = changes.map((change) => openTask({ ...spec, ...change }).fingerprint);
    expect(new Set([fingerprint, ...all]).size).toBe(changes.length + 1);
  });
});

describe('a task', () => {
  it('turns a message into events and rows that do not depend on position, label or source', () => {
    const task = openTask(spec);
    const arena = new RowArena(task.shape.dims, task.shape.denseDims);
    const text = 'Subject: hello\n\nBuy now\n';
    for (const message of [mail(text), { ...mail(text), position: 'x/spam#9', label: 'spam', source: 'y' }])
      for (const event of task.decode(message)) task.fill(event, arena);
    const { count, indptr, indices, values } = arena.view();
    expect(count).toBe(2);
    const row = (i: number) => [
      indices.slice(indptr[i], indptr[i + 1]),
      values.slice(indptr[i], indptr[i + 1]),
    ];
    expect(row(0)).toEqual(row(1));
    expect(row(0)[0].length).toBeGreaterThan(3);
  });

  it('lets nothing but SluiceErrors out of decoding, and names what it did not expect', () => {
    const task = readingTask();
    expect(() => task.decode(mail('{oops'))).toThrowError(expect.objectContaining({ code: 'DECODE_JSON' }));
    const hostile = {
      ...mail(''),
      get payload(): Uint8Array {
        throw new RangeError('boom');
      },
    };
    expect(() => task.decode(hostile)).toThrowError(
      expect.objectContaining({ code: 'DECODE_UNEXPECTED', message: 'boom' }),
    );
  });

  it('leaves the arena as it was when a row fails', () => {
    const task = readingTask();
    const arena = new RowArena(task.shape.dims, task.shape.denseDims);
    const [good] = task.decode(readingMessage(0, { n: 1, x: 2, mode: 'a' }, 'ok'));
    task.fill(good, arena);
    const before = arena.view();
    const snapshot = [before.count, before.indptr.slice(0, 2), before.dense.slice(0, before.denseDims)];
    const bad = { ...good, body: null as unknown as typeof good.body };
    expect(() => task.fill(bad, arena)).toThrowError(SluiceError);
    const after = arena.view();
    expect([after.count, after.indptr.slice(0, 2), after.dense.slice(0, after.denseDims)]).toEqual(snapshot);
    task.fill(good, arena);
    expect(arena.count).toBe(2);
  });

  it('loads what it saved and refuses a model of another shape, closing it', async () => {
    const engine = openEngine({ backend: 'cpu' });
    const task = readingTask();
    const model = task.newModel(engine);
    const bytes = await model.save();
    const again = task.loadModel(engine, bytes);
    expect(Buffer.from(await again.save()).equals(Buffer.from(bytes))).toBe(true);
    const loaded: Model[] = [];
    const spy: Engine = {
      backend: engine.backend,
      backends: engine.backends,
      create: (...given) => engine.create(...given),
      load: (given) => {
        loaded.push(engine.load(given));
        return loaded[0];
      },
    };
    const other = readingTask(1, ['a', 'b', 'c']);
    expect(() => other.loadModel(spy, bytes)).toThrowError(
      expect.objectContaining({ code: 'MODEL_MISMATCH' }),
    );
    await expect(loaded[0].save()).rejects.toMatchObject({ code: 'MODEL_CLOSED' });
    expect(() => task.loadModel(engine, bytes.slice(0, 20))).toThrowError(
      expect.objectContaining({ code: 'MODEL_CORRUPT' }),
    );
  });
});

describe('presets', () => {
  const sampleOf = (rows: readonly object[]) => rows.map((row) => Buffer.from(JSON.stringify(row)));
  const rows = (count: number, row: (i: number) => object) =>
    sampleOf(Array.from({ length: count }, (_, i) => row(i)));

  it('infer numbers and categories, and leave out what describes the file', () => {
    const sample = rows(100, (i) => ({
      row: i + 1,
      temperature: i % 7 === 0 ? null : 20 + (i % 5),
      state: i % 2 ? 'on' : 'off',
      open: i % 3 === 0,
      name: `reading-${i}`,
      when: `2024-01-01 00:00:${String(i % 60).padStart(2, '0')}`,
      empty: null,
      nested: { a: 1 },
      faulty: i === 50 ? 'ERR' : i * 0.5,
    }));
    const { columns, leftOut } = inferColumns(sample);
    expect(Object.fromEntries(columns)).toEqual({
      temperature: 'number',
      state: 'category',
      open: 'category',
      faulty: 'number',
    });
    expect(leftOut.map(({ column }) => column)).toEqual(['row', 'name', 'when', 'empty', 'nested']);
  });

  it('open as a real task', () => {
    const { spec: made } = sensorTask(
      { labels: ['up', 'down'], sample: rows(30, (i) => ({ 'a/b~c d': i % 4, wind: i % 2 ? 'n' : 's' })) },
      { seed: 1 },
    );
    const task = openTask(made);
    expect(task.labels).toEqual(['down', 'up']);
    const [event] = task.decode(readingMessage(0, { 'a/b~c d': 3, wind: 'n' }, 'up'));
    expect(event.body).toMatchObject({
      kind: 'reading',
      values: Float64Array.of(3, Number.NaN),
      categories: [null, 'n'],
    });
  });

  it('sort numbers as numbers and names by code', () => {
    expect(sortLabels(['10', '9', '1'])).toEqual(['1', '9', '10']);
    expect(sortLabels(['b', 'B', 'a'])).toEqual(['B', 'a', 'b']);
  });

  it('keep ham and spam though the data shows but one, and take other labels from the data', () => {
    const options = { model: { kind: 'linear' }, seed: 1 };
    expect(spamTask({ labels: ['ham'], sample: [] }, options).labels).toEqual(['ham', 'spam']);
    expect(spamTask({ labels: ['junk', 'good'], sample: [] }, options).labels).toEqual(['good', 'junk']);
    expect(() => spamTask({ labels: ['junk'], sample: [] }, options)).toThrowError(/at least two labels/);
  });

  it('refuse data with nothing to learn from', () => {
    expect(() => inferColumns(rows(50, (i) => ({ id: i })))).toThrowError(/id: numbers the rows/);
    expect(() => inferColumns([Buffer.from('Subject: x\n\nmail')])).toThrowError(/need the task `spam`/);
  });
});
