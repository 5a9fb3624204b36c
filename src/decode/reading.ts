/**
 * Declared fields of a sensor reading, and one value checked against its declaration. Promises: a value is
 * either right or missing (NaN, null), never bent to fit; `required` fields that are not right stop the reading
 * (DECODE_SHAPE where absent, DECODE_TYPE where of another type or out of range), and so does a reading in
 * which no declared field is right at all (DECODE_SHAPE).
 */
import { z } from 'zod';
import type { FieldFlag, ReadingBody } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { compilePointer, pointerText, pointerTo, readPointer } from './pointer.ts';
import { checkTreatment, treatment } from './treatment.ts';

export const fieldOptions = z
  .strictObject({
    pointer: pointerText.optional().describe('JSON Pointer (RFC 6901) to the value; default /NAME'),
    type: z
      .enum(['number', 'category', 'boolean', 'time'])
      .default('number')
      .describe(
        'number; category: text, or a number or boolean taken as text; boolean; time: RFC 3339 text or Unix seconds or milliseconds',
      ),
    unit: z.string().optional().describe('unit of the value, for people'),
    range: z
      .tuple([z.number(), z.number()])
      .refine(([low, high]) => low <= high, 'the lower bound is above the upper one')
      .optional()
      .describe('[lowest, highest] plausible number; outside of it the value counts as missing'),
    required: z.boolean().default(false).describe('whether a reading without it is a dead letter'),
    categories: z
      .array(z.string())
      .min(1)
      .max(1_024)
      .optional()
      .describe('the allowed categories; others count as missing'),
    unitPointer: pointerText
      .optional()
      .describe(
        'JSON Pointer to the unit that a reading itself names; where it is another than `unit` the value counts as missing and a signal tells',
      ),
    ...treatment,
  })
  .superRefine(checkTreatment)
  .describe('one value of a reading');

export const fieldsOptions = z
  .record(z.string().min(1), fieldOptions)
  .refine((fields) => Object.keys(fields).length > 0, 'declare at least one field')
  .describe('the values of a reading by name; their order is the order of the model input');

export type FieldOptions = z.infer<typeof fieldOptions>;

/** Longest category kept. */
const MAX_CATEGORY = 256;

interface Field {
  readonly name: string;
  readonly unit: string | null;
  readonly path: readonly string[];
  /** The member's name where the pointer is one member of the whole: the fast case. */
  readonly member: string | null;
  readonly type: FieldOptions['type'];
  readonly low: number;
  readonly high: number;
  readonly required: boolean;
  readonly categories: ReadonlySet<string> | null;
  /** null: readings do not name it. */
  readonly unitPath: readonly string[] | null;
}

/** Reads parsed JSON by declared fields; compiled once. */
export class ReadingShape {
  readonly #fields: readonly Field[];

  constructor(fields: Readonly<Record<string, FieldOptions>>) {
    this.#fields = Object.entries(fields).map(([name, options]) => {
      const path = compilePointer(options.pointer ?? pointerTo(name));
      return {
        name,
        unit: options.unit ?? null,
        path,
        member: path.length === 1 ? path[0] : null,
        type: options.type,
        low: options.range?.[0] ?? Number.NEGATIVE_INFINITY,
        high: options.range?.[1] ?? Number.POSITIVE_INFINITY,
        required: options.required,
        categories: options.categories ? new Set(options.categories) : null,
        unitPath: options.unitPointer === undefined ? null : compilePointer(options.unitPointer),
      };
    });
  }

  /**
   * One reading; `place` names it in errors (`#3`, or '' where it is the only one). What it lacks is looked for `around` it;
   * `row` is its place in columns, -1 where there are none. Throws DECODE_SHAPE, DECODE_TYPE.
   */
  read(root: unknown, place: string, around?: unknown, row = -1): ReadingBody {
    if (typeof root !== 'object' || root === null)
      throw new SluiceError('DECODE_SHAPE', `reading${place} is no object`);
    const fields = this.#fields;
    const values = new Float64Array(fields.length).fill(Number.NaN);
    const categories: (string | null)[] = new Array(fields.length).fill(null);
    const plain = !Array.isArray(root);
    let found = false;
    let flags: FieldFlag[] | undefined;
    for (let i = 0; i < fields.length; i += 1) {
      const field = fields[i];
      const { member } = field;
      let raw: unknown;
      if (member === null || !plain) raw = readPointer(root, field.path);
      else if (Object.hasOwn(root, member)) raw = (root as Record<string, unknown>)[member];
      if (raw === undefined && around !== undefined) raw = readPointer(around, field.path);
      if (row >= 0 && Array.isArray(raw)) raw = raw[row];
      if (field.type === 'category') categories[i] = categoryOf(raw, field);
      else values[i] = numberOf(raw, field);
      const other = field.unitPath !== null && namesOtherUnit(field, root);
      if (other) [values[i], categories[i]] = [Number.NaN, null];
      if (categories[i] !== null || !Number.isNaN(values[i])) found = true;
      else {
        if (field.required) throw missing(field, raw, place, other);
        if (raw !== undefined && raw !== null) {
          flags ??= [];
          flags.push({ field: i, what: other ? 'unit' : 'invalid' });
        }
      }
    }
    if (!found) throw nothing(fields[0], readPointer(root, fields[0].path), place);
    return { kind: 'reading', values, categories, flags };
  }

  /** How many places the columns among the fields have, -1 where there are none. Throws DECODE_SHAPE where they differ. */
  rows(root: unknown): number {
    let rows = -1;
    for (const { name, path } of this.#fields) {
      const raw = readPointer(root, path);
      if (!Array.isArray(raw)) continue;
      if (rows >= 0 && raw.length !== rows)
        throw new SluiceError('DECODE_SHAPE', `the column ${name} is not as long as those before it`);
      rows = raw.length;
    }
    if (rows === 0) throw new SluiceError('DECODE_SHAPE', 'the columns hold no reading');
    return rows;
  }

  /**
   * The fields by the names that formats without a tree know them under: the tokens of the pointer joined by `/`. Several
   * may have the same name and differ by unit.
   */
  names(): ReadonlyMap<string, readonly NamedField[]> {
    const names = new Map<string, NamedField[]>();
    for (const [index, { path, unit, type }] of this.#fields.entries()) {
      const name = path.join('/');
      names.set(name, [...(names.get(name) ?? []), { index, unit, type }]);
    }
    return names;
  }

  /** A reading of which nothing is known yet. */
  blank(): GrowingReading {
    const { length } = this.#fields;
    return {
      kind: 'reading',
      values: new Float64Array(length).fill(Number.NaN),
      categories: new Array<string | null>(length).fill(null),
      given: null,
      found: false,
    };
  }

  /** Enters the value of a field, in the form that JSON would give it. One that is not right leaves an earlier one standing. */
  put(reading: GrowingReading, index: number, raw: unknown): void {
    const field = this.#fields[index];
    const category = field.type === 'category' ? categoryOf(raw, field) : null;
    const value = field.type === 'category' ? Number.NaN : numberOf(raw, field);
    if (category === null && Number.isNaN(value)) {
      reading.given ??= new Map();
      reading.given.set(index, raw);
      return;
    }
    if (category === null) reading.values[index] = value;
    else reading.categories[index] = category;
    reading.found = true;
  }

  /** The reading as it stands; `place` as in `read`. Throws DECODE_SHAPE, DECODE_TYPE. */
  finish(reading: GrowingReading, place: string): ReadingBody {
    const { values, categories, given, found } = reading;
    for (let i = 0; i < this.#fields.length; i += 1) {
      const field = this.#fields[i];
      if (field.required && categories[i] === null && Number.isNaN(values[i]))
        throw missing(field, given?.get(i), place, false);
    }
    if (!found) {
      const [index, raw] = given?.entries().next().value ?? [0, undefined];
      throw nothing(this.#fields[index], raw, place);
    }
    return { kind: 'reading', values, categories, flags: flagsOf(reading) };
  }
}

/** A field as formats without a tree find it. */
export interface NamedField {
  readonly index: number;
  readonly unit: string | null;
  readonly type: FieldOptions['type'];
}

/** A reading whose values come one by one. */
export interface GrowingReading extends ReadingBody {
  readonly categories: (string | null)[];
  /** What was given for fields and is not right, for the reason of a refusal. */
  given: Map<number, unknown> | null;
  /** Whether any value is right. */
  found: boolean;
}

/** Fields of which something was given, and nothing that is right. */
function flagsOf({ values, categories, given }: GrowingReading): FieldFlag[] | undefined {
  const wrong = [...(given ?? [])].filter(
    ([i, raw]) => raw !== null && raw !== undefined && categories[i] === null && Number.isNaN(values[i]),
  );
  return wrong.length === 0 ? undefined : wrong.map(([field]) => ({ field, what: 'invalid' }));
}

/** A reading that names no unit is taken at its word. */
function namesOtherUnit({ unit, unitPath }: Field, root: object): boolean {
  const named = readPointer(root, unitPath ?? []);
  return typeof named === 'string' && named !== unit;
}

function missing(field: Field, raw: unknown, place: string, otherUnit: boolean): SluiceError {
  if (raw === undefined || raw === null)
    return new SluiceError('DECODE_SHAPE', `reading${place} lacks the required field ${field.name}`);
  if (otherUnit)
    return new SluiceError('DECODE_TYPE', `reading${place}: ${field.name} is not in ${field.unit}`);
  return new SluiceError('DECODE_TYPE', `reading${place}: ${field.name} is ${why(field, raw)}`);
}

function nothing(first: Field, raw: unknown, place: string): SluiceError {
  const what = `no valid value of any declared field; the first, ${first.name}, is ${why(first, raw)}`;
  return new SluiceError('DECODE_SHAPE', `reading${place} has ${what}`);
}

/** What is wrong with a value, without the value: it may be private. */
function why({ type, low, high, categories }: Field, raw: unknown): string {
  if (raw === undefined) return 'missing';
  const given = raw === null ? 'null' : Array.isArray(raw) ? 'array' : typeof raw;
  if (type === 'category' && categories !== null && given !== 'object' && given !== 'array')
    return 'not one of its categories';
  if (type !== 'number') return `not a valid ${type} (${given})`;
  if (typeof raw !== 'number') return `not a number (${given})`;
  return Number.isFinite(raw) ? `out of range ${low}..${high}` : 'not a finite number';
}

/** NaN where missing. */
function numberOf(raw: unknown, field: Field): number {
  let value = Number.NaN;
  if (field.type === 'number') value = typeof raw === 'number' ? raw : Number.NaN;
  else if (field.type === 'boolean') value = raw === true ? 1 : raw === false ? 0 : Number.NaN;
  else value = timeOf(raw);
  // 1e400 is valid JSON and reads as Infinity.
  return Number.isFinite(value) && value >= field.low && value <= field.high ? value : Number.NaN;
}

function categoryOf(raw: unknown, field: Field): string | null {
  let text: string;
  if (typeof raw === 'string') text = raw.slice(0, MAX_CATEGORY);
  else if (typeof raw === 'boolean' || (typeof raw === 'number' && Number.isFinite(raw))) text = String(raw);
  else return null;
  return field.categories === null || field.categories.has(text) ? text : null;
}

// Unix times by magnitude: below this seconds (until the year 5138), above it milliseconds.
const SECONDS_BELOW = 1e11;
/** What Date can hold (ECMA-262 21.4.1.1). */
const LAST_TIME = 8.64e15;
/** RFC 3339 with the date alone allowed; Date.parse alone would take "1" for a date. */
const TIME = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d\d:?\d\d)?)?$/;

/** Milliseconds since the epoch of a time in JSON; NaN where it is none. Without a zone it is UTC. */
export function timeOf(raw: unknown): number {
  if (typeof raw === 'number') {
    const ms = Math.abs(raw) < SECONDS_BELOW ? raw * 1_000 : raw;
    return Math.abs(ms) <= LAST_TIME ? ms : Number.NaN;
  }
  if (typeof raw !== 'string' || raw.length > 40 || !TIME.test(raw)) return Number.NaN;
  const text = raw.replace(' ', 'T').replace(',', '.').toUpperCase();
  return Date.parse(/[Z]$|[+-]\d\d:?\d\d$/.test(text.slice(10)) || text.length === 10 ? text : `${text}Z`);
}
