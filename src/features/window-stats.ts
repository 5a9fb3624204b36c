/**
 * The columns that a window gives for one field: where the device stood before, how it moved. Promises: computed from
 * the readings of the window alone, each time anew, so that nothing drifts and nothing depends on how the readings came; a
 * statistic that the window is too short for is missing (NaN); time counts in seconds. Values that are spikes against
 * the window itself take no part where spikes are looked for.
 */
import type { DeviceWindows } from './windows.ts';

export const WINDOW_STATS = [
  'lag',
  'difference',
  'mean',
  'deviation',
  'min',
  'max',
  'slope',
  'ewma',
  'departure',
] as const;

export type WindowStat = (typeof WINDOW_STATS)[number];

/** A half-life: in readings, or in ms. */
export interface HalfLife {
  readonly name: string;
  readonly readings: number;
  readonly ms: number;
}

/** Fewer readings show no spread to judge a spike by. */
const ENOUGH = 8;
/** Makes the median absolute deviation, and the mean one, of normal numbers their standard deviation. */
const FROM_MEDIAN = 1.4826;
const FROM_MEAN = 1.2533;

export class WindowStats {
  readonly #windows: DeviceWindows;
  readonly #stats: readonly WindowStat[];
  readonly #halves: readonly HalfLife[];
  /** What is left of a weight one reading later. */
  readonly #keeps: readonly number[];
  readonly #names: readonly string[];
  readonly #values: Float64Array;
  readonly #times: Float64Array;
  readonly #sorted: Float64Array;
  #count = 0;
  /** Of the last field looked at: what is no spike lies between. */
  low = Number.NEGATIVE_INFINITY;
  high = Number.POSITIVE_INFINITY;

  constructor(windows: DeviceWindows, stats: readonly WindowStat[], halves: readonly HalfLife[]) {
    this.#windows = windows;
    this.#stats = stats;
    this.#halves = halves;
    this.#keeps = halves.map(({ readings }) => 0.5 ** (1 / readings));
    this.#names = stats.flatMap((stat) =>
      stat === 'ewma' || stat === 'departure' ? halves.map(({ name }) => `${stat} ${name}`) : [stat],
    );
    const { count } = windows.bounds;
    this.#values = new Float64Array(count);
    this.#times = new Float64Array(count);
    this.#sorted = new Float64Array(count);
  }

  /** The columns of a field, in the order of `write`. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Looks at a field; `spike`: deviations that are too many, 0: none are. */
  look(field: number, spike: number): void {
    this.#count = this.#windows.gather(field, this.#values, this.#times);
    this.low = Number.NEGATIVE_INFINITY;
    this.high = Number.POSITIVE_INFINITY;
    if (spike > 0 && this.#count >= ENOUGH) this.#bound(spike);
  }

  /** The newest known value, NaN where there is none. */
  get last(): number {
    return this.#count > 0 ? this.#values[this.#count - 1] : Number.NaN;
  }

  /** Whether the newest `n` readings with a value all have this one. */
  isStuck(value: number, n: number): boolean {
    if (this.#count < n) return false;
    for (let i = this.#count - n; i < this.#count; i += 1) if (this.#values[i] !== value) return false;
    return true;
  }

  /** Median and spread (Hampel); what lies outside is left out of the window. */
  #bound(spike: number): void {
    const sorted = this.#sorted.subarray(0, this.#count);
    sorted.set(this.#values.subarray(0, this.#count));
    const median = medianOf(sorted.sort());
    let sum = 0;
    for (let i = 0; i < sorted.length; i += 1) {
      sorted[i] = Math.abs(sorted[i] - median);
      sum += sorted[i];
    }
    const spread = FROM_MEDIAN * medianOf(sorted.sort()) || (FROM_MEAN * sum) / sorted.length;
    if (!(spread > 0)) return; // what never moved may begin to
    this.low = median - spike * spread;
    this.high = median + spike * spread;
    let n = 0;
    for (let i = 0; i < this.#count; i += 1) {
      if (this.#values[i] < this.low || this.#values[i] > this.high) continue;
      this.#values[n] = this.#values[i];
      this.#times[n] = this.#times[i];
      n += 1;
    }
    this.#count = n;
  }

  /** The columns of the field last looked at, from `at` on; `value`: the current one, NaN where missing. */
  write(value: number, out: Float64Array, at: number): void {
    let column = at;
    const mean = this.#mean();
    for (const stat of this.#stats) {
      if (stat === 'ewma' || stat === 'departure') {
        for (let half = 0; half < this.#halves.length; half += 1) {
          const { ms } = this.#halves[half];
          const average = ms > 0 ? this.#byTime(ms) : this.#byReadings(half);
          out[column] = stat === 'ewma' ? average : value - average;
          column += 1;
        }
        continue;
      }
      out[column] = this.#one(stat, value, mean);
      column += 1;
    }
  }

  #one(stat: WindowStat, value: number, mean: number): number {
    switch (stat) {
      case 'lag':
        return this.last;
      case 'difference':
        return value - this.last;
      case 'mean':
        return mean;
      case 'deviation':
        return this.#deviation(mean);
      case 'min':
        return this.#extreme(-1);
      case 'max':
        return this.#extreme(1);
      default:
        return this.#slope(mean);
    }
  }

  #mean(): number {
    let sum = 0;
    for (let i = 0; i < this.#count; i += 1) sum += this.#values[i];
    return this.#count > 0 ? sum / this.#count : Number.NaN;
  }

  #deviation(mean: number): number {
    if (this.#count < 2) return Number.NaN;
    let squares = 0;
    for (let i = 0; i < this.#count; i += 1) squares += (this.#values[i] - mean) ** 2;
    return Math.sqrt(squares / this.#count);
  }

  #extreme(sign: 1 | -1): number {
    if (this.#count === 0) return Number.NaN;
    let most = this.#values[0];
    for (let i = 1; i < this.#count; i += 1) if (sign * this.#values[i] > sign * most) most = this.#values[i];
    return most;
  }

  /** Least squares, a second. */
  #slope(mean: number): number {
    if (this.#count < 2) return Number.NaN;
    const start = this.#times[0];
    let middle = 0;
    for (let i = 0; i < this.#count; i += 1) middle += this.#times[i] - start;
    middle /= this.#count;
    let [cross, square] = [0, 0];
    for (let i = 0; i < this.#count; i += 1) {
      const time = this.#times[i] - start - middle;
      cross += time * (this.#values[i] - mean);
      square += time * time;
    }
    return square > 0 ? (1_000 * cross) / square : Number.NaN;
  }

  #byReadings(half: number): number {
    if (this.#count === 0) return Number.NaN;
    const keep = this.#keeps[half];
    let [sum, weight] = [0, 0];
    for (let i = 0; i < this.#count; i += 1) {
      sum = sum * keep + this.#values[i];
      weight = weight * keep + 1;
    }
    return sum / weight;
  }

  /** Each value counts by its age: half after so many ms. */
  #byTime(ms: number): number {
    if (this.#count === 0) return Number.NaN;
    let [sum, weight, before] = [0, 0, this.#times[0]];
    for (let i = 0; i < this.#count; i += 1) {
      const keep = 0.5 ** ((this.#times[i] - before) / ms);
      sum = sum * keep + this.#values[i];
      weight = weight * keep + 1;
      before = this.#times[i];
    }
    return sum / weight;
  }
}

function medianOf(sorted: Float64Array): number {
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
