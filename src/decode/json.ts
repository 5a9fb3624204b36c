/**
 * Sensor readings in JSON (RFC 8259) to events. Promises: one reading, an array of readings, an array inside of something
 * (`readings`), columns of values (`columns`), a CloudEvents 1.0 event in structured mode and a batch of these are all
 * understood; a value is right or missing, see reading.ts; members called `__proto__` or `constructor` are data like any
 * other. Refuses, whole message at a time, so that nothing of it is lost unseen: DECODE_EMPTY, DECODE_TOO_LARGE, DECODE_JSON
 * (not JSON, not UTF-8), DECODE_DEPTH, DECODE_SHAPE, DECODE_TYPE.
 */
import { z } from 'zod';
import type { Decoder, Event, Message } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { type Carried, checkNumber, unwrap } from './cloudevents.ts';
import { deviceOf, deviceOptions } from './identity.ts';
import { type JsonBounds, jsonBounds, parseJson } from './json-text.ts';
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
  readings: pointerText
    .optional()
    .describe(
      'JSON Pointer to an array of readings inside of something; what a reading lacks (a field, device, time) is looked for around it',
    ),
  columns: z
    .boolean()
    .default(false)
    .describe('whether fields may be arrays of equal length: each place in them is a reading'),
  ...jsonBounds,
});

export type JsonOptions = z.infer<typeof jsonOptions>;

/** Opens the decoder of JSON readings. */
export function openJson(options: JsonOptions): Decoder {
  return new JsonDecoder(options);
}

/** One reading, and where it stood. */
interface Item {
  readonly data: unknown;
  /** What it stood in, undefined where that is nothing to look at. */
  readonly around: unknown;
  /** The place in columns, -1 where there are none. */
  readonly row: number;
}

class JsonDecoder implements Decoder {
  readonly kind = 'reading';
  readonly #options: JsonOptions;
  readonly #shape: ReadingShape;
  readonly #devicePath: readonly string[] | undefined;
  readonly #timePath: readonly string[] | undefined;
  readonly #readingsPath: readonly string[] | undefined;

  constructor(options: JsonOptions) {
    const { device, time, readings } = options;
    this.#options = options;
    this.#shape = new ReadingShape(options.fields);
    this.#devicePath = device?.pointer === undefined ? undefined : compilePointer(device.pointer);
    this.#timePath = time === undefined ? undefined : compilePointer(time);
    this.#readingsPath = readings === undefined ? undefined : compilePointer(readings);
  }

  decode(message: Message): readonly Event[] {
    const root = parseJson(message.payload, this.#options);
    const carried = unwrap(root, message, this.#options.maxEvents);
    if (carried.length === 1) return this.#events(message, carried[0], 0, '');
    const events: Event[] = [];
    for (const one of carried) {
      for (const event of this.#events(message, one, events.length, ` #${events.length}`)) events.push(event);
    }
    return events;
  }

  /** `place` names a single reading in errors; `before` are there already. */
  #events(message: Message, carried: Carried, before: number, place: string): Event[] {
    const data = carried.bytes === null ? carried.data : dataOf(carried.bytes, this.#options);
    if (this.#readingsPath === undefined && !this.#options.columns && !Array.isArray(data))
      return [
        this.#event(message, carried, carried.identity.id, { data, around: undefined, row: -1 }, place),
      ];
    const items = this.#items(data, before);
    if (items.length === 1) return [this.#event(message, carried, carried.identity.id, items[0], place)];
    return items.map((item, i) =>
      this.#event(message, carried, `${carried.identity.id}#${i}`, item, ` #${i}`),
    );
  }

  #event(message: Message, { identity, time }: Carried, id: string, item: Item, place: string): Event {
    const { data, around, row } = item;
    const body = this.#shape.read(data, place, around, row);
    const own = this.#timePath === undefined ? Number.NaN : timeOf(find(item, this.#timePath));
    const at = Number.isNaN(own) ? time : own;
    const isInside = this.#devicePath !== undefined && (around !== undefined || row >= 0);
    const device = isInside
      ? deviceOf(message, this.#options.device, find(item, this.#devicePath!), WHOLE)
      : deviceOf(message, this.#options.device, data, this.#devicePath);
    return {
      id,
      weak: identity.weak,
      device,
      at: Number.isNaN(at) ? message.at : at,
      aliases: NO_ALIASES,
      body,
    };
  }

  /** The readings in what a message carries, at least one. */
  #items(data: unknown, before: number): readonly Item[] {
    const path = this.#readingsPath;
    const list = path === undefined ? data : readPointer(data, path);
    if (path !== undefined && !Array.isArray(list) && !isObject(list))
      throw new SluiceError('DECODE_SHAPE', 'there is no array at `readings`');
    const around = path === undefined ? undefined : data;
    if (!Array.isArray(list)) return this.#rows(list, around, before);
    if (list.length === 0) throw new SluiceError('DECODE_SHAPE', 'the array holds no reading');
    checkNumber(before + list.length, this.#options.maxEvents);
    return list.map((one) => ({ data: one, around, row: -1 }));
  }

  /** One for each place in the columns of an object; one where it has none. */
  #rows(data: unknown, around: unknown, before: number): readonly Item[] {
    const rows = this.#options.columns && isObject(data) ? this.#shape.rows(data) : -1;
    if (rows < 0) return [{ data, around, row: -1 }];
    checkNumber(before + rows, this.#options.maxEvents);
    return Array.from({ length: rows }, (_, row) => ({ data, around, row }));
  }
}

const NO_ALIASES: readonly string[] = [];
const WHOLE: readonly string[] = [];

/** What stands in a reading, or around it. */
function find({ data, around, row }: Item, path: readonly string[]): unknown {
  let value = readPointer(data, path);
  if (value === undefined && around !== undefined) value = readPointer(around, path);
  return row >= 0 && Array.isArray(value) ? value[row] : value;
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

/** The data of a CloudEvent that came as bytes. */
function dataOf(bytes: Uint8Array, bounds: JsonBounds): unknown {
  return parseJson(bytes, bounds, 'the data of the CloudEvent');
}
