/**
 * Sensor readings in JSON (RFC 8259) to events. Promises: one reading, an array of readings, a CloudEvents 1.0 event in
 * structured mode and a batch of these are all understood; a value is right or missing, see reading.ts; members
 * called `__proto__` or `constructor` are data like any other. Refuses, whole message at a time, so that nothing of
 * it is lost unseen: DECODE_EMPTY, DECODE_TOO_LARGE, DECODE_JSON (not JSON, not UTF-8), DECODE_DEPTH, DECODE_SHAPE,
 * DECODE_TYPE.
 */
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import type { Decoder, Event, Message } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { byteSize } from '../units.ts';
import { asBuffer } from './charset.ts';
import { cloudEventTime, deviceOf, deviceOptions, type Identity, identify } from './identity.ts';
import { compilePointer, pointerText, readPointer } from './pointer.ts';
import { fieldsOptions, ReadingShape, timeOf } from './reading.ts';

export const jsonOptions = z.strictObject({
  fields: fieldsOptions,
  device: deviceOptions.optional(),
  time: pointerText
    .optional()
    .describe(
      'JSON Pointer to the time of the reading (RFC 3339 text, Unix seconds or milliseconds); default the CloudEvents time, else its arrival',
    ),
  maxBytes: byteSize.default(1024 ** 2).describe('largest message; above it DECODE_TOO_LARGE'),
  maxDepth: z
    .number()
    .int()
    .min(1)
    .max(1_000)
    .default(64)
    .describe('nesting of arrays and objects; above it DECODE_DEPTH'),
  maxEvents: z
    .number()
    .int()
    .positive()
    .default(10_000)
    .describe('readings in one message; above it DECODE_TOO_LARGE'),
});

export type JsonOptions = z.infer<typeof jsonOptions>;

/** Opens the decoder of JSON readings. */
export function openJson(options: JsonOptions): Decoder {
  return new JsonDecoder(options);
}

/** One reading, taken out of what it came in. */
interface Item {
  readonly data: unknown;
  readonly identity: Identity;
  /** The CloudEvents time, NaN where there is none. */
  readonly time: number;
}

class JsonDecoder implements Decoder {
  readonly kind = 'reading';
  readonly #options: JsonOptions;
  readonly #shape: ReadingShape;
  readonly #devicePath: readonly string[] | undefined;
  readonly #timePath: readonly string[] | undefined;

  constructor(options: JsonOptions) {
    this.#options = options;
    this.#shape = new ReadingShape(options.fields);
    this.#devicePath =
      options.device?.pointer === undefined ? undefined : compilePointer(options.device.pointer);
    this.#timePath = options.time === undefined ? undefined : compilePointer(options.time);
  }

  decode(message: Message): readonly Event[] {
    const root = parse(message.payload, this.#options);
    const items = itemsOf(root, message, this.#options.maxEvents);
    if (items.length === 1) return [this.#event(message, items[0], '')];
    return items.map((item, index) => this.#event(message, item, ` #${index}`));
  }

  /** `place` names the reading in errors. */
  #event(message: Message, item: Item, place: string): Event {
    const body = this.#shape.read(item.data, place);
    const own = this.#timePath === undefined ? Number.NaN : timeOf(readPointer(item.data, this.#timePath));
    const at = Number.isNaN(own) ? item.time : own;
    return {
      id: item.identity.id,
      weak: item.identity.weak,
      device: deviceOf(message, this.#options.device, item.data, this.#devicePath),
      at: Number.isNaN(at) ? message.at : at,
      aliases: NO_ALIASES,
      body,
    };
  }
}

const NO_ALIASES: readonly string[] = [];

/** Messages shorter than this are not looked through for depth: they could not nest dangerously. */
const SHALLOW_BYTES = 1_024;

function parse(payload: Uint8Array, options: JsonOptions): unknown {
  if (payload.length === 0) throw new SluiceError('DECODE_EMPTY', 'the payload is empty');
  if (payload.length > options.maxBytes)
    throw new SluiceError(
      'DECODE_TOO_LARGE',
      `a reading of ${payload.length} bytes; the limit is ${options.maxBytes}`,
    );
  if (!isUtf8(payload)) throw new SluiceError('DECODE_JSON', 'the payload is not UTF-8');
  if (payload.length > SHALLOW_BYTES) checkDepth(payload, options.maxDepth);
  // RFC 8259 section 8.1 lets a reader ignore a byte order mark.
  const bom = payload[0] === 0xef && payload[1] === 0xbb && payload[2] === 0xbf;
  try {
    return JSON.parse(asBuffer(payload).toString('utf8', bom ? 3 : 0));
  } catch (error) {
    throw new SluiceError('DECODE_JSON', `the payload is not valid JSON${whereIn(error)}`, { cause: error });
  }
}

/** The engine's text quotes the payload, which may be private: only the place is kept, where it names one. */
function whereIn(error: unknown): string {
  const text = error instanceof Error ? error.message : '';
  if (text.startsWith('Unexpected end')) return ': it ends too early';
  const position = /at position (\d+)/.exec(text)?.[1];
  return position === undefined ? '' : ` at character ${position}`;
}

/** Counts brackets outside of strings, before anything is built from them. */
function checkDepth(bytes: Uint8Array, limit: number): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i];
    if (inString) {
      if (byte === 0x5c) i += 1;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      if (depth > limit) throw new SluiceError('DECODE_DEPTH', `nested deeper than ${limit}`);
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
}

/** The readings in a message, each with its identity: at least one. */
function itemsOf(root: unknown, message: Message, limit: number): readonly Item[] {
  if (isCloudEvent(root)) return cloudEventItems(root, limit);
  if (Array.isArray(root) && root.length > 0 && root.every(isCloudEvent)) {
    checkNumber(root.length, limit);
    return root.flatMap((event) => cloudEventItems(event, limit));
  }
  const time = timeOf(cloudEventTime(message));
  return numbered({ data: root, identity: identify(message), time }, limit);
}

/** An item whose data is an array is several readings: their identity gets `#index` where there is more than one. */
function numbered(item: Item, limit: number): readonly Item[] {
  const { data, identity } = item;
  if (!Array.isArray(data)) return [item];
  if (data.length === 0) throw new SluiceError('DECODE_SHAPE', 'the array holds no reading');
  checkNumber(data.length, limit);
  if (data.length === 1) return [{ ...item, data: data[0] }];
  return data.map((one, index) => ({
    ...item,
    data: one,
    identity: { id: `${identity.id}#${index}`, weak: identity.weak },
  }));
}

function checkNumber(count: number, limit: number): void {
  if (count > limit)
    throw new SluiceError('DECODE_TOO_LARGE', `${count} readings in a message; the limit is ${limit}`);
}

/** The attributes that CloudEvents 1.0 requires, besides `type`, which nobody here reads. */
interface CloudEvent {
  readonly specversion: string;
  readonly source: string;
  readonly id: string;
  readonly time?: unknown;
  readonly data?: unknown;
  readonly data_base64?: unknown;
}

function isCloudEvent(value: unknown): value is CloudEvent {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'specversion')) return false;
  const { specversion, source, id } = value as Record<string, unknown>;
  return typeof specversion === 'string' && isName(source) && isName(id);
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

/** CloudEvents have an identity of their own, so an event of a batch needs no index. */
function cloudEventItems(event: CloudEvent, limit: number): readonly Item[] {
  const item: Item = {
    data: dataOf(event),
    identity: { id: `${event.source}/${event.id}`, weak: false },
    time: timeOf(event.time),
  };
  return numbered(item, limit);
}

function dataOf(event: CloudEvent): unknown {
  if (Object.hasOwn(event, 'data')) return event.data;
  if (!Object.hasOwn(event, 'data_base64') || typeof event.data_base64 !== 'string')
    throw new SluiceError('DECODE_SHAPE', 'the CloudEvent carries no data');
  const bytes = Buffer.from(event.data_base64, 'base64');
  if (!isUtf8(bytes)) throw new SluiceError('DECODE_JSON', 'the data of the CloudEvent is not UTF-8');
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new SluiceError('DECODE_JSON', `the data of the CloudEvent is not JSON${whereIn(error)}`, {
      cause: error,
    });
  }
}
