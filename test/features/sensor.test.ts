import { describe, expect, test } from 'vitest';
import type { Event, Rows } from '../../src/contract.ts';
import { jsonOptions, openJson } from '../../src/decode/json.ts';
import { RowArena, sliceRow } from '../../src/features/rows.ts';
import { type DeclaredFields, openSensor, sensorOptions } from '../../src/features/sensor.ts';
import { choose, lessThanFull } from '../../src/features/sensor-choice.ts';
import { messageOf } from '../decode/corpus.ts';

const { fields } = jsonOptions.parse({
  fields: {
    t: { required: true },
    u: {},
    on: { type: 'boolean' },
    mode: { type: 'category' },
    since: { type: 'time' },
  },
});
const decoder = openJson(jsonOptions.parse({ fields }));
const eventOf = (value: object): Event => decoder.decode(messageOf(JSON.stringify(value)))[0];
const open = (options: object = {}) =>
  openSensor(sensorOptions.parse({ preset: 'fast', ...options }), fields);

function rowOf(value: object, options: object = {}): Rows {
  const featurizer = open(options);
  const arena = new RowArena(featurizer.dims, featurizer.denseDims);
  arena.beginRow();
  featurizer.write(eventOf(value), arena);
  arena.endRow();
  return sliceRow(arena.view(), 0);
}

const NAN = Number.NaN;

describe('the row of a reading', () => {
  test('has numbers and booleans as they are, and says what is missing', () => {
    // t | u, missing | on, missing | mode missing | since: 4 columns, missing
    expect([...rowOf({ t: 1.5, u: 2, on: true, mode: 'a', since: 0 }).dense]).toEqual([
      1.5,
      2,
      0,
      1,
      0,
      0,
      0,
      1,
      Math.fround(Math.sin((8 * Math.PI) / 7)),
      Math.fround(Math.cos((8 * Math.PI) / 7)),
      0,
    ]);
    expect([...rowOf({ t: 1.5 }).dense]).toEqual([1.5, NAN, 1, NAN, 1, 1, NAN, NAN, NAN, NAN, 1]);
    expect([...rowOf({ t: 1.5 }, { missing: false }).dense]).toEqual([1.5, NAN, NAN, NAN, NAN, NAN, NAN]);
  });

  test('has one bucket for a category, its own for each field and value', () => {
    const a = rowOf({ t: 1, mode: 'a' });
    expect([...a.values]).toEqual([1]);
    expect([...rowOf({ t: 2, mode: 'a' }).indices]).toEqual([...a.indices]);
    expect([...rowOf({ t: 1, mode: 'b' }).indices]).not.toEqual([...a.indices]);
    expect(rowOf({ t: 1 }).indices.length).toBe(0);
    expect(a.indices[0]).toBeLessThan(2 ** 16);
  });

  test('puts midnight beside 23:59, and a week beside the next', () => {
    const hour = (iso: string) => [...rowOf({ t: 1, since: iso }).dense.slice(6, 8)];
    const [late, early] = [hour('2026-01-02T23:59:00Z'), hour('2026-01-02T00:00:00Z')];
    expect(Math.hypot(late[0] - early[0], late[1] - early[1])).toBeLessThan(0.01);
    const day = (iso: string) => [...rowOf({ t: 1, since: iso }).dense.slice(8, 10)];
    expect(day('2026-01-02T05:00:00Z')[0]).toBeCloseTo(day('2026-01-09T05:00:00Z')[0], 4);
  });

  test('may tell the time of the event itself', () => {
    const featurizer = open({ eventTime: true });
    expect(featurizer.denseDims).toBe(15);
    expect(rowOf({ t: 1 }, { eventTime: true }).dense.slice(11).some(Number.isNaN)).toBe(false);
  });

  test('has no sparse space where no field is a category', () => {
    const featurizer = openSensor(sensorOptions.parse({ preset: 'fast' }), { a: { type: 'number' } });
    expect([featurizer.dims, featurizer.denseDims]).toEqual([0, 2]);
  });
});

test('describe names every cell that write produces', () => {
  const event = eventOf({ t: 1.5, u: 2, on: true, mode: 'a', since: 0 });
  const row = rowOf({ t: 1.5, u: 2, on: true, mode: 'a', since: 0 });
  const cells = open().describe(event);
  const dense = new Float32Array(row.dense.length).fill(NAN);
  for (const cell of cells) if (cell.part === 'dense') dense[cell.index] = cell.value;
  expect([...dense]).toEqual([...row.dense]);
  expect(cells.filter((cell) => cell.part === 'sparse')).toEqual([
    { name: 'mode=a', index: row.indices[0], value: 1, part: 'sparse' },
  ]);
  expect(new Set(cells.map((cell) => cell.name)).size).toBe(cells.length);
});

test('the version changes with fields and options', () => {
  const versions = [
    open().version,
    open({ missing: false }).version,
    open({ key: 'k' }).version,
    openSensor(sensorOptions.parse({}), { t: { type: 'number' } }).version,
    openSensor(sensorOptions.parse({}), { u: { type: 'number' } }).version,
  ];
  expect(new Set(versions).size).toBe(versions.length);
});

test('no fields, a mail, and a reading of other fields are refused', () => {
  expect(() => openSensor(sensorOptions.parse({}), {})).toThrowError(
    expect.objectContaining({ code: 'CONFIG_INVALID' }),
  );
  const other = openJson(jsonOptions.parse({ fields: { a: {} } })).decode(messageOf('{"a":1}'))[0];
  expect(() => open().describe(other)).toThrowError(expect.objectContaining({ code: 'INTERNAL' }));
});

describe('the preset of readings', () => {
  const many = (n: number) =>
    Object.fromEntries(Array.from({ length: n }, (_, i) => [`f${i}`, { type: 'number' as const }]));
  const chosen = (options: object, declared: DeclaredFields = many(2), labels = 2) =>
    choose(sensorOptions.parse(options), declared, labels);

  test('has windows for the most accurate model unless `fast` is asked for; what is said stands', () => {
    expect(chosen({})).toMatchObject({ lean: false, because: null, options: { windows: { on: true } } });
    expect(chosen({ preset: 'fast' })).toMatchObject({ lean: true, options: { windows: { on: false } } });
    expect(chosen({ windows: { on: false } })).toMatchObject({
      lean: false,
      options: { windows: { on: false } },
    });
    expect(chosen({ preset: 'fast', windows: { on: true } }).options.windows.on).toBe(true);
  });

  test('does with less where a stream is too wide, and says why', () => {
    const wide = { type: 'category', encode: 'onehot', categories: Object.keys(many(1_100)) } as const;
    for (const [less, reason] of [
      [chosen({}, many(129)), /129 fields, more than 128/],
      [chosen({}, many(2), 257), /257 labels, more than 256/],
      [chosen({}, { wide }), /1101 columns, more than 1024/],
    ] as const) {
      expect(less).toMatchObject({ lean: true, options: { windows: { on: false } } });
      expect(less.because).toMatch(reason);
    }
    expect(chosen({}, many(128), 256).because).toBeNull();
    expect(chosen({ windows: { on: true } }, many(129)).options.windows.on).toBe(true);
    expect(chosen({ preset: 'fast' }, many(129)).because).toBeNull();
  });

  test('tells what there is less of, until all of it is said', () => {
    const told = (features: object, model = false) => lessThanFull(features, many(129), 2, model);
    expect(told({})).toMatch(/no windows and the model `linear`/);
    expect(told({ windows: { on: false } })).toMatch(/has the model `linear`/);
    expect(told({}, true)).toMatch(/has no windows, as/);
    expect(told({ windows: { on: true } }, true)).toBeNull();
    expect(told({ preset: 'fast' })).toBeNull();
    expect(lessThanFull({}, many(3), 2, false)).toBeNull();
  });

  test('rows of the options of earlier versions have the version that they had', () => {
    const declared = {
      a: { type: 'number' },
      m: { type: 'category', encode: 'onehot', categories: ['x', 'y'] },
    } as const;
    const versionOf = (options: object) => openSensor(sensorOptions.parse(options), declared).version;
    expect(versionOf({ preset: 'fast' })).toBe('sensor-2-dcbb48c3e02a');
    expect(versionOf({ windows: { on: false } })).toBe('sensor-2-dcbb48c3e02a');
    expect(versionOf({ windows: { on: true } })).toBe('sensor-2-59b3b1dcd26c');
    expect(versionOf({ windows: { on: true, devices: 500, memory: '1MiB' } })).toBe('sensor-2-59b3b1dcd26c');
    const stats = { on: true, stats: ['lag', 'ewma'], halfLives: [2, '10m'], span: '1h', fields: ['a'] };
    expect(versionOf({ key: 'k', bits: 10, eventTime: true, windows: stats })).toBe('sensor-2-472505bdff49');
  });
});
