/**
 * Readings of declared fields to a row. Promises: numbers go dense as they are (the model standardises them; range was
 * checked in decoding), booleans as 0 or 1, missing values as NaN or what the declaration puts there, with an indicator
 * column beside them, times as sine and cosine of hour and weekday, categories as declared; where `windows` are on,
 * columns tell what the device sent before. The columns are fixed by the declared fields and the options, which are in
 * `version`. What is learned from rows (means, medians, scales, targets) is the model's, by `rules`: a row never depends on
 * when it was made. Refuses to open with names it cannot place (CONFIG_INVALID).
 *
 * Cyclic coding keeps 23:59 beside 00:00; hours are UTC, so that a row never depends on the machine's zone.
 */
import { createHash } from 'node:crypto';
import type { Event, FeatureMemory, Featurizer, FieldFlag, ReadingBody, RowWriter } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { type FieldColumn, type Layout, layOut, TIME_COLUMNS } from './fields.ts';
import { HASH_VERSION, keyMark, mix, word } from './hash.ts';
import { DeviceMemory } from './memory.ts';
import { choose, statNames } from './sensor-choice.ts';
import {
  type DeclaredFields,
  halfLivesOf,
  type ResolvedSensor,
  type SensorOptions,
  versioned,
} from './sensor-options.ts';
import { WindowStats } from './window-stats.ts';
import { DeviceWindows } from './windows.ts';

export { type DeclaredFields, type SensorOptions, sensorOptions } from './sensor-options.ts';

/** Raised with every change of what a reading's row is. */
const SENSOR_VERSION = 2;

/** Opens the featurizer of readings with these declared fields, for so many labels. */
export function openSensor(given: SensorOptions, fields: DeclaredFields, labels = 2): Featurizer {
  const { options, lean } = choose(given, fields, labels);
  return new SensorFeaturizer(options, fields, lean);
}

/** Readings are written cell by cell. */
type CellWriter = Pick<RowWriter, 'sparse' | 'dense'>;

class SensorFeaturizer implements Featurizer {
  readonly version: string;
  readonly views = 1;
  readonly dims: number;
  readonly denseDims: number;
  readonly columns: Featurizer['columns'];
  readonly rules: Featurizer['rules'];
  readonly lean: boolean;
  readonly memory: FeatureMemory | undefined;
  readonly #layout: Layout;
  readonly #fields: readonly FieldColumn[];
  readonly #windows: DeviceWindows | null;
  readonly #stats: WindowStats | null;
  /** Window columns of a field. */
  readonly #perField: number;
  readonly #cyclic = new Float64Array(TIME_COLUMNS.length);
  readonly #remembered: Float64Array;
  readonly #told: Float64Array;

  constructor(options: ResolvedSensor, fields: DeclaredFields, lean: boolean) {
    const { windows } = options;
    this.lean = lean;
    const stats = windows.on ? windows.stats : [];
    const names = statNames(options);
    this.#layout = layOut(options, fields, names);
    this.#fields = this.#layout.fields;
    this.columns = this.#layout.columns;
    this.rules = this.#layout.rules.length > 0 ? this.#layout.rules : undefined;
    this.denseDims = this.columns.length;
    this.dims = this.#layout.hashed ? 2 ** options.bits : 0;
    this.version = versionOf(options, fields);
    this.#perField = names.length;
    this.#told = new Float64Array(names.length);
    const rings = this.#layout.rings.length;
    this.#remembered = new Float64Array(rings);
    this.#windows = rings > 0 ? openWindows(options, fields, rings) : null;
    this.#stats = this.#windows && new WindowStats(this.#windows, stats, halfLivesOf(windows));
    this.memory = this.#windows
      ? new DeviceMemory(this.#windows, this.version, (dense) => this.#valuesOf(dense))
      : undefined;
  }

  write(event: Event, row: RowWriter): void {
    const reading = readingOf(event, this.#fields.length);
    this.#row(event, reading, row, true);
    if (this.#windows === null) return;
    const { rings } = this.#layout;
    for (let r = 0; r < rings.length; r += 1) this.#remembered[r] = reading.values[rings[r]];
    this.#windows.keep(event.device, this.#remembered);
  }

  describe(event: Event): ReturnType<Featurizer['describe']> {
    const cells: ReturnType<Featurizer['describe']>[number][] = [];
    const reading = readingOf(event, this.#fields.length);
    const hashed = this.#fields.filter(({ type, encode }) => type === 'category' && encode === 'hash');
    const names = hashed.flatMap(({ name, category }) => {
      const shown = reading.categories[this.#fields.findIndex((each) => each.name === name)] ?? category;
      return shown === null ? [] : [`${name}=${shown}`];
    });
    const row: CellWriter = {
      sparse: (index, value) => cells.push({ name: names.shift() ?? '', index, value, part: 'sparse' }),
      dense: (index, value) =>
        cells.push({ name: this.columns[index].name, index, value: Math.fround(value), part: 'dense' }),
    };
    this.#row(event, reading, row, false);
    return cells;
  }

  /** The remembered fields of a row, as far as it tells them: in single precision, and what was wrong is missing. */
  #valuesOf(dense: Float32Array): Float64Array {
    return Float64Array.from(this.#layout.rings, (i) => {
      const { at, missing, period } = this.#fields[i];
      return period > 0 || (missing >= 0 && dense[missing] === 1) ? Number.NaN : dense[at];
    });
  }

  /** `flags`: whether what is found wrong is said in the reading. */
  #row(event: Event, reading: ReadingBody, row: CellWriter, flags: boolean): void {
    this.#windows?.seek(event);
    for (let i = 0; i < this.#fields.length; i += 1) {
      const field = this.#fields[i];
      if (field.type === 'category') this.#category(field, reading.categories[i], row);
      else if (field.ring >= 0) this.#remember(field, reading, i, row, flags);
      else this.#number(field, reading.values[i], row);
    }
    if (this.#layout.time >= 0) this.#cycles(this.#layout.time, event.at, row);
  }

  #number(field: FieldColumn, given: number, row: CellWriter, last = Number.NaN): void {
    let value = given;
    const isMissing = Number.isNaN(value);
    if (isMissing) value = field.last ? last : field.fill;
    else if (value < field.low) value = field.low;
    else if (value > field.high) value = field.high;
    if (field.type === 'time') this.#cycles(field.at, value, row);
    else if (field.period > 0) {
      const turn = (value / field.period) * 2 * Math.PI;
      row.dense(field.at, Math.sin(turn));
      row.dense(field.at + 1, Math.cos(turn));
    } else row.dense(field.at, value);
    if (field.missing >= 0) row.dense(field.missing, isMissing ? 1 : 0);
  }

  /** A number that is judged by what its device sent before. */
  #remember(field: FieldColumn, reading: ReadingBody, i: number, row: CellWriter, flags: boolean): void {
    const stats = this.#stats!;
    let value = reading.values[i];
    stats.look(field.ring, field.spike);
    let what: FieldFlag['what'] | null = null;
    if (value < stats.low || value > stats.high) what = 'spike';
    else if (field.stuck > 0 && stats.isStuck(value, field.stuck - 1)) what = 'stuck';
    if (what !== null) {
      value = Number.NaN;
      if (flags) flag(reading, i, what);
    }
    this.#number(field, value, row, stats.last);
    if (field.window < 0) return;
    stats.write(value, this.#told, 0);
    for (let c = 0; c < this.#perField; c += 1) row.dense(field.window + c, this.#told[c]);
  }

  #category(field: FieldColumn, given: string | null, row: CellWriter): void {
    const category = given ?? field.category;
    if (field.encode === 'hash') {
      if (category !== null) row.sparse(mix(word(category) ^ field.seed) & (this.dims - 1), 1);
    } else if (field.encode === 'onehot') {
      const place = category === null ? -1 : (field.places.get(category) ?? -1);
      for (let c = 0; c < field.places.size; c += 1) row.dense(field.at + c, c === place ? 1 : 0);
    } else row.dense(field.at, category === null ? Number.NaN : codeOf(field, category));
    if (field.missing >= 0) row.dense(field.missing, given === null ? 1 : 0);
  }

  /** `ms` NaN gives four missing columns. */
  #cycles(at: number, ms: number, row: CellWriter): void {
    cycles(ms, this.#cyclic);
    for (let i = 0; i < this.#cyclic.length; i += 1) row.dense(at + i, this.#cyclic[i]);
  }
}

function openWindows({ windows }: ResolvedSensor, fields: DeclaredFields, rings: number): DeviceWindows {
  const { span, lateness, memory, count } = windows;
  for (const [name, { stuck = 0 }] of Object.entries(fields))
    if (stuck > count)
      throw new SluiceError(
        'CONFIG_INVALID',
        `fields.${name}.stuck: ${stuck} needs windows.count to be as much`,
      );
  const devices = Math.min(windows.devices, Math.floor(memory / DeviceWindows.bytesOf(rings, count)));
  if (devices < 1)
    throw new SluiceError('CONFIG_INVALID', `windows.memory: not one device fits into ${memory} bytes`);
  return new DeviceWindows(rings, { count, spanMs: span, latenessMs: lateness, devices });
}

/** Its place among the declared categories, or 24 bits that single precision holds exactly. */
function codeOf({ encode, places, seed }: FieldColumn, category: string): number {
  if (encode === 'ordinal') return places.get(category) ?? Number.NaN;
  return (mix(word(category) ^ seed) >>> 0) % 2 ** 24;
}

/** The reading may be looked at more than once. */
function flag(reading: ReadingBody, field: number, what: FieldFlag['what']): void {
  reading.flags ??= [];
  if (!reading.flags.some((each) => each.field === field && each.what === what))
    reading.flags.push({ field, what });
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

/** How a field is read (pointer, unit, range) is the decoder's; what is made of it is here. */
function versionOf(options: ResolvedSensor, fields: DeclaredFields): string {
  const declared = Object.entries(fields).map(([name, field]) => {
    const { type, required = false, categories = [], missing = 'keep', clip, spike, stuck } = field;
    const { scale = 'auto', period, encode = 'hash' } = field;
    // Only places and columns hang on the categories.
    const order = encode === 'onehot' || encode === 'ordinal' ? categories : [];
    return [name, type, required, order, missing, clip, spike, stuck, scale, period, encode];
  });
  const text = JSON.stringify([
    SENSOR_VERSION,
    HASH_VERSION,
    keyMark(options.key),
    versioned(options),
    declared,
  ]);
  return `sensor-${SENSOR_VERSION}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
}
