import { describe, expect, test } from 'vitest';
import { jsonOptions, openJson } from '../../src/decode/json.ts';
import type { DeclaredFields } from '../../src/features/sensor.ts';
import { seededRandom } from '../../src/task/random.ts';
import { messageOf } from '../decode/corpus.ts';
import { eventOf, open, rowOf, rowsOf } from './sensor-kit.ts';

const NAN = Number.NaN;
const declared = (field: object): DeclaredFields =>
  jsonOptions.parse({ fields: { x: field, other: {} } }).fields as DeclaredFields;

/** Rows of values of x in a row, a second each. */
function rows(field: object, values: readonly number[], options: object = {}): Record<string, number>[] {
  const featurizer = open(options, declared(field));
  return rowsOf(
    featurizer,
    values.map((x, i) => eventOf({ at: 1e12 + 1_000 * i, values: [x, 0] })),
  );
}

const xs = (field: object, values: readonly number[]): number[] => rows(field, values).map((row) => row.x);

describe('a missing value', () => {
  test('stays missing, is the last of its device, or a constant, and the indicator says so', () => {
    const values = [NAN, 1, NAN, NAN, 4];
    expect(xs({}, values)).toEqual(values);
    expect(xs({ missing: 'last' }, values)).toEqual([NAN, 1, 1, 1, 4]);
    expect(xs({ missing: { constant: -1 } }, values)).toEqual([-1, 1, -1, -1, 4]);
    // The model knows the mean and the median.
    expect(xs({ missing: 'median' }, values)).toEqual(values);
    for (const missing of ['keep', 'last', { constant: -1 }])
      expect(rows({ missing }, values).map((row) => row['x missing'])).toEqual([1, 0, 1, 1, 0]);
  });

  test('of one device is never filled from another', () => {
    const featurizer = open({}, declared({ missing: 'last' }));
    rowOf(featurizer, eventOf({ device: 'a', at: 1, values: [5, 0] }));
    expect(rowOf(featurizer, eventOf({ device: 'b', at: 2, values: [NAN, 0] })).x).toBeNaN();
  });

  test('of a boolean or a category may have a constant too', () => {
    expect(xs({ type: 'boolean', missing: { constant: true } }, [NAN, 0])).toEqual([1, 0]);
    const fields = declared({
      type: 'category',
      categories: ['a', 'b'],
      encode: 'ordinal',
      missing: { constant: 'b' },
    });
    const row = (category: string | null) =>
      rowOf(open({}, fields), eventOf({ at: 1, values: [NAN, 0], categories: [category, null] }));
    expect([row(null).x, row(null)['x missing'], row('a').x]).toEqual([1, 1, 0]);
  });
});

describe('a wrong value', () => {
  const calm = [10, 10.1, 9.9, 10.05, 9.95, 10.1, 9.9, 10, 10.02, 9.98];

  test('far outside of its window is a spike: flagged, missing, and no part of later windows', () => {
    const fields = declared({ spike: 6 });
    const options = { windows: { on: true, stats: ['max', 'lag'] } };
    const featurizer = open(options, fields);
    const events = [...calm, 500, 10].map((x, i) => eventOf({ at: 1e12 + i, values: [x, 0] }));
    const all = rowsOf(featurizer, events);
    expect([all[10].x, all[10]['x missing']]).toEqual([NAN, 1]);
    expect(events[10].body).toMatchObject({ flags: [{ field: 0, what: 'spike' }] });
    expect(all[11].x).toBe(10);
    expect(all[11]['x max']).toBeCloseTo(10.1, 5);
    expect(all[11]['x lag']).toBeCloseTo(9.98, 5);
    rowOf(featurizer, events[10]);
    expect(events[10].body).toMatchObject({ flags: [{ field: 0, what: 'spike' }] }); // once
  });

  test('is judged by median and median deviation, in whatever order the values lie', () => {
    const random = seededRandom(2, 'order');
    for (let round = 0; round < 200; round += 1) {
      const values = Array.from({ length: 8 + (round % 30) }, () => Math.round(random() * 40));
      const sorted = (all: readonly number[]) => [...all].sort((a, b) => a - b);
      const median = (all: readonly number[]) =>
        (sorted(all)[(all.length - 1) >> 1] + sorted(all)[all.length >> 1]) / 2;
      const middle = median(values);
      const spread = 1.4826 * median(values.map((value) => Math.abs(value - middle)));
      if (spread === 0) continue;
      const [inside, outside] = [middle + 2.99 * spread, middle + 3.01 * spread];
      // Looked for from the first reading on, the values before are spikes now and then, but remembered raw.
      expect(xs({ spike: 3 }, [...values, inside]).at(-1)).toBe(Math.fround(inside));
      expect(xs({ spike: 3 }, [...values, outside]).at(-1)).toBeNaN();
    }
  });

  test('that stays is no spike any more: the window follows', () => {
    const step = xs({ spike: 6 }, [...calm, ...Array.from({ length: 30 }, (_, i) => 50 + (i % 3) / 10)]);
    expect(step[10]).toBeNaN();
    expect(step.slice(25).some(Number.isNaN)).toBe(false);
  });

  test('is not looked for where too little is known, or nothing ever moved', () => {
    expect(xs({ spike: 6 }, [1, 500, 1])).toEqual([1, 500, 1]);
    expect(xs({ spike: 6 }, [...Array(20).fill(3), 4])[20]).toBe(4);
  });

  test('that stands still too long is stuck, until it moves', () => {
    const values = [1, 2, 2, 2, 2, 2, 3];
    expect(xs({ stuck: 4 }, values)).toEqual([1, 2, 2, 2, NAN, NAN, 3]);
    expect(() => open({}, declared({ stuck: 65 }))).toThrowError(/windows\.count/);
    const event = eventOf({ at: 9e12, values: [2, 0] });
    const featurizer = open({}, declared({ stuck: 2 }));
    rowOf(featurizer, eventOf({ at: 8e12, values: [2, 0] }));
    rowOf(featurizer, event);
    expect(event.body).toMatchObject({ flags: [{ field: 0, what: 'stuck' }] });
  });

  test('beyond fixed limits is cut off', () => {
    expect(xs({ clip: [0, 10] }, [-5, 5, 50, NAN])).toEqual([0, 5, 10, NAN]);
  });

  test('in another unit than declared is flagged and missing; without a unit it is taken at its word', () => {
    const decoder = openJson(jsonOptions.parse({ fields: { t: { unit: 'Cel', unitPointer: '/u' }, n: {} } }));
    const read = (value: object) => decoder.decode(messageOf(JSON.stringify(value)))[0].body;
    expect(read({ t: 20, u: 'Cel', n: 1 })).toMatchObject({ values: Float64Array.of(20, 1) });
    expect(read({ t: 20, n: 1 })).toMatchObject({ values: Float64Array.of(20, 1) });
    const other = read({ t: 68, u: 'degF', n: 1 });
    expect(other).toMatchObject({
      values: Float64Array.of(NAN, 1),
      flags: [{ field: 0, what: 'unit' }],
    });
  });

  test('of another type, or out of range, is flagged; one that is not there is not', () => {
    const decoder = openJson(jsonOptions.parse({ fields: { t: { range: [0, 50] }, u: {}, n: {} } }));
    const read = (value: object) => decoder.decode(messageOf(JSON.stringify(value)))[0].body;
    const flags = (value: object) => (read(value) as { flags?: unknown }).flags;
    expect(flags({ t: 60, u: 'x', n: 1 })).toEqual([
      { field: 0, what: 'invalid' },
      { field: 1, what: 'invalid' },
    ]);
    expect(flags({ t: null, n: 1 })).toBeUndefined();
  });
});

describe('a category becomes', () => {
  const fields = (encode: string): DeclaredFields =>
    declared({ type: 'category', categories: ['idle', 'run', 'fault'], encode });
  const row = (encode: string, category: string | null) =>
    rowOf(open({}, fields(encode)), eventOf({ at: 1, values: [NAN, 0], categories: [category, null] }));

  test('a column for each, or its place', () => {
    const one = row('onehot', 'run');
    expect([one['x=idle'], one['x=run'], one['x=fault'], one['x missing']]).toEqual([0, 1, 0, 0]);
    const none = row('onehot', null);
    expect([none['x=idle'], none['x=run'], none['x=fault'], none['x missing']]).toEqual([0, 0, 0, 1]);
    expect(['idle', 'run', 'fault'].map((each) => row('ordinal', each).x)).toEqual([0, 1, 2]);
    expect(row('ordinal', null).x).toBeNaN();
  });

  test('a code that the model looks up, its own for each name and fleet', () => {
    const codes = ['idle', 'run', 'fault'].map((each) => row('target', each).x);
    expect(new Set(codes).size).toBe(3);
    expect(codes.every((code) => Number.isInteger(code) && code < 2 ** 24)).toBe(true);
    const keyed = rowOf(
      open({ key: 'k' }, fields('target')),
      eventOf({ at: 1, values: [NAN, 0], categories: ['run', null] }),
    );
    expect(keyed.x).not.toBe(codes[1]);
  });

  test('nothing hashed where no field is', () => {
    expect(open({}, fields('onehot')).dims).toBe(0);
    expect(open({}, fields('hash')).dims).toBe(2 ** 16);
  });
});

test('a number that goes round stands beside its neighbour on the other side', () => {
  const [late, early] = rows({ period: 24 }, [23.9, 0.1]);
  expect(Math.hypot(late['x sin'] - early['x sin'], late['x cos'] - early['x cos'])).toBeLessThan(0.06);
});

test('every option of a field changes the version', () => {
  const category = { type: 'category', categories: ['a', 'b'] };
  const versions = [
    {},
    { missing: 'last' },
    { missing: 'mean' },
    { missing: 'drop' },
    { missing: { constant: 1 } },
    { clip: [0, 1] },
    { clip: 3 },
    { spike: 5 },
    { stuck: 5 },
    { scale: 'robust' },
    { period: 24 },
    { type: 'category' },
    { ...category, encode: 'onehot' },
    { ...category, encode: 'ordinal' },
    { ...category, categories: ['b', 'a'], encode: 'ordinal' },
    { ...category, encode: 'target' },
  ].map((field) => open({}, declared(field)).version);
  expect(new Set(versions).size).toBe(versions.length);
});

test.each([
  [{ type: 'category', spike: 5 }, 'spike'],
  [{ type: 'boolean', scale: 'robust' }, 'scale'],
  [{ encode: 'onehot' }, 'encode'],
  [{ type: 'category', encode: 'onehot' }, 'encode'],
  [{ type: 'category', encode: 'ordinal' }, 'encode'],
  [
    { type: 'category', categories: Array.from({ length: 65 }, (_, i) => `c${i}`), encode: 'onehot' },
    'encode',
  ],
  [{ clip: [1, 0] }, 'clip'],
  [{ unitPointer: '/u' }, 'unitPointer'],
  [{ period: 24, scale: 'minmax' }, 'period'],
  [{ type: 'boolean', missing: 'median' }, 'missing'],
  [{ type: 'category', missing: 'last' }, 'missing'],
  [{ missing: { constant: 'x' } }, 'missing'],
  [{ type: 'category', categories: ['a'], missing: { constant: 'x' } }, 'missing'],
  [{ type: 'time', missing: { constant: 1 } }, 'missing'],
])('%j is refused at %s', (field, option) => {
  const result = jsonOptions.safeParse({ fields: { x: field } });
  expect(result.success ? null : result.error.issues[0].path.at(-1)).toBe(option);
});
