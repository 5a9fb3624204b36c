/**
 * Sparkplug B payloads for tests, written without any code of the decoder: field by field, after the .proto of the
 * specification. Promises: what a metric is given is written, wrong or not.
 */

export interface TestMetric {
  name?: string;
  alias?: number | bigint;
  at?: number;
  type?: number;
  historical?: boolean;
  isNull?: boolean;
  int?: number | bigint;
  long?: number | bigint;
  float?: number;
  double?: number;
  boolean?: boolean;
  string?: string;
  bytes?: Uint8Array;
}

const varint = (value: number | bigint | boolean): number[] => {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    out.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return out;
};
const number = (field: number, value: number | bigint | boolean | undefined): number[] =>
  value === undefined ? [] : [...varint(field * 8), ...varint(value)];
const bytes = (field: number, value: Uint8Array | string | undefined): number[] => {
  if (value === undefined) return [];
  const raw = typeof value === 'string' ? Buffer.from(value) : value;
  return [...varint(field * 8 + 2), ...varint(raw.length), ...raw];
};
const fixed = (field: number, type: 1 | 5, value: number | undefined): number[] => {
  if (value === undefined) return [];
  const raw = type === 5 ? new Float32Array([value]) : new Float64Array([value]);
  return [...varint(field * 8 + type), ...new Uint8Array(raw.buffer)];
};

const metricBytes = (m: TestMetric): Uint8Array =>
  Uint8Array.from([
    ...bytes(1, m.name),
    ...number(2, m.alias),
    ...number(3, m.at),
    ...number(4, m.type),
    ...number(5, m.historical),
    ...number(7, m.isNull),
    ...number(10, m.int),
    ...number(11, m.long),
    ...fixed(12, 5, m.float),
    ...fixed(13, 1, m.double),
    ...number(14, m.boolean),
    ...bytes(15, m.string),
    ...bytes(16, m.bytes),
  ]);

export const payload = (given: { at?: number; seq?: number; metrics?: readonly TestMetric[] }): Buffer =>
  Buffer.from([
    ...number(1, given.at),
    ...(given.metrics ?? []).flatMap((metric) => bytes(2, metricBytes(metric))),
    ...number(3, given.seq),
  ]);

export const T = {
  ...{ int8: 1, int16: 2, int32: 3, int64: 4, uint8: 5, uint16: 6, uint32: 7, uint64: 8 },
  ...{ float: 9, double: 10, boolean: 11, string: 12, dateTime: 13, text: 14, uuid: 15, dataSet: 16 },
} as const;

/** The metric that every NBIRTH and NDEATH has. */
export const bdSeq = (n: number): TestMetric => ({ name: 'bdSeq', type: T.int64, long: n });
