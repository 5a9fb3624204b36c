/**
 * SenML packs (RFC 8428) in JSON and CBOR to events, also inside of CloudEvents. Promises: values of one device and one
 * time are one reading; a pack and its resolved form give the same events. What a name means is said by the declared
 * fields: the longest field name (the tokens of its `pointer` joined by `/`) that ends the resolved name behind one of
 * `: / _ . -` is the field, what stands before is the device. The field with the `pointer` "" takes values whose whole
 * name is the device; of several fields of one name the one with the record's unit is meant. `<name>#s` is a sum.
 *
 *   urn:dev:ow:10e2073a01080063:voltage  ->  device urn:dev:ow:10e2073a01080063, field voltage
 *
 * Refuses, a whole pack at a time: what resolve.ts and cbor.ts say, DECODE_JSON, DECODE_DEPTH, DECODE_TOO_LARGE,
 * DECODE_EMPTY, and DECODE_SHAPE for a pack in which nothing is of a declared field.
 */
import { z } from 'zod';
import type { Decoder, Event, Message } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { asBuffer } from './charset.ts';
import { type Carried, checkNumber, mediaType, unwrap, wrapping } from './cloudevents.ts';
import { deviceOf, deviceOptions } from './identity.ts';
import { checkSize, jsonBounds, parseJson } from './json-text.ts';
import { fieldsOptions, type GrowingReading, type NamedField, ReadingShape } from './reading.ts';
import { readCbor } from './senml/cbor.ts';
import { type Resolved, resolve } from './senml/resolve.ts';

export const senmlOptions = z.strictObject({
  fields: fieldsOptions,
  device: deviceOptions
    .optional()
    .describe('default what stands before the field in the name of a record; `pointer` has no meaning'),
  ...jsonBounds,
});

export type SenmlOptions = z.infer<typeof senmlOptions>;

/** Opens the decoder of SenML. */
export function openSenml(options: SenmlOptions): Decoder {
  return new SenmlDecoder(options);
}

/** What a name stands for. */
interface Place {
  readonly device: string;
  readonly fields: readonly NamedField[];
}

/** One reading that grows. */
interface Growing {
  readonly device: string;
  readonly at: number;
  readonly reading: GrowingReading;
}

/** Names whose place is remembered. */
const MAX_PLACES = 10_000;
const BETWEEN = /[:/_.-]/;

class SenmlDecoder implements Decoder {
  readonly kind = 'reading';
  readonly #options: SenmlOptions;
  readonly #shape: ReadingShape;
  readonly #names: ReadonlyMap<string, readonly NamedField[]>;
  /** Null for names of no declared field. */
  readonly #places = new Map<string, Place | null>();

  constructor(options: SenmlOptions) {
    this.#options = options;
    this.#shape = new ReadingShape(options.fields);
    this.#names = this.#shape.names();
  }

  decode(message: Message): readonly Event[] {
    const carried = this.#carried(message);
    if (carried.length === 1) return this.#events(message, carried[0], 0);
    const events: Event[] = [];
    for (const one of carried)
      for (const event of this.#events(message, one, events.length)) events.push(event);
    return events;
  }

  #carried(message: Message): readonly Carried[] {
    const { payload } = message;
    checkSize(payload, this.#options.maxBytes);
    if (isCbor(payload, mediaType(message)))
      return [{ data: undefined, bytes: payload, ...wrapping(message) }];
    return unwrap(parseJson(payload, this.#options), message, this.#options.maxEvents);
  }

  #events(message: Message, { data, bytes, identity, time }: Carried, before: number): readonly Event[] {
    const pack = bytes === null ? data : this.#packOf(bytes);
    const now = Number.isNaN(time) ? message.at : time;
    const growing = this.#grow(resolve(pack, now), before);
    return growing.map(({ device, at, reading }, i) => ({
      id: growing.length === 1 ? identity.id : `${identity.id}#${i}`,
      weak: identity.weak,
      device: this.#options.device || device === '' ? deviceOf(message, this.#options.device) : device,
      at,
      aliases: NO_ALIASES,
      body: this.#shape.finish(reading, growing.length === 1 ? '' : ` #${i}`),
    }));
  }

  #packOf(bytes: Uint8Array): unknown {
    checkSize(bytes, this.#options.maxBytes);
    if (isCbor(bytes, '')) return readCbor(asBuffer(bytes), this.#options.maxDepth);
    return parseJson(bytes, this.#options, 'the data of the CloudEvent');
  }

  /** Readings in the order in which their first values come. */
  #grow(values: readonly Resolved[], before: number): readonly Growing[] {
    const byDevice = new Map<string, Map<number, Growing>>();
    const growing: Growing[] = [];
    let last = null as Growing | null;
    for (const { name, unit, at, value } of values) {
      const place = this.#placeOf(name);
      const field = place && fieldOf(place.fields, unit, name !== place.device);
      if (!place || !field) continue;
      const { device } = place;
      if (last === null || last.device !== device || last.at !== at) {
        const byTime: Map<number, Growing> = byDevice.get(device) ?? new Map();
        byDevice.set(device, byTime);
        last = byTime.get(at) ?? null;
        if (!last) {
          last = { device, at, reading: this.#shape.blank() };
          byTime.set(at, last);
          checkNumber(before + growing.push(last), this.#options.maxEvents);
        }
      }
      this.#shape.put(last.reading, field.index, value);
    }
    if (growing.length === 0) throw new SluiceError('DECODE_SHAPE', 'no record is of a declared field');
    return growing;
  }

  #placeOf(name: string): Place | null {
    let place = this.#places.get(name);
    if (place === undefined) {
      place = this.#locate(name);
      if (this.#places.size >= MAX_PLACES) this.#places.clear();
      this.#places.set(name, place);
    }
    return place;
  }

  /** The longest field name first. */
  #locate(name: string): Place | null {
    const whole = this.#names.get(name);
    if (whole) return { device: '', fields: whole };
    for (let i = 1; i < name.length - 1; i += 1) {
      if (!BETWEEN.test(name[i])) continue;
      const fields = this.#names.get(name.slice(i + 1));
      if (fields) return { device: name.slice(0, i), fields };
    }
    const rest = this.#names.get('');
    return rest ? { device: name, fields: rest } : null;
  }
}

const NO_ALIASES: readonly string[] = [];

/** The field of this unit; one that names no unit; where there is but one of a name, that one: its unit is for people. */
function fieldOf(fields: readonly NamedField[], unit: string, isNamed: boolean): NamedField | null {
  const fitting = fields.find((field) => field.unit === unit) ?? fields.find((field) => field.unit === null);
  return fitting ?? (isNamed && fields.length === 1 ? fields[0] : null);
}

/** An array of CBOR begins with 0x80 to 0x9f, or with a tag before it; JSON never does. */
function isCbor(bytes: Uint8Array, type: string): boolean {
  if (type.endsWith('+cbor') || type === 'application/cbor') return true;
  const major = bytes[0] >> 5;
  return major === 4 || major === 6;
}
