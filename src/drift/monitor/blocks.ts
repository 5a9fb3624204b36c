/**
 * What is gathered of the events of one block: sums only, never an event. Each part gives a level with the standard error
 * that it has by its number of events alone (0.. finite), or null where too little came.
 */
import { z } from 'zod';
import type { Rows } from '../../contract.ts';
import type { Devices } from './devices.ts';
import { Histogram, histogramState } from './histogram.ts';
import { pack, unpack } from './packed.ts';

/** Fewer events make no block: it goes on until so many came. */
export const LEAST_EVENTS = 20;

export interface Level {
  readonly value: number;
  readonly error: number;
}

export const meanState = z.strictObject({
  n: z.number().min(0),
  pivot: z.number(),
  sum: z.number(),
  squares: z.number().min(0),
});

/** Mean and spread of values. Sums are taken about the first value ever: large offsets cost no digits. */
export class Mean {
  n = 0;
  #pivot = 0;
  #sum = 0;
  #squares = 0;
  #begun = false;

  add(value: number, weight = 1): void {
    if (!this.#begun) {
      this.#begun = true;
      this.#pivot = value;
    }
    const apart = value - this.#pivot;
    this.n += weight;
    this.#sum += apart * weight;
    this.#squares += apart * apart * weight;
  }

  level(): Level | null {
    if (this.n === 0) return null;
    return { value: this.#pivot + this.#sum / this.n, error: Math.sqrt(this.#variance() / this.n) };
  }

  clear(): void {
    this.n = 0;
    this.#sum = 0;
    this.#squares = 0;
  }

  save(): z.output<typeof meanState> {
    return { n: this.n, pivot: this.#pivot, sum: this.#sum, squares: this.#squares };
  }

  restore({ n, pivot, sum, squares }: z.output<typeof meanState>): void {
    this.n = n;
    this.#pivot = pivot;
    this.#sum = sum;
    this.#squares = squares;
    this.#begun = n > 0 || pivot !== 0;
  }

  #variance(): number {
    return Math.max(0, this.#squares / this.n - (this.#sum / this.n) ** 2);
  }
}

/** A share of n events. The error is that of a share with one or two hits: between none and one there is no step smaller. */
export function share(hits: number, n: number): Level {
  const p = 1.5 / (n + 2);
  return { value: hits / n, error: Math.sqrt((p * (1 - p)) / n) };
}

/**
 * A share whose blocks vary as their level does: the angle whose squared sine it is (Anscombe 1948), radians. Shares near
 * none are skewed, and where errors come in bursts a test for normal values cries at the bursts.
 */
export function angle(hits: number, n: number): Level {
  return { value: Math.asin(Math.sqrt(hits / n)), error: 1 / (2 * Math.sqrt(n)) };
}

/** The root of a level that is at least 0, for the same reason: losses are sums of few large ones. */
export function root({ value, error }: Level): Level {
  return {
    value: Math.sqrt(Math.max(0, value)),
    error: error / (2 * Math.sqrt(Math.max(value, error, 1e-12))),
  };
}

/** Numbers of a column: present, missing, first value ever (NaN: none yet), sum and squares about it. */
const PRESENT = 0;
const MISSING = 1;
const PIVOT = 2;
const SUM = 3;
const SQUARES = 4;
const NUMBERS = 5;

/** What a block says of one dense column; level and spread are null where hardly a value came. */
export interface ColumnLevels {
  readonly level: Level | null;
  readonly spread: Level | null;
  readonly missing: Level;
}

/** The dense columns that are watched. */
export class Columns {
  /** Positions in the dense part of a row. */
  readonly #at: Int32Array;
  readonly #numbers: Float64Array;

  constructor(at: readonly number[]) {
    this.#at = Int32Array.from(at);
    this.#numbers = new Float64Array(at.length * NUMBERS);
    for (let c = 0; c < at.length; c++) this.#numbers[c * NUMBERS + PIVOT] = NaN;
  }

  /**
   * Takes one row that begins at `offset`. The device's account gets the values of the first `accounts` columns as its
   * quantities from `first` on, and behind them whether each was missing.
   */
  add(
    dense: Float32Array,
    offset: number,
    devices: Devices,
    slot: number,
    first: number,
    accounts: number,
  ): void {
    const numbers = this.#numbers;
    for (let c = 0; c < this.#at.length; c++) {
      const value = dense[offset + this.#at[c]];
      const at = c * NUMBERS;
      const missing = value - value !== 0;
      if (missing) numbers[at + MISSING] += 1;
      else {
        if (Number.isNaN(numbers[at + PIVOT])) numbers[at + PIVOT] = value;
        const apart = value - numbers[at + PIVOT];
        numbers[at + PRESENT] += 1;
        numbers[at + SUM] += apart;
        numbers[at + SQUARES] += apart * apart;
      }
      if (c >= accounts) continue;
      devices.add(slot, first + c, value);
      devices.add(slot, first + accounts + c, missing ? 1 : 0);
    }
  }

  levels(c: number): ColumnLevels | null {
    const at = c * NUMBERS;
    const [n, missing] = [this.#numbers[at + PRESENT], this.#numbers[at + MISSING]];
    if (n + missing === 0) return null;
    const none = { level: null, spread: null, missing: share(missing, n + missing) };
    if (n < LEAST_EVENTS) return none;
    const mean = this.#numbers[at + SUM] / n;
    const spread = Math.sqrt(Math.max(0, this.#numbers[at + SQUARES] / n - mean * mean));
    const value = this.#numbers[at + PIVOT] + mean;
    return {
      level: { value, error: spread / Math.sqrt(n) },
      // Of a normal distribution spread / sqrt(2 n); heavier tails shake it more.
      spread: { value: spread, error: Math.max(spread, 1e-6 * Math.abs(value)) / Math.sqrt(n) },
      missing: none.missing,
    };
  }

  clear(): void {
    for (let at = 0; at < this.#numbers.length; at += NUMBERS) {
      const pivot = this.#numbers[at + PIVOT];
      this.#numbers.fill(0, at, at + NUMBERS);
      this.#numbers[at + PIVOT] = pivot;
    }
  }

  save(): string {
    return pack(this.#numbers);
  }

  restore(text: string): void {
    unpack(text, this.#numbers);
  }
}

/** Cells looked at in one batch: mails have thousands. */
const SAMPLED = 1_024;
const SKETCH = 64;

export const cellsState = z.strictObject({
  rows: meanState,
  values: meanState,
  sketch: histogramState,
  turn: z.number().int().min(0).max(0xffffffff),
});

/** Sparse cells: how many a row has, their values, and which buckets they fall into, folded to 64. */
export class Cells {
  readonly rows = new Mean();
  readonly values = new Mean();
  readonly sketch = new Histogram(SKETCH);
  /** Where the next batch's sample begins: not always at the same place of a row. */
  #turn = 0;

  add({ count, indptr, indices, values }: Rows): void {
    for (let i = 0; i < count; i++) this.rows.add(indptr[i + 1] - indptr[i]);
    const [from, to] = [indptr[0], indptr[count]];
    const stride = Math.ceil((to - from) / SAMPLED);
    if (stride === 0) return;
    this.#turn = (this.#turn + 1) >>> 0;
    for (let k = from + (this.#turn % stride); k < to; k += stride) {
      this.sketch.add(Math.imul(indices[k], 0x9e3779b1) >>> 26);
      if (values[k] - values[k] === 0) this.values.add(values[k]);
    }
  }

  clear(): void {
    this.rows.clear();
    this.values.clear();
  }

  save(): z.output<typeof cellsState> {
    return {
      rows: this.rows.save(),
      values: this.values.save(),
      sketch: this.sketch.save(),
      turn: this.#turn,
    };
  }

  restore(state: z.output<typeof cellsState>): void {
    this.rows.restore(state.rows);
    this.values.restore(state.values);
    this.sketch.restore(state.sketch);
    this.#turn = state.turn;
  }
}
