import { describe, expect, test } from 'vitest';
import type { Event } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { evaluate } from '../../src/task/evaluation.ts';
import { immediate } from '../../src/task/feedback.ts';
import { FieldWatch } from '../../src/task/fields.ts';
import { seededRandom } from '../../src/task/random.ts';
import { openTask, type Task, type TaskSpec } from '../../src/task/task.ts';
import { LABELS, readingMessage, streamOf } from './fixtures.ts';

const engine = openEngine({ backend: 'cpu', threads: 1 });

const reading = (values: readonly number[], more: object = {}): Event =>
  ({
    ...{ id: 'x', weak: false, device: 'd', at: 1, aliases: [] },
    body: { kind: 'reading', values: Float64Array.from(values), categories: values.map(() => null), ...more },
  }) as Event;

const NAN = Number.NaN;

describe('the watch over fields', () => {
  const watch = () => new FieldWatch({ a: { type: 'number' }, b: { type: 'number', missing: 'drop' } });

  test('says once that a field is silent, and once that it is heard again', () => {
    const fields = watch();
    for (let i = 0; i < 199; i += 1) fields.see(reading([NAN, 1]));
    expect(fields.take()).toEqual([]);
    for (let i = 0; i < 500; i += 1) fields.see(reading([NAN, 1]));
    expect(fields.take()).toEqual([{ field: 'a', silent: true, counts: new Map() }]);
    for (let i = 0; i < 500; i += 1) fields.see(reading([NAN, 1]));
    expect(fields.take()).toEqual([]);
    fields.see(reading([1, 1]));
    expect(fields.take()).toEqual([{ field: 'a', silent: false, counts: new Map() }]);
  });

  test('is not troubled by a field that comes now and then', () => {
    const fields = watch();
    for (let i = 0; i < 2_000; i += 1) fields.see(reading([i % 150 === 0 ? 1 : NAN, 1]));
    expect(fields.take()).toEqual([]);
  });

  test('counts what is wrong by field, and what is dropped, unless it was seen before', () => {
    const fields = watch();
    fields.see(reading([NAN, 1], { flags: [{ field: 0, what: 'invalid' }] }));
    expect(fields.use([reading([1, NAN]), reading([1, 1])])).toHaveLength(1);
    expect(fields.use([reading([1, NAN])], true)).toHaveLength(0);
    expect(fields.take()).toEqual([
      { field: 'a', silent: null, counts: new Map([['invalid', 1]]) },
      { field: 'b', silent: null, counts: new Map([['dropped', 1]]) },
    ]);
  });

  test('a field of which every reading is dropped is silent too', () => {
    const fields = watch();
    for (let i = 0; i < 300; i += 1) fields.use([reading([1, NAN])]);
    expect(fields.take().find(({ field }) => field === 'b')?.silent).toBe(true);
  });

  test('names what is wrong with a reading, however fields are called', () => {
    const fields = new FieldWatch(JSON.parse('{"__proto__":{"type":"number"},"b":{"type":"number"}}'));
    const flags = [
      { field: 0, what: 'spike' },
      { field: 1, what: 'unit' },
      { field: 0, what: 'invalid' },
    ];
    expect(JSON.stringify(fields.flagsOf(reading([1, 1], { flags })))).toBe(
      '{"__proto__":["spike","invalid"],"b":["unit"]}',
    );
    expect(fields.flagsOf(reading([1, 1]))).toBeUndefined();
  });
});

const taskOf = (x: object, more: Partial<TaskSpec> = {}): Task =>
  openTask({
    ...{ name: 'machine', event: 'sensor', labels: LABELS, model: { kind: 'linear' }, seed: 1 },
    decode: { kind: 'json', options: { fields: { x, y: {} } } },
    features: { options: { preset: 'fast' } },
    ...more,
  });

describe('a task with rules for its columns', () => {
  test('does not have the model standardise what is on a scale of its own, unless told to', () => {
    expect(taskOf({}).model.options.normalise).toBe(1);
    expect(taskOf({ missing: 'median', clip: 5 }).model.options.normalise).toBe(1);
    expect(taskOf({ scale: 'robust' }).model.options.normalise).toBe(0);
    expect(
      taskOf({ scale: 'robust' }, { model: { kind: 'linear', options: { normalise: 1 } } }).model.options
        .normalise,
    ).toBe(1);
    expect(taskOf({ scale: 'robust' }).shape.rules?.map(({ scale }) => scale)).toEqual([
      ...['robust', 'zscore', 'zscore', 'zscore'],
    ]);
  });

  test('refuses a model of other rules', async () => {
    const model = taskOf({ scale: 'robust' }).newModel(engine);
    const bytes = await model.save();
    model.close();
    for (const x of [{}, { scale: 'minmax' }])
      expect(() => taskOf(x).loadModel(engine, bytes)).toThrowError(
        expect.objectContaining({ code: 'MODEL_MISMATCH' }),
      );
    taskOf({ scale: 'robust' }).loadModel(engine, bytes).close();
  });

  /** One in ten x is out of all bounds: a sender's fault. */
  function faulty(n: number) {
    const random = seededRandom(3, 'faulty');
    return Array.from({ length: n }, (_, i) => {
      const x = random() * 2 - 1;
      const wild = random() < 0.1 ? 1e6 * random() : x;
      return readingMessage(
        i,
        { x: wild, y: random() },
        x + 0.1 * (random() - 0.5) > 0 ? 'fault' : 'ok',
        i + 1,
      );
    });
  }

  const accuracyOf = async (x: object): Promise<number | null> => {
    const stream = faulty(3_000);
    const given = {
      engine,
      train: null,
      input: streamOf(stream),
      total: stream.length,
      feedback: immediate,
      seed: 1,
    };
    return (await evaluate({ ...given, task: taskOf(x), protocol: { kind: 'prequential' } })).accuracy;
  };

  test('withstands outliers that drown a plain one', async () => {
    const given = [{}, { clip: 1.5 }, { clip: 1.5, scale: 'robust' }];
    const [plain, clipped, scaled] = await Promise.all(given.map(accuracyOf));
    expect(plain).toBeLessThan(0.75);
    expect(clipped).toBeGreaterThan(0.85);
    expect(scaled).toBeGreaterThan(0.85);
  });
});

test('windows tell what a reading alone does not, in evaluate as in a gateway', async () => {
  // A fault is when a device switches on; each has a level of its own.
  const random = seededRandom(7, 'levels');
  const state = Array.from({ length: 10 }, () => ({ level: 100 * random(), on: false }));
  const stream = Array.from({ length: 4_000 }, (_, i) => {
    const device = Math.floor(random() * 10);
    const own = state[device];
    const before = own.on;
    if (random() < 0.1) own.on = !own.on;
    const rising = own.on && !before;
    const label = rising ? 'fault' : 'ok';
    return readingMessage(
      i,
      { d: `d${device}`, x: own.level + (own.on ? 1 : 0) + 0.01 * random() },
      label,
      i + 1,
    );
  });
  const accuracyOf = async (on: boolean) => {
    const task = openTask({
      ...{ name: 'machine', event: 'sensor', labels: LABELS, model: { kind: 'linear' }, seed: 1 },
      decode: { kind: 'json', options: { fields: { x: {} }, device: { pointer: '/d' } } },
      features: { options: { windows: { on, stats: ['difference'] } } },
    });
    const given = {
      engine,
      train: null,
      input: streamOf(stream),
      total: stream.length,
      feedback: immediate,
      seed: 1,
    };
    const { macroF1 } = await evaluate({ ...given, task, protocol: { kind: 'prequential' } });
    return macroF1;
  };
  expect(await accuracyOf(false)).toBeLessThan(0.6);
  expect(await accuracyOf(true)).toBeGreaterThan(0.95);
});
