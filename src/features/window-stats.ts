/**
 * The columns that a window gives for one field: where the device stood before, how it moved. Promises: computed from
 * the readings of the window alone, each time anew, so that nothing drifts and nothing depends on how the readings came; a
 * statistic that the window is too short for is missing (NaN); time counts in seconds. Values that are spikes against
 * the window itself take no part where spikes are looked for. Averages are taken of distances from the newest value:
 * what never moves departs from its average by exactly 0, not by a rounding that a model would bring to unit size.
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
  /** By half-life in readings what the k-th reading before the newest counts, and what the newest k count together. */
  readonly #powers: readonly Float64Array[];
  readonly #weights: readonly Float64Array[];
  readonly #wantsMean: boolean;
  readonly #wantsTimes: boolean;
  readonly #names: readonly string[];
  readonly #values: Float64Array;
  readonly #times: Float64Array;
  readonly #scratch: Float64Array;
  #count = 0;
  /** Of the last field looked at: what is no spike lies between. */
  low = Number.NEGATIVE_INFINITY;
  high = Number.POSITIVE_INFINITY;

  constructor(windows: DeviceWindows, stats: readonly WindowStat[], halves: readonly HalfLife[]) {
    this.#windows = windows;
    this.#stats = stats;
    this.#halves = halves;
    this.#names = stats.flatMap((stat) =>
      stat === 'ewma' || stat === 'departure' ? halves.map(({ name }) => `${stat} ${name}`) : [stat],
    );
    const { count } = windows.bounds;
    this.#powers = halves.map(({ readings }) => powersOf(0.5 ** (1 / Math.max(readings, 1e-9)), count));
    this.#weights = this.#powers.map(sumsOf);
    this.#wantsTimes = stats.includes('slope') || halves.some(({ ms }) => ms > 0);
    this.#wantsMean = stats.some((stat) => stat === 'mean' || stat === 'deviation' || stat === 'slope');
    this.#values = new Float64Array(count);
    this.#times = new Float64Array(count);
    this.#scratch = new Float64Array(count);
  }

  /** The columns of a field, in the order of `write`. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Looks at a field; `spike`: deviations that are too many, 0: none are. */
  look(field: number, spike: number): void {
    this.#count = this.#windows.gather(field, this.#values, this.#wantsTimes ? this.#times : null);
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
    const some = this.#scratch.subarray(0, this.#count);
    some.set(this.#values.subarray(0, this.#count));
    const median = medianOf(some);
    let sum = 0;
    for (let i = 0; i < some.length; i += 1) {
      some[i] = Math.abs(some[i] - median);
      sum += some[i];
    }
    const spread = FROM_MEDIAN * medianOf(some) || (FROM_MEAN * sum) / some.length;
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
    const mean = this.#wantsMean ? this.#mean() : 0;
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
    const last = this.last;
    let sum = 0;
    for (let i = 0; i < this.#count; i += 1) sum += this.#values[i] - last;
    return last + sum / this.#count;
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

  /** The newest counts 1, each one before it less. Four sums side by side: one alone would wait for itself. */
  #byReadings(half: number): number {
    const [values, powers, n] = [this.#values, this.#powers[half], this.#count];
    if (n === 0) return Number.NaN;
    const last = values[n - 1];
    let [a, b, c, d] = [0, 0, 0, 0];
    let i = 0;
    for (; i + 3 < n; i += 4) {
      a += (values[n - 1 - i] - last) * powers[i];
      b += (values[n - 2 - i] - last) * powers[i + 1];
      c += (values[n - 3 - i] - last) * powers[i + 2];
      d += (values[n - 4 - i] - last) * powers[i + 3];
    }
    for (; i < n; i += 1) a += (values[n - 1 - i] - last) * powers[i];
    return last + (a + b + (c + d)) / this.#weights[half][n];
  }

  /** Each value counts by its age: half after so many ms. */
  #byTime(ms: number): number {
    if (this.#count === 0) return Number.NaN;
    const last = this.last;
    let [sum, weight, before] = [0, 0, this.#times[0]];
    for (let i = 0; i < this.#count; i += 1) {
      const keep = 0.5 ** ((this.#times[i] - before) / ms);
      sum = sum * keep + (this.#values[i] - last);
      weight = weight * keep + 1;
      before = this.#times[i];
    }
    return last + sum / weight;
  }
}

function powersOf(keep: number, count: number): Float64Array {
  const powers = new Float64Array(count);
  for (let k = 0, power = 1; k < count; k += 1, power *= keep) powers[k] = power;
  return powers;
}

function sumsOf(powers: Float64Array): Float64Array {
  const sums = new Float64Array(powers.length + 1);
  for (let k = 0; k < powers.length; k += 1) sums[k + 1] = sums[k] + powers[k];
  return sums;
}

/** Changes the order of the numbers. Quickselect (Hoare 1961): to sort them all would cost several times as much. */
function medianOf(numbers: Float64Array): number {
  const half = numbers.length >> 1;
  const upper = select(numbers, half);
  if (numbers.length % 2 === 1) return upper;
  let lower = numbers[0];
  for (let i = 1; i < half; i += 1) if (numbers[i] > lower) lower = numbers[i];
  return (lower + upper) / 2;
}

/** The k-th smallest; those before place k are not larger, afterwards. */
function select(numbers: Float64Array, k: number): number {
  let [low, high] = [0, numbers.length - 1];
  while (low < high) {
    const pivot = numbers[(low + high) >> 1];
    let [i, j] = [low, high];
    while (i <= j) {
      while (numbers[i] < pivot) i += 1;
      while (numbers[j] > pivot) j -= 1;
      if (i > j) break;
      const swapped = numbers[i];
      numbers[i] = numbers[j];
      numbers[j] = swapped;
      i += 1;
      j -= 1;
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else break;
  }
  return numbers[k];
}
