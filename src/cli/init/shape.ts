/**
 * What the values of one kind of message look like: each place in the JSON with its types, range, categories and times,
 * as far as it was seen. Promises: bounded whatever is sent (places, depth, distinct values, length of names); two
 * of these merge into what one would have seen. Judges nothing: see fields.ts.
 */
import { timeOf } from '../../decode/reading.ts';

/** Places in all that one survey may hold, and in one message. */
export const MOST_PLACES = 20_000;
const PLACES_PER_MESSAGE = 400;
const MAX_DEPTH = 6;
const MAX_NAME = 128;
const MAX_DISTINCT = 65;
const MAX_TEXT = 128;
const MAX_SAMPLE = 64;
const MAX_MERGED = 4_096;
/** Longer arrays of numbers are no fixed set of values, such as the three axes of a sensor. */
const MAX_AXES = 8;

/** A time that a person would mean: 2000 to 2100. */
const FIRST = Date.UTC(2000, 0, 1);
const LAST = Date.UTC(2100, 0, 1);
const NEAR_MS = 7 * 86_400_000;

/** What was seen at one place. */
export class Place {
  seen = 0;
  nulls = 0;
  numbers = 0;
  integers = 0;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  booleans = 0;
  texts = 0;
  /** Texts that would be numbers. */
  numeric = 0;
  /** Texts that are times by RFC 3339, and those without a zone. */
  times = 0;
  zoneless = 0;
  /** Numbers that could be Unix times: in s, ms, us, ns; and those near their message's arrival. */
  readonly unix = [0, 0, 0, 0];
  near = 0;
  /** Arrays and whatever else is no value. */
  others = 0;
  /** Steps between numbers of one topic, and how many went up. */
  steps = 0;
  rises = 0;
  readonly distinct = new Set<string>();
  /** Every so-many-th number, evenly over all of them. */
  sample: number[] = [];
  #every = 1;
  #last = Number.NaN;

  add(value: unknown, arrival: number): void {
    this.seen += 1;
    if (value === null) this.nulls += 1;
    else if (typeof value === 'number') this.#number(value, arrival);
    else if (typeof value === 'boolean') this.booleans += 1;
    else if (typeof value === 'string') this.#text(value, arrival);
    else this.others += 1;
  }

  #number(value: number, arrival: number): void {
    this.numbers += 1;
    if (!Number.isFinite(value)) return;
    if (Number.isInteger(value)) this.integers += 1;
    this.min = Math.min(this.min, value);
    this.max = Math.max(this.max, value);
    if (this.numbers % this.#every === 0) this.sample.push(value);
    if (this.sample.length > MAX_SAMPLE) {
      this.sample = this.sample.filter((_value, i) => i % 2 === 1);
      this.#every *= 2;
    }
    if (!Number.isNaN(this.#last)) {
      this.steps += 1;
      if (value > this.#last) this.rises += 1;
    }
    this.#last = value;
    for (const [i, scale] of [1e3, 1, 1e-3, 1e-6].entries()) {
      const ms = value * scale;
      if (ms < FIRST || ms > LAST) continue;
      this.unix[i] += 1;
      if (i < 2 && Math.abs(ms - arrival) < NEAR_MS) this.near += 1;
    }
  }

  #text(value: string, arrival: number): void {
    this.texts += 1;
    if (this.distinct.size < MAX_DISTINCT) this.distinct.add(value.slice(0, MAX_TEXT));
    if (value.length <= 32 && value.trim() !== '' && Number.isFinite(Number(value))) this.numeric += 1;
    const ms = timeOf(value);
    if (Number.isNaN(ms)) return;
    this.times += 1;
    if (!/(?:[Zz]|[+-]\d\d:?\d\d)$/.test(value.slice(10))) this.zoneless += 1;
    if (Math.abs(ms - arrival) < NEAR_MS) this.near += 1;
  }

  /** More distinct texts than are kept. */
  get many(): boolean {
    return this.distinct.size >= MAX_DISTINCT;
  }

  merge(other: Place): void {
    for (const key of COUNTS) this[key] += other[key];
    this.min = Math.min(this.min, other.min);
    this.max = Math.max(this.max, other.max);
    this.sample = [...this.sample, ...other.sample];
    if (this.sample.length > MAX_MERGED) this.sample = this.sample.filter((_value, i) => i % 2 === 1);
    for (const [i, count] of other.unix.entries()) this.unix[i] += count;
    for (const text of other.distinct) if (this.distinct.size < MAX_DISTINCT) this.distinct.add(text);
  }
}

const COUNTS = [
  'seen',
  'nulls',
  'numbers',
  'integers',
  'booleans',
  'texts',
  'numeric',
  'times',
  'zoneless',
  'near',
  'others',
  'steps',
  'rises',
] as const;

/** The places of a kind of reading, by JSON Pointer. */
export class Shape {
  readonly places = new Map<string, Place>();
  readings = 0;
  /** True where places were left out for there being too many. */
  cut = false;

  /** Adds one reading; `room` says how many new places may still be remembered. Returns how many were. */
  add(reading: Readonly<Record<string, unknown>>, arrival: number, room: number): number {
    this.readings += 1;
    const before = this.places.size;
    let left = PLACES_PER_MESSAGE;
    const visit = (value: unknown, pointer: string, depth: number): void => {
      if (left <= 0) {
        this.cut = true;
        return;
      }
      const inside = depth < MAX_DEPTH ? within(value) : null;
      if (!inside) {
        left -= 1;
        this.#put(pointer, value, arrival, before + room);
        return;
      }
      for (const [name, inner] of inside) {
        if (this.cut && left <= 0) return;
        if (name.length <= MAX_NAME) visit(inner, `${pointer}/${escaped(name)}`, depth + 1);
      }
    };
    visit(reading, '', 0);
    return this.places.size - before;
  }

  #put(pointer: string, value: unknown, arrival: number, most: number): void {
    let place = this.places.get(pointer);
    if (!place) {
      if (pointer === '' || this.places.size >= most) {
        this.cut = true;
        return;
      }
      place = new Place();
      this.places.set(pointer, place);
    }
    place.add(value, arrival);
  }

  merge(other: Shape): void {
    this.readings += other.readings;
    this.cut ||= other.cut;
    for (const [pointer, place] of other.places) {
      const own = this.places.get(pointer) ?? new Place();
      this.places.set(pointer, own);
      own.merge(place);
    }
  }
}

/** The members of an object, or of a short array of numbers; null for a value. */
function within(value: unknown): [string, unknown][] | null {
  if (typeof value !== 'object' || value === null) return null;
  if (!Array.isArray(value)) return Object.entries(value);
  const axes =
    value.length > 0 && value.length <= MAX_AXES && value.every((each) => typeof each === 'number');
  return axes ? value.map((each, i) => [String(i), each]) : null;
}

/** RFC 6901. */
const escaped = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');
