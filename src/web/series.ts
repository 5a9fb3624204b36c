/**
 * A bounded time series: buckets of one width, each with the same columns, in a ring of typed arrays. A bucket that
 * nothing was written to takes no place. Promises constant memory, and that what is read is in order of time without
 * doubles; refuses (false) what is older than the ring reaches back.
 */

/**
 * How values of one bucket become one: `mean` by weight, `sum`, `max`, `min`, or the `last` written. Not a number
 * stays out.
 */
export type Rule = 'mean' | 'sum' | 'max' | 'min' | 'last';

export interface SeriesOptions<Name extends string> {
  /** Width of a bucket, ms. */
  readonly resolutionMs: number;
  /** Buckets kept; older than `capacity * resolutionMs` behind the newest are gone as well. */
  readonly capacity: number;
  readonly columns: Readonly<Record<Name, Rule>>;
}

/** Columns beside each other: `values[name][i]` belongs to the bucket that begins at `at[i]`. */
export interface Points<Name extends string> {
  readonly at: number[];
  readonly values: Record<Name, (number | null)[]>;
}

export class Series<Name extends string> {
  readonly resolutionMs: number;
  readonly #capacity: number;
  readonly #names: readonly Name[];
  readonly #rules: readonly Rule[];
  /** Bucket starts by slot; the ring begins at `#first`. */
  readonly #at: Float64Array;
  readonly #values: readonly Float32Array[];
  readonly #weights: readonly Float32Array[];
  #first = 0;
  #length = 0;

  constructor({ resolutionMs, capacity, columns }: SeriesOptions<Name>) {
    if (!(resolutionMs > 0) || !Number.isInteger(capacity) || capacity < 1)
      throw new RangeError('a series needs a resolution > 0 and a capacity >= 1');
    this.resolutionMs = resolutionMs;
    this.#capacity = capacity;
    this.#names = Object.keys(columns) as Name[];
    this.#rules = this.#names.map((name) => columns[name]);
    this.#at = new Float64Array(capacity);
    this.#values = this.#names.map(() => new Float32Array(capacity));
    this.#weights = this.#names.map(() => new Float32Array(capacity));
  }

  get length(): number {
    return this.#length;
  }

  /** Start of the newest bucket, null where there is none. */
  get newest(): number | null {
    return this.#length > 0 ? this.#at[this.#slot(this.#length - 1)] : null;
  }

  /** Adds to the bucket of `at`. False where that lies before all that is kept, or `at` is no time. */
  add(at: number, values: Partial<Readonly<Record<Name, number | null>>>, weight = 1): boolean {
    if (!Number.isFinite(at) || !(weight > 0)) return false;
    const place = this.#open(Math.floor(at / this.resolutionMs) * this.resolutionMs);
    if (place < 0) return false;
    this.#names.forEach((name, c) => {
      const value = values[name];
      if (typeof value === 'number' && Number.isFinite(value)) this.#merge(c, place, value, weight);
    });
    return true;
  }

  /** The buckets that begin at or after `from`, oldest first. */
  points(from = Number.NEGATIVE_INFINITY): Points<Name> {
    let first = 0;
    while (first < this.#length && this.#at[this.#slot(first)] < from) first += 1;
    const slots = Array.from({ length: this.#length - first }, (_, i) => this.#slot(first + i));
    const read = (c: number) =>
      slots.map((slot) => (this.#weights[c][slot] > 0 ? this.#values[c][slot] : null));
    return {
      at: slots.map((slot) => this.#at[slot]),
      values: Object.fromEntries(this.#names.map((name, c) => [name, read(c)])) as Points<Name>['values'],
    };
  }

  #slot(position: number): number {
    return (this.#first + position) % this.#capacity;
  }

  /** The slot of the bucket that begins at `start`, opened where it is new; -1 where it is too old. */
  #open(start: number): number {
    const newest = this.newest;
    if (newest === null || start > newest) return this.#push(start);
    if (start <= newest - this.#capacity * this.resolutionMs) return -1;
    let position = this.#length - 1;
    while (position >= 0 && this.#at[this.#slot(position)] > start) position -= 1;
    if (position >= 0 && this.#at[this.#slot(position)] === start) return this.#slot(position);
    // A late value for a bucket that nobody had written to: rare, so the ring is simply moved apart.
    return this.#insert(position + 1, start);
  }

  #push(start: number): number {
    const oldest = start - this.#capacity * this.resolutionMs;
    while (this.#length > 0 && (this.#length === this.#capacity || this.#at[this.#first] <= oldest)) {
      this.#first = (this.#first + 1) % this.#capacity;
      this.#length -= 1;
    }
    this.#length += 1;
    return this.#clear(this.#slot(this.#length - 1), start);
  }

  #insert(position: number, start: number): number {
    if (this.#length === this.#capacity) return -1;
    this.#length += 1;
    for (let p = this.#length - 1; p > position; p--) {
      const [to, from] = [this.#slot(p), this.#slot(p - 1)];
      for (const column of [this.#at, ...this.#values, ...this.#weights]) column[to] = column[from];
    }
    return this.#clear(this.#slot(position), start);
  }

  #clear(slot: number, start: number): number {
    this.#at[slot] = start;
    for (const column of [...this.#values, ...this.#weights]) column[slot] = 0;
    return slot;
  }

  #merge(c: number, slot: number, value: number, weight: number): void {
    const values = this.#values[c];
    const before = this.#weights[c][slot];
    this.#weights[c][slot] = before + weight;
    const rule = this.#rules[c];
    if (rule === 'sum') values[slot] += value;
    else if (before === 0 || rule === 'last') values[slot] = value;
    else if (rule === 'max') values[slot] = Math.max(values[slot], value);
    else if (rule === 'min') values[slot] = Math.min(values[slot], value);
    else values[slot] += ((value - values[slot]) * weight) / (before + weight);
  }
}
