/**
 * How unusual a reading is, without any label: useful on the first day of a stream. Promises: a score in [0, 1), the share
 * of earlier rows that were less unusual (0.99: one row in a hundred is like that); each row is scored before it is learned
 * from; constant memory and time for a row, whatever the stream does; `save` and `restore` go on with the same numbers.
 * Gives no score (NaN) before LEAST rows, nor for rows without any number.
 *
 * Looked at are the values of the declared numbers and, where windows are on, how each departs from what its device sent
 * before: so a value is unusual that does not fit the others, does not fit its own past, or is out of all range. Columns
 * are looked at together in groups of GROUP fields, whose distances add up.
 */
import { createHash } from 'node:crypto';
import { endianness } from 'node:os';
import type { Featurizer, Rows } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { Calibration } from './calibration.ts';
import { Reference } from './reference.ts';

/** Rows before the first score. */
const LEAST = 30;
/** Fields that are looked at together: cost grows with the square of it. */
const GROUP = 8;
/** Beyond it the departures are left out, so that the cost of a row stays in bounds; and beyond this all else. */
const MOST_WITH_WINDOWS = 32;
const MOST_FIELDS = 256;
/**
 * A fault that lasts must not become what is usual: while of the last rows more than EPISODE (decaying mean over some 32)
 * are among the RARE, which are 3 in 100 else, such rows teach the calibration little.
 */
const RARE = 0.97;
const EPISODE = 0.2;
const RECENT = 1 / 32;
const RARE_WEIGHT = 0.03;
const TRUSTED = 100;

const MAGIC = 0x4e414c53; // "SLAN", little-endian
const FORMAT = 1;
const DIGEST = 16;
const HEAD = 12;
/** Numbers of the state before those of the references. */
const HEADS = 1 + Calibration.stateSize;

/** The columns that are looked at together, by group. */
export function groupsOf(columns: Featurizer['columns']): Int32Array[] {
  const fields = new Map<string, { values: number[]; windows: number[] }>();
  columns.forEach(({ name, field, derived }, place) => {
    // Whether a value is missing is said by the flags of the verdict.
    if (name === `${field} missing`) return;
    const each = fields.get(field) ?? { values: [], windows: [] };
    fields.set(field, each);
    (derived ? each.windows : each.values).push(place);
  });
  const taken = [...fields.values()].slice(0, MOST_FIELDS);
  const windows = taken.length <= MOST_WITH_WINDOWS;
  const groups: Int32Array[] = [];
  for (let i = 0; i < taken.length; i += GROUP) {
    const group = taken.slice(i, i + GROUP);
    groups.push(Int32Array.from(group.flatMap((f) => (windows ? [...f.values, ...f.windows] : f.values))));
  }
  return groups.filter((group) => group.length > 0);
}

export class AnomalyScorer {
  readonly #features: string;
  readonly #groups: readonly Int32Array[];
  readonly #columns: number;
  #state!: Float64Array;
  #references!: readonly Reference[];
  #calibration!: Calibration;
  /** One number: the share of rare rows lately. */
  #recent!: Float64Array;

  /** `features`: the version of the rows, for whose bytes alone `restore` may be called. */
  constructor(features: string, columns: Featurizer['columns']) {
    this.#features = features;
    this.#groups = groupsOf(columns);
    this.#columns = this.#groups.reduce((sum, group) => sum + group.length, 0);
    this.#open(new Float64Array(this.#stateSize()));
  }

  /** False where no column can be looked at: then there are never scores. */
  get useful(): boolean {
    return this.#columns > 0;
  }

  get bytes(): number {
    // The state, and about as much again that is derived from it.
    return 2 * this.#state.byteLength;
  }

  /** Scores each row, then learns it; one score a row, in [0, 1) or NaN. */
  step({ count, dense, denseDims }: Rows): Float32Array {
    const scores = new Float32Array(count).fill(Number.NaN);
    if (!this.useful) return scores;
    for (let i = 0; i < count; i += 1) scores[i] = this.#one(dense, i * denseDims);
    return scores;
  }

  #one(dense: Float32Array, from: number): number {
    let distance = 0;
    let known = false;
    for (let g = 0; g < this.#groups.length; g += 1) {
      const columns = this.#groups[g];
      for (let c = 0; c < columns.length && !known; c += 1) known = !Number.isNaN(dense[from + columns[c]]);
      distance += this.#references[g].look(dense, from, columns);
    }
    if (!known) return Number.NaN;
    distance /= this.#columns;
    const ready = this.#references[0].weight >= LEAST;
    const share = ready ? this.#calibration.shareBelow(distance) : Number.NaN;
    for (const reference of this.#references) reference.learn();
    if (ready) this.#calibrate(distance, share);
    return this.#calibration.weight >= LEAST ? share : Number.NaN;
  }

  #calibrate(distance: number, share: number): void {
    const rare = share > RARE && this.#calibration.weight >= TRUSTED;
    this.#recent[0] += RECENT * ((rare ? 1 : 0) - this.#recent[0]);
    this.#calibration.add(distance, rare && this.#recent[0] > EPISODE ? RARE_WEIGHT : 1);
  }

  save(): Uint8Array {
    const name = Buffer.from(this.#features);
    const start = Buffer.alloc(HEAD);
    start.writeUInt32LE(MAGIC, 0);
    start.writeUInt32LE(FORMAT, 4);
    start.writeUInt32LE(name.length, 8);
    const body = Buffer.from(this.#state.slice().buffer);
    if (endianness() === 'BE') body.swap64();
    return Buffer.concat([start, name, body, digest([start, name, body])]);
  }

  /** Throws SluiceError DETECTOR_STATE, and goes on as before, for bytes of other features or damaged ones. */
  restore(bytes: Uint8Array): void {
    const whole = Buffer.from(bytes);
    if (whole.length < HEAD + DIGEST || whole.readUInt32LE(0) !== MAGIC || whole.readUInt32LE(4) !== FORMAT)
      throw damaged('these are no anomaly scores');
    const end = whole.length - DIGEST;
    if (!digest([whole.subarray(0, end)]).equals(whole.subarray(end)))
      throw damaged('the bytes were changed');
    const at = HEAD + whole.readUInt32LE(8);
    if (at > end || whole.toString('utf8', HEAD, at) !== this.#features)
      throw damaged('they are of other features');
    if (end - at !== 8 * this.#stateSize()) throw damaged('they are of another size');
    const body = Buffer.from(whole.subarray(at, end));
    if (endianness() === 'BE') body.swap64();
    const state = new Float64Array(this.#stateSize());
    Buffer.from(state.buffer).set(body);
    if (!state.every(Number.isFinite)) throw damaged('a number is not finite');
    this.#open(state);
  }

  #stateSize(): number {
    return this.#groups.reduce((sum, group) => sum + Reference.stateSize(group.length), HEADS);
  }

  #open(state: Float64Array): void {
    let at = HEADS;
    this.#state = state;
    this.#recent = state.subarray(0, 1);
    this.#calibration = new Calibration(state.subarray(1, at));
    this.#references = this.#groups.map((group) => {
      const size = Reference.stateSize(group.length);
      at += size;
      return new Reference(group.length, state.subarray(at - size, at));
    });
  }
}

const digest = (parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest().subarray(0, DIGEST);
};

const damaged = (what: string): SluiceError => new SluiceError('DETECTOR_STATE', what);
