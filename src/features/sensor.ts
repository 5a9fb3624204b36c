/**
 * Readings of declared fields to a row. Promises: numbers go dense as they are (the model standardises them; range was
 * checked in decoding), booleans as 0 or 1, missing values as NaN with an indicator column beside them, times as
 * sine and cosine of hour and weekday, categories sparse, one bucket a value; the columns are fixed by the declared
 * fields and the options, which are in `version`. Refuses to open with names it cannot place (CONFIG_INVALID).
 *
 * Cyclic coding keeps 23:59 beside 00:00; hours are UTC, so that a row never depends on the machine's zone.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Event, Featurizer, ReadingBody, RowWriter } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { HASH_VERSION, keyMark, mix, seedOf, word } from './hash.ts';

/** Raised with every change of what a reading's row is. */
const SENSOR_VERSION = 1;

export const sensorOptions = z.strictObject({
  bits: z
    .number()
    .int()
    .min(4)
    .max(26)
    .default(16)
    .describe('2^bits buckets for categories; none where no field is a category'),
  key: z.string().default('').describe('secret of the fleet that the hashes are seeded with'),
  missing: z
    .boolean()
    .default(true)
    .describe('a column beside each field that says whether the value was missing'),
  eventTime: z.boolean().default(false).describe("hour and weekday of the event's own time as columns"),
});

export type SensorOptions = z.infer<typeof sensorOptions>;

/** As the decoder declares them; only the type matters here. */
export type DeclaredFields = Readonly<
  Record<string, { readonly type: 'number' | 'category' | 'boolean' | 'time'; readonly required?: boolean }>
>;

/** Where a field's cells go. */
interface Column {
  readonly name: string;
  readonly type: DeclaredFields[string]['type'];
  /** First dense column of the value, -1 for a category. */
  readonly at: number;
  /** Column of the indicator, -1 for none. */
  readonly missing: number;
  readonly seed: number;
}

/** Opens the featurizer of readings with these declared fields. */
export function openSensor(options: SensorOptions, fields: DeclaredFields): Featurizer {
  return new SensorFeaturizer(options, fields);
}

const TIME_COLUMNS = ['hour sin', 'hour cos', 'weekday sin', 'weekday cos'];

/** Readings are written cell by cell. */
type CellWriter = Pick<RowWriter, 'sparse' | 'dense'>;

class SensorFeaturizer implements Featurizer {
  readonly version: string;
  readonly views = 1;
  readonly dims: number;
  readonly denseDims: number;
  readonly columns: Featurizer['columns'];
  readonly #columns: readonly Column[];
  /** First column of the event's time, -1 for none. */
  readonly #time: number;
  readonly #cyclic = new Float64Array(TIME_COLUMNS.length);

  constructor(options: SensorOptions, fields: DeclaredFields) {
    const columns: { name: string; field: string }[] = [];
    const place = (field: string, ...added: string[]) =>
      columns.push(...added.map((name) => ({ name, field }))) - added.length;
    this.#columns = Object.entries(fields).map(([name, { type, required }]) => {
      let at = -1;
      if (type === 'time') at = place(name, ...TIME_COLUMNS.map((part) => `${name} ${part}`));
      else if (type !== 'category') at = place(name, name);
      const missing = options.missing && !required ? place(name, `${name} missing`) : -1;
      return { name, type, at, missing, seed: seedOf(options.key, `sensor ${name}`) };
    });
    if (this.#columns.length === 0)
      throw new SluiceError('CONFIG_INVALID', 'a sensor task needs at least one declared field');
    this.#time = options.eventTime
      ? place('time of the event', ...TIME_COLUMNS.map((part) => `time ${part}`))
      : -1;
    this.columns = columns;
    this.denseDims = columns.length;
    this.dims = this.#columns.some((column) => column.type === 'category') ? 2 ** options.bits : 0;
    this.version = versionOf(options, fields);
  }

  write(event: Event, row: RowWriter): void {
    const reading = readingOf(event, this.#columns.length);
    for (let i = 0; i < this.#columns.length; i += 1) this.#field(this.#columns[i], reading, i, row);
    if (this.#time >= 0) this.#cycles(this.#time, event.at, row);
  }

  describe(event: Event): ReturnType<Featurizer['describe']> {
    const cells: ReturnType<Featurizer['describe']>[number][] = [];
    let sparseName = '';
    const row: CellWriter = {
      sparse: (index, value) => cells.push({ name: sparseName, index, value, part: 'sparse' }),
      dense: (index, value) =>
        cells.push({ name: this.columns[index].name, index, value: Math.fround(value), part: 'dense' }),
    };
    const reading = readingOf(event, this.#columns.length);
    for (const [i, column] of this.#columns.entries()) {
      sparseName = `${column.name}=${reading.categories[i]}`;
      this.#field(column, reading, i, row);
    }
    if (this.#time >= 0) this.#cycles(this.#time, event.at, row);
    return cells;
  }

  #field(column: Column, reading: ReadingBody, i: number, row: CellWriter): void {
    let isMissing: boolean;
    if (column.type === 'category') {
      const category = reading.categories[i];
      isMissing = category === null;
      if (category !== null) row.sparse(mix(word(category) ^ column.seed) & (this.dims - 1), 1);
    } else {
      const value = reading.values[i];
      isMissing = Number.isNaN(value);
      if (column.type === 'time') this.#cycles(column.at, value, row);
      else row.dense(column.at, value);
    }
    if (column.missing >= 0) row.dense(column.missing, isMissing ? 1 : 0);
  }

  /** `ms` NaN gives four missing columns. */
  #cycles(at: number, ms: number, row: CellWriter): void {
    cycles(ms, this.#cyclic);
    for (let i = 0; i < this.#cyclic.length; i += 1) row.dense(at + i, this.#cyclic[i]);
  }
}

const HOURS = 3_600_000;

/** Sine and cosine of the hour of the day and of the day of the week, in UTC. */
function cycles(ms: number, out: Float64Array): void {
  const hour = ((ms / HOURS / 24) % 1) * 2 * Math.PI;
  // The epoch was a Thursday; 4 days back make Sunday the zero.
  const day = ((ms / HOURS / 24 + 4) / 7) * 2 * Math.PI;
  out[0] = Math.sin(hour);
  out[1] = Math.cos(hour);
  out[2] = Math.sin(day);
  out[3] = Math.cos(day);
}

function readingOf(event: Event, fields: number): ReadingBody {
  if (event.body.kind !== 'reading')
    throw new SluiceError('INTERNAL', 'the sensor features were given a mail');
  if (event.body.values.length !== fields)
    throw new SluiceError('INTERNAL', 'the reading has other fields than the features were opened with');
  return event.body;
}

function versionOf(options: SensorOptions, fields: DeclaredFields): string {
  const { key, ...rest } = options;
  const declared = Object.entries(fields).map(([name, { type, required }]) => [
    name,
    type,
    required === true,
  ]);
  const text = JSON.stringify([SENSOR_VERSION, HASH_VERSION, keyMark(key), rest, declared]);
  return `sensor-${SENSOR_VERSION}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
}
