/**
 * A Sparkplug B payload (specification 3.0, chapter 6.4) to plain metrics. Promises: numbers come out as their type says
 * (two's complement in unsigned fields, whether or not the sender extended the sign; 64 bits rounded above 2^53); a value
 * that its type cannot have is undefined. Data sets, templates, arrays and files have no single value and are undefined
 * too. Refuses with DECODE_WIRE what is malformed, with DECODE_TOO_LARGE more metrics than are allowed.
 *
 *   Payload: 1 timestamp  2 metrics*  3 seq  4 uuid  5 body
 *   Metric:  1 name  2 alias  3 timestamp  4 datatype  5 is_historical  6 is_transient  7 is_null  8 metadata  9 properties
 *            10 int  11 long  12 float  13 double  14 boolean  15 string  16 bytes  17 data set  18 template
 */
import { SluiceError } from '../../errors.ts';
import { BYTES, broken, FIXED32, FIXED64, VARINT, WireReader } from './wire.ts';

/** A number where it is exact, else text. */
export type Alias = number | string;

export interface Metric {
  name: string | null;
  alias: Alias | null;
  /** ms since the epoch, NaN where it has none. */
  at: number;
  /** 0 where it is not said. */
  type: number;
  historical: boolean;
  isNull: boolean;
  /** Field number of the value, 0 for none. */
  kind: number;
  /** Of an int or long its lower 32 bits; of a boolean 0 or 1. */
  low: number;
  /** Upper 32 bits. */
  high: number;
  text: string;
}

export interface Payload {
  /** ms since the epoch, NaN where it has none. */
  at: number;
  /** -1 where it has none. */
  seq: number;
  readonly metrics: Metric[];
}

const INT = 10;
const LONG = 11;
const FLOAT = 12;
const DOUBLE = 13;
const BOOLEAN = 14;
const STRING = 15;

/** The types (6.4.16) whose names matter here. */
const TYPE = { int64: 4, uint64: 8, boolean: 11, dateTime: 13 } as const;

/** Longer names are of no declared field. */
const MAX_NAME = 1_024;
const TWO_32 = 4_294_967_296;

export function readPayload(bytes: Buffer, maxMetrics: number): Payload {
  const reader = new WireReader(bytes);
  const payload: Payload = { at: Number.NaN, seq: -1, metrics: [] };
  while (reader.at < reader.end) {
    const tag = reader.varint();
    const type = tag & 7;
    const number = tag >>> 3;
    if (number === 0 || reader.high !== 0) throw broken('has a field that cannot be');
    if (number === 1 && type === VARINT) payload.at = reader.uint64();
    else if (number === 3 && type === VARINT) payload.seq = sequence(reader.uint64());
    else if (number === 2 && type === BYTES) {
      if (payload.metrics.length >= maxMetrics)
        throw new SluiceError('DECODE_TOO_LARGE', `more than ${maxMetrics} metrics in a message`);
      payload.metrics.push(readMetric(reader));
    } else reader.skip(type);
  }
  return payload;
}

function sequence(seq: number): number {
  if (seq > 255) throw broken('has a sequence number above 255');
  return seq;
}

function readMetric(reader: WireReader): Metric {
  const length = reader.length();
  const { end } = reader;
  reader.end = reader.at + length;
  // Written out: objects made of spread parts are slow ones.
  const metric: Metric = {
    name: null,
    alias: null,
    at: Number.NaN,
    type: 0,
    historical: false,
    isNull: false,
    kind: 0,
    low: 0,
    high: 0,
    text: '',
  };
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag >>> 3 === 0 || reader.high !== 0) throw broken('has a field that cannot be');
    if (!readField(reader, metric, tag >>> 3, tag & 7)) reader.skip(tag & 7);
  }
  reader.end = end;
  return metric;
}

/** False for what is to be passed over. */
function readField(reader: WireReader, metric: Metric, number: number, type: number): boolean {
  if (number >= INT) return readValue(reader, metric, number, type);
  if (number === 1 && type === BYTES) {
    const name = reader.text();
    metric.name = name.length > MAX_NAME ? name.slice(0, MAX_NAME) : name;
    return true;
  }
  if (type !== VARINT || number > 7) return false;
  const low = reader.varint();
  const { high } = reader;
  if (number === 2) metric.alias = high < 0x20_0000 ? high * TWO_32 + low : `${high}:${low}`;
  else if (number === 3) metric.at = high * TWO_32 + low;
  else if (number === 4) metric.type = high === 0 ? low : -1;
  else if (number === 5) metric.historical = low !== 0 || high !== 0;
  else if (number === 7) metric.isNull = low !== 0 || high !== 0;
  return true;
}

/** The last value counts, as with every `oneof`. */
function readValue(reader: WireReader, metric: Metric, number: number, type: number): boolean {
  if ((number === INT || number === LONG || number === BOOLEAN) && type === VARINT) {
    metric.low = reader.varint();
    metric.high = reader.high;
  } else if (number === FLOAT && type === FIXED32) metric.low = reader.float();
  else if (number === DOUBLE && type === FIXED64) metric.low = reader.double();
  else if (number === STRING && type === BYTES) metric.text = reader.text();
  else return false;
  metric.kind = number;
  return true;
}

/** Whether the value means the same whatever its type. */
export function speaksForItself({ kind, isNull }: Metric): boolean {
  return isNull || (kind !== INT && kind !== LONG);
}

/**
 * The value as JSON would give it: a number, text, a boolean; null where the sender says so; undefined where there is none
 * that the type can have. Times are numbers, ms since the epoch.
 */
export function metricValue(metric: Metric, type: number): number | string | boolean | null | undefined {
  if (metric.isNull) return null;
  switch (metric.kind) {
    case INT:
    case LONG:
      return integerOf(metric, type);
    case FLOAT:
    case DOUBLE:
      return type === 0 || type === 9 || type === 10 ? metric.low : undefined;
    case BOOLEAN:
      return type === 0 || type === TYPE.boolean ? metric.low !== 0 || metric.high !== 0 : undefined;
    case STRING:
      return type === 0 || type === 12 || type === 14 || type === 15 ? metric.text : undefined;
    default:
      return undefined;
  }
}

/** Types 1 to 8: Int8, Int16, Int32, Int64 and the same unsigned; 13: DateTime. */
function integerOf({ kind, low, high }: Metric, type: number): number | undefined {
  if (type === TYPE.int64) return (kind === INT ? 0 : high | 0) * TWO_32 + low;
  if (type === TYPE.uint64 || type === TYPE.dateTime || type === 0) return high * TWO_32 + low;
  // A sender that extends the sign of a small number may do so to 32 or to 64 bits.
  if (type >= 1 && type <= 3) {
    const spare = 32 - (8 << (type - 1));
    const signed = (low << spare) >> spare;
    const extended = (signed | 0) === (low | 0) && (high === 0 || (high === 0xffff_ffff && signed < 0));
    const plain = high === 0 && low >>> 0 === ((signed << spare) >>> 0) >>> spare;
    return extended || plain ? signed : undefined;
  }
  if (type >= 5 && type <= 7) {
    const bits = 8 << (type - 5);
    return high === 0 && (bits === 32 || low < 2 ** bits) ? low : undefined;
  }
  return undefined;
}

/** Whether a metric of this type holds ms since the epoch. */
export const isDateTime = (type: number): boolean => type === TYPE.dateTime;
