/**
 * Adaptive windowing (Bifet & Gavalda 2007): a window of values in an exponential histogram; wherever its older and its
 * newer part differ by more than chance allows (Bernstein's bound with confidence `delta`), the older part is dropped and
 * that is told. The window is then already on the new level, so it goes on with it. Memory grows with the logarithm
 * of the window. Values lie in a range of width `range`; `delta` bounds one test, not a whole stream.
 */
import { z } from 'zod';
import type { Detector } from '../contract.ts';
import { count, defineDetector, savedDetector, side, usable } from './kind.ts';

/** Buckets of one size before the two oldest are joined (the paper's M). */
const PER_ROW = 5;
const SLOTS = PER_ROW + 1;
/** 5 x 2^40 values: longer windows drop their oldest bucket. */
const MAX_ROWS = 40;

const options = z.strictObject({
  delta: z
    .number()
    .gt(0)
    .lt(0.5)
    .default(0.002)
    .describe('Probability that one cut is made without a change.'),
  every: z.number().int().min(1).max(1e6).default(32).describe('Looks for a cut every so many values.'),
  range: z.number().gt(0).max(1e12).default(1).describe('Width of the range that the values lie in.'),
  least: z.number().int().min(1).max(1e6).default(5).describe('Values that each part of a cut has at least.'),
  side: side('both'),
});

const bucket = z.strictObject({ sum: z.number(), squares: z.number().min(0) });
const state = z.strictObject({
  /** By size 2^row, in each the oldest first. */
  rows: z.array(z.array(bucket).max(PER_ROW)).max(MAX_ROWS),
  wait: count,
});

class Adwin implements Detector {
  readonly #options: z.output<typeof options>;
  /** Sum, and squared deviations from the bucket's mean, of bucket `row * SLOTS + slot`; slot 0 is the oldest. */
  readonly #sums = new Float64Array(MAX_ROWS * SLOTS);
  readonly #squares = new Float64Array(MAX_ROWS * SLOTS);
  readonly #used = new Uint8Array(MAX_ROWS);
  #rows = 0;
  /** Of the whole window, as of the last `#total`. */
  #n = 0;
  #sum = 0;
  #spread = 0;
  #wait = 0;

  constructor(given: z.output<typeof options>, saved: z.output<typeof state> | null) {
    this.#options = given;
    if (!saved) return;
    saved.rows.forEach((buckets, row) => {
      for (const { sum, squares } of buckets) this.#add(row, sum, squares);
    });
    this.#rows = saved.rows.length;
    this.#wait = saved.wait;
  }

  update(value: number): boolean {
    if (!usable(value)) return false;
    this.#add(0, value, 0);
    if (this.#rows === 0) this.#rows = 1;
    this.#compress();
    this.#wait += 1;
    if (this.#wait < this.#options.every) return false;
    this.#wait = 0;
    // Sums come from the buckets each time, as after a restore: rounding errors never pile up.
    this.#total();
    let told = false;
    for (let cut = this.#cut(); cut !== 0; cut = this.#cut()) {
      const { side: wanted } = this.#options;
      if (wanted === 'both' || (wanted === 'up') === cut > 0) told = true;
      this.#dropOldest();
    }
    return told;
  }

  reset(): void {
    this.#used.fill(0);
    this.#rows = 0;
    this.#wait = 0;
  }

  save(): string {
    const rows = Array.from({ length: this.#rows }, (_, row) =>
      Array.from({ length: this.#used[row] }, (_, slot) => ({
        sum: this.#sums[row * SLOTS + slot],
        squares: this.#squares[row * SLOTS + slot],
      })),
    );
    return savedDetector('adwin', this.#options, { rows, wait: this.#wait });
  }

  #add(row: number, sum: number, squares: number): void {
    const at = row * SLOTS + this.#used[row];
    this.#sums[at] = sum;
    this.#squares[at] = squares;
    this.#used[row] += 1;
  }

  /** Removes the `k` oldest buckets of a row. */
  #shift(row: number, k: number): void {
    const from = row * SLOTS;
    this.#sums.copyWithin(from, from + k, from + this.#used[row]);
    this.#squares.copyWithin(from, from + k, from + this.#used[row]);
    this.#used[row] -= k;
  }

  #compress(): void {
    for (let row = 0; this.#used[row] > PER_ROW; row++) {
      if (row === MAX_ROWS - 1) {
        this.#shift(row, 1);
        return;
      }
      const at = row * SLOTS;
      const size = 2 ** row;
      const apart = (this.#sums[at] - this.#sums[at + 1]) / size;
      const squares = this.#squares[at] + this.#squares[at + 1] + (apart * apart * size) / 2;
      this.#add(row + 1, this.#sums[at] + this.#sums[at + 1], squares);
      this.#shift(row, 2);
      this.#rows = Math.max(this.#rows, row + 2);
    }
  }

  /** Count, sum and squared deviations of the whole window, the oldest first. */
  #total(): void {
    this.#n = 0;
    this.#sum = 0;
    this.#spread = 0;
    for (let row = this.#rows - 1; row >= 0; row--) {
      const size = 2 ** row;
      for (let at = row * SLOTS; at < row * SLOTS + this.#used[row]; at++) {
        if (this.#n > 0) {
          const apart = this.#sums[at] / size - this.#sum / this.#n;
          this.#spread += (apart * apart * size * this.#n) / (size + this.#n);
        }
        this.#spread += this.#squares[at];
        this.#n += size;
        this.#sum += this.#sums[at];
      }
    }
  }

  /** 0: no two parts differ; else the sign of newer - older at the first cut where they do. */
  #cut(): number {
    const { delta, range, least } = this.#options;
    const n = this.#n;
    if (n < 2 * least) return 0;
    const log = Math.log((2 * Math.log(n)) / delta);
    const variance = this.#spread / n;
    let older = 0;
    let sum = 0;
    for (let row = this.#rows - 1; row >= 0; row--) {
      for (let at = row * SLOTS; at < row * SLOTS + this.#used[row]; at++) {
        older += 2 ** row;
        sum += this.#sums[at];
        const newer = n - older;
        if (newer < least) return 0;
        if (older < least) continue;
        const inverse = 1 / older + 1 / newer;
        const bound = Math.sqrt(2 * inverse * variance * log) + (2 / 3) * inverse * range * log;
        const apart = (this.#sum - sum) / newer - sum / older;
        if (Math.abs(apart) > bound) return Math.sign(apart);
      }
    }
    return 0;
  }

  #dropOldest(): void {
    let row = this.#rows - 1;
    while (row > 0 && this.#used[row] === 0) row--;
    this.#shift(row, 1);
    while (row > 0 && this.#used[row] === 0) row--;
    this.#rows = row + 1;
    this.#total();
  }
}

export const adwin = defineDetector({
  name: 'adwin',
  summary:
    'Adaptive windowing: keeps as long a window as its values agree, and tells when it drops the older part. No unit to choose but the range; slow for rare errors.',
  options,
  state,
  open: (given, saved) => new Adwin(given, saved),
});
