import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LabelledRow, Rows } from '../../src/contract.ts';
import { decodeRowBytes, encodeRowBytes, MAX_CELLS } from '../../src/envelope/row-bytes.ts';
import { type ReadRows, readRows, rowPayload } from '../../src/envelope/rows.ts';
import { Envelope } from '../../src/envelope.ts';
import { openEngine } from '../../src/model/engine.ts';
import { seededRandom } from '../../src/task/random.ts';

const rowOf = (indices: number[], values: number[], dense: number[] = []): Rows => ({
  count: 1,
  indptr: Uint32Array.of(0, indices.length),
  indices: Uint32Array.from(indices),
  values: Float32Array.from(values),
  denseDims: dense.length,
  dense: Float32Array.from(dense),
});

const bits = (floats: Float32Array) => [...new Uint32Array(floats.slice().buffer)];
const asBits = (rows: Rows) => ({ ...rows, values: bits(rows.values), dense: bits(rows.dense) });

/** As a mail has it: many buckets in no order, few values. */
function mailRow(cells: number, dims: number, seed: number): Rows {
  const random = seededRandom(seed, 'mail');
  const picked = new Set<number>();
  while (picked.size < cells) picked.add(Math.floor(random() * dims));
  const weights = [0.03, -0.03, 0.0125, -0.0125, 0.25];
  return rowOf(
    [...picked],
    [...picked].map(() => weights[Math.floor(random() * 5)]),
  );
}

describe('the bytes of a row', () => {
  test('bring every row back bit for bit and in its own order', () => {
    const float = fc.float({ noNaN: true, noDefaultInfinity: true });
    const cell = fc.tuple(
      fc.oneof(fc.nat(2 ** 20 - 1), fc.nat(2 ** 28 - 1)),
      fc.oneof(float, fc.constantFrom(1, -1, 0.5, -0)),
    );
    fc.assert(
      fc.property(
        fc.array(cell, { maxLength: 60 }),
        fc.array(fc.float(), { maxLength: 9 }),
        (cells, dense) => {
          const rows = rowOf(
            cells.map(([index]) => index),
            cells.map(([, value]) => value),
            dense,
          );
          const back = decodeRowBytes(encodeRowBytes(rows), { dims: 2 ** 28, denseDims: dense.length });
          expect(asBits(back)).toEqual(asBits(rows));
        },
      ),
      { seed: 5, numRuns: 300 },
    );
  });

  test('take the row they were given, not what lies behind it in a longer array', () => {
    const rows = rowOf([7, 3, 9], [1, 2, 3], [4, 5]);
    const longer = { ...rows, indptr: Uint32Array.of(0, 2), dense: Float32Array.of(4, 5, 6) };
    const back = decodeRowBytes(encodeRowBytes(longer), null);
    expect(back).toEqual({ ...rowOf([7, 3], [1, 2], [4, 5]) });
  });

  test('are about three a cell for a mail', () => {
    const bytes = encodeRowBytes(mailRow(3_000, 2 ** 20, 1)).length;
    expect(bytes).toBeLessThan(3 * 3_000);
    expect(bytes).toBeGreaterThan(2 * 3_000);
  });

  test('leave a model that learns from them with the same bits; another order of cells would not', async () => {
    const rows = Array.from({ length: 20 }, (_, i) => mailRow(300, 2 ** 10, i));
    const engine = openEngine();
    const learned = async (set: readonly Rows[]) => {
      const model = engine.create(
        'linear',
        { dims: 2 ** 10, denseDims: 0, classes: 2 },
        { rate: 0.4, l2: 0, eps: 1e-6, normalise: 1 },
        1,
      );
      for (const [i, row] of set.entries()) await model.learn(row, Int32Array.of(i % 2));
      const saved = Buffer.from(await model.save());
      model.close();
      return saved;
    };
    const sent = rows.map((row) => decodeRowBytes(encodeRowBytes(row), null));
    const sorted = rows.map((row) => {
      const pairs = [...row.indices]
        .map((index, i) => [index, row.values[i]] as const)
        .sort(([a], [b]) => a - b);
      return rowOf(
        pairs.map(([index]) => index),
        pairs.map(([, value]) => value),
      );
    });
    expect((await learned(sent)).equals(await learned(rows))).toBe(true);
    expect((await learned(sorted)).equals(await learned(rows))).toBe(false);
  });

  test('that were altered anywhere are a row of the space or ROWS_INVALID, never another error', () => {
    const random = seededRandom(3, 'damage');
    const good = encodeRowBytes(mailRow(40, 2 ** 10, 2));
    let refused = 0;
    for (let n = 0; n < 3_000; n++) {
      const bytes = Buffer.from(
        good.subarray(0, random() < 0.2 ? Math.floor(random() * good.length) : good.length),
      );
      for (let k = 0; k < 2 && bytes.length > 0; k++)
        bytes[Math.floor(random() * (n % 2 ? 16 : bytes.length)) % bytes.length] ^=
          1 << Math.floor(random() * 8);
      try {
        const { indices, values } = decodeRowBytes(bytes, { dims: 2 ** 10, denseDims: 0 });
        expect(indices.every((index) => index < 2 ** 10) && values.every(Number.isFinite)).toBe(true);
      } catch (error) {
        expect((error as { code?: string }).code).toBe('ROWS_INVALID');
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(1_000);
  });

  test('that promise more than they hold allocate nothing', () => {
    const bytes = encodeRowBytes(rowOf([1], [1]));
    bytes.writeUInt32LE(0xffff_fff0, 4);
    expect(() => decodeRowBytes(bytes, null)).toThrow(/cells/);
    bytes.writeUInt32LE(MAX_CELLS, 4);
    expect(() => decodeRowBytes(bytes, null)).toThrow(/as long as/);
    bytes.writeUInt32LE(1, 4);
    bytes.writeUInt32LE(0xffff_ffff, 8);
    expect(() => decodeRowBytes(bytes, null)).toThrow(/dense/);
  });

  test.each([
    ['a bucket beyond the space', rowOf([16], [1]), /bucket/],
    ['an infinite value', rowOf([1], [Number.POSITIVE_INFINITY]), /finite/],
    ['a value that is no number', rowOf([1], [Number.NaN]), /finite/],
    ['other dense columns', rowOf([1], [1], [1]), /dense/],
  ])('with %s are refused', (_, rows, why) => {
    expect(() => decodeRowBytes(encodeRowBytes(rows), { dims: 16, denseDims: 0 })).toThrow(why);
  });
});

// ---------------------------------------------------------------- messages

const task = {
  name: 'spam',
  labels: ['ham', 'spam'],
  features: 'f-1',
  shape: { dims: 1_024, denseDims: 2, classes: 2 },
};
const options: ReadRows = { taskOf: (name) => (name === 'spam' ? task : null) };

const sample = (over: Partial<LabelledRow> = {}): LabelledRow => ({
  site: 'north',
  task: 'spam',
  seq: 7,
  event: 'mail/0/1',
  device: 'mx1',
  at: 1_700_000_000_123,
  labelledAt: 1_700_000_060_000,
  label: 1,
  weight: 0.5,
  origin: 'desk',
  features: 'f-1',
  rows: rowOf([900, 3, 512], [0.1, -0.1, 0.1], [Number.NaN, 2.5]),
  scores: Float32Array.of(0.1, 0.9),
  predicted: 0,
  model: 'blank+3',
  paired: { live: 'a', liveLoss: 0.25, other: 'b', otherLoss: 1.5 },
  ...over,
});

const send = (row: LabelledRow, kind: 'cloudevents' | 'none' = 'cloudevents') =>
  Buffer.from(rowPayload(new Envelope(kind, row.site, row.task), row, task.labels));
const altered = (change: (data: Record<string, unknown>) => void) => {
  const data = JSON.parse(send(sample(), 'none').toString());
  change(data);
  return Buffer.from(JSON.stringify(data));
};

describe('a labelled row', () => {
  test.each(['cloudevents', 'none'] as const)('comes back as it was sent (%s)', (kind) => {
    for (const row of [sample(), sample({ predicted: -1, paired: null, label: 0 })])
      expect(readRows(send(row, kind), options)).toEqual([row]);
  });

  test('is a CloudEvent whose id is the same for every repetition', () => {
    const { data: _, ...attributes } = JSON.parse(send(sample()).toString());
    expect(attributes).toMatchObject({ type: 'dev.sluice.rows.v1', id: 'north/spam/7', subject: 'mx1' });
  });

  test('that is withdrawn carries nothing of the event', () => {
    const text = send(sample({ label: -1 })).toString();
    expect(text).not.toMatch(/"row"|"scores"|"predicted"/);
    const [row] = readRows(Buffer.from(text), options);
    expect(row).toMatchObject({ label: -1, predicted: -1, event: 'mail/0/1', seq: 7 });
    expect(row.rows).toEqual(rowOf([], [], [Number.NaN, Number.NaN]));
  });

  test('means its label by name, whatever order the reader counts labels in', () => {
    const turned = { ...task, labels: ['spam', 'ham'] };
    const [row] = readRows(send(sample()), { taskOf: () => turned });
    expect([row.label, row.predicted, row.scores[0]]).toEqual([0, 1, Math.fround(0.9)]);
  });

  test('of other features is read without the shape of this task', () => {
    const [row] = readRows(send(sample({ features: 'f-2', rows: rowOf([5_000], [1], [1, 2, 3]) })), options);
    expect(row.rows.denseDims).toBe(3);
  });

  test('with a time that RFC 3339 cannot say still arrives', () => {
    expect(readRows(send(sample({ at: 8e15 })), options)).toHaveLength(1);
    expect(readRows(send(sample({ at: -8e14 })), options)[0].at).toBe(0);
  });

  test('may come with others in one message', () => {
    const both = Buffer.from(`[${send(sample())},${send(sample({ seq: 8 }), 'none')}]`);
    expect(readRows(both, options).map(({ seq }) => seq)).toEqual([7, 8]);
  });

  test.each([
    ['no JSON', Buffer.from('{'), /not JSON/],
    ['no object', Buffer.from('[null]'), /object/],
    ['an unknown task', send(sample({ task: 'other' })), /other is not known/],
    [
      'an unknown label',
      altered((d) => {
        d.label = 'eggs';
      }),
      /eggs/,
    ],
    [
      'an unknown predicted label',
      altered((d) => {
        d.predicted = 'eggs';
      }),
      /eggs/,
    ],
    [
      'a seq of 0',
      altered((d) => {
        d.seq = 0;
      }),
      /seq/,
    ],
    [
      'a weight of 0',
      altered((d) => {
        d.weight = 0;
      }),
      /weight/,
    ],
    [
      'an endless weight',
      altered((d) => {
        d.weight = 1e9;
      }),
      /weight/,
    ],
    [
      'no time',
      altered((d) => {
        d.at = 'yesterday';
      }),
      /at/,
    ],
    [
      'a score above 1',
      altered((d) => {
        d.scores = { ham: 2, spam: 0 };
      }),
      /scores/,
    ],
    [
      'a missing score',
      altered((d) => {
        d.scores = { ham: 1 };
      }),
      /spam is missing/,
    ],
    [
      'no row',
      altered((d) => {
        delete d.row;
      }),
      /row/,
    ],
    [
      'no base64',
      altered((d) => {
        d.row = `!!!!${d.row}`;
      }),
      /base64/,
    ],
    [
      'bytes that are no row',
      altered((d) => {
        d.row = 'AAAA';
      }),
      /short/,
    ],
    [
      'a long device',
      altered((d) => {
        d.device = 'x'.repeat(5_000);
      }),
      /device/,
    ],
    [
      'losses that are none',
      altered((d) => {
        d.paired = { live: 'a' };
      }),
      /paired/,
    ],
  ])('with %s is ROWS_INVALID and says why', (_, payload, why) => {
    expect(() => readRows(payload, options)).toThrow(expect.objectContaining({ code: 'ROWS_INVALID' }));
    expect(() => readRows(payload, options)).toThrow(why);
  });

  test('cannot be slipped in under the name of another site', () => {
    expect(() => readRows(send(sample()), { ...options, site: 'south' })).toThrow(/south/);
    const forged = send(sample()).toString().replace('/sluice/north/', '/sluice/south/');
    expect(() => readRows(Buffer.from(forged), options)).toThrow(/south/);
    expect(readRows(send(sample()), { ...options, site: 'north' })).toHaveLength(1);
  });

  test('is refused unread where the message is longer than any row', () => {
    expect(() => readRows(Buffer.alloc(17 * 1024 ** 2, 32), options)).toThrow(/bytes/);
  });
});
