/** What docs/spec.md asks of every featurizer, of every row of the table. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Event, Featurizer } from '../../src/contract.ts';
import type { DecoderName } from '../../src/decode/index.ts';
import { type FeaturizerName, featurizers } from '../../src/features/index.ts';
import { eventsOf, fields } from './samples.ts';

const names = Object.keys(featurizers) as FeaturizerName[];
/** Which good messages give events for it. */
const decoderOf: Readonly<Record<FeaturizerName, DecoderName>> = { email: 'mime', sensor: 'json' };
type Fields = Readonly<
  Record<string, { type: 'number' | 'category' | 'boolean' | 'time'; required?: boolean }>
>;

function open(name: FeaturizerName, options: object = {}, declared: Fields = fields): Featurizer {
  const row = featurizers[name] as unknown as {
    options: z.ZodType;
    open(options: unknown, fields: Fields): Featurizer;
  };
  return row.open(row.options.parse(options), declared);
}

interface Cell {
  readonly part: 'sparse' | 'dense';
  readonly index: number;
  readonly value: number;
}

function cellsOf(featurizer: Featurizer, event: Event): Cell[] {
  const cells: Cell[] = [];
  featurizer.write(event, {
    // A row holds single precision.
    sparse: (index, value) => cells.push({ part: 'sparse', index, value: Math.fround(value) }),
    block: (indices, values, count) => {
      for (let i = 0; i < count; i += 1) cells.push({ part: 'sparse', index: indices[i], value: values[i] });
    },
    dense: (index, value) => cells.push({ part: 'dense', index, value: Math.fround(value) }),
  });
  return cells;
}

/** A declared one, for options that name fields. */
const NUMBER = Object.entries(fields).find(([, { type }]) => type === 'number')?.[0];

type Json = {
  readonly type?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Json;
  readonly anyOf?: readonly Json[];
  readonly properties?: Readonly<Record<string, Json>>;
};

/** For every option, by its path, options that differ from the default in this one alone. */
function variants(
  schema: Json,
  wrap: (inner: object) => object = (inner) => inner,
  above = '',
): [string, object][] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, option]): [string, object][] => {
    const set = (value: unknown) => wrap({ [key]: value });
    if (option.properties) return variants(option, (inner) => set(inner), `${above}${key}.`);
    return [[`${above}${key}`, set(other(option))]];
  });
}

function other(option: Json): unknown {
  const { type, enum: words, default: fallback, maximum = 1 } = option;
  if (Array.isArray(fallback)) return [option.items?.enum?.[0] ?? (option.items?.anyOf ? 3 : NUMBER)];
  if (words) return words.find((word) => word !== fallback);
  if (type === 'boolean') return fallback === false;
  if (type === 'string') return `${fallback ?? ''} another`;
  // What has no default of its own gets it from another option: the far end is hardly ever that.
  if (fallback === undefined) return maximum;
  const number = Number(fallback);
  return number + 1 <= maximum ? number + 1 : number - 1;
}

describe.each(names)('the %s featurizer', (name) => {
  const events = eventsOf(decoderOf[name]);

  test('writes the same cells for the same event, each time and by another instance', () => {
    const [one, two] = [open(name), open(name)];
    for (const event of events) {
      const cells = cellsOf(one, event);
      expect(cells.length).toBeGreaterThan(0);
      expect(cellsOf(one, event)).toEqual(cells);
      expect(cellsOf(two, event)).toEqual(cells);
    }
    expect(two.version).toBe(one.version);
  });

  test('keeps to its space: buckets below dims, columns below denseDims, values finite or missing', () => {
    for (const options of [{}, { bits: 10 }]) {
      const featurizer = open(name, options);
      expect(featurizer.dims === 0 || Number.isInteger(Math.log2(featurizer.dims))).toBe(true);
      for (const { part, index, value } of events.flatMap((event) => cellsOf(featurizer, event))) {
        expect(Number.isInteger(index) && index >= 0).toBe(true);
        expect(index).toBeLessThan(part === 'sparse' ? featurizer.dims : featurizer.denseDims);
        expect(Number.isFinite(value) || (part === 'dense' && Number.isNaN(value))).toBe(true);
      }
    }
  });

  test('names every cell that it writes', () => {
    const featurizer = open(name);
    for (const event of events) {
      const named = featurizer.describe(event);
      expect(named.every((cell) => cell.name !== '')).toBe(true);
      expect(named.map(({ part, index, value }) => ({ part, index, value }))).toEqual(
        cellsOf(featurizer, event),
      );
    }
  });

  const schema = z.toJSONSchema(featurizers[name].options, {
    io: 'output',
    unrepresentable: 'any',
  }) as Json;
  const { bounds } = featurizers[name] as { readonly bounds: readonly string[] };
  const isBound = ([option]: [string, object]) => bounds.includes(option);
  test.each(variants(schema).filter((variant) => !isBound(variant)))(
    'has another version with another %s',
    (_option, options) => {
      expect(open(name, options).version).not.toBe(open(name).version);
    },
  );

  test('has the same version within other bounds of its memory', () => {
    const bounded = variants(schema).filter(isBound);
    expect(bounded.map(([option]) => option)).toEqual(bounds);
    for (const [, options] of bounded) expect(open(name, options).version).toBe(open(name).version);
  });

  test('does not look at where, when and under which name the event came, but for windows', () => {
    const featurizer = open(name, { preset: 'fast' });
    for (const event of events)
      expect(
        cellsOf(featurizer, { ...event, id: 'x', device: 'y', at: 0, aliases: [], weak: !event.weak }),
      ).toEqual(cellsOf(featurizer, event));
  });
});

test('a featurizer of declared fields has another version with other fields', () => {
  const version = (declared: Fields) => open('sensor', {}, declared).version;
  const all = [
    version({ a: { type: 'number' } }),
    version({ b: { type: 'number' } }),
    version({ a: { type: 'boolean' } }),
    version({ a: { type: 'number' }, b: { type: 'number' } }),
    version({ b: { type: 'number' }, a: { type: 'number' } }),
  ];
  expect(new Set(all).size).toBe(all.length);
});
