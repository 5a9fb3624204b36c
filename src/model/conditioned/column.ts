/**
 * What a model learns of one dense column: mean and deviation of all its values (Welford 1962), and the last 512 of
 * them in order, from which median, quartiles, least and most are read. Promises: the same values in the same order give
 * the same bits; memory and time a value are bounded; a statistic of no value is NaN. Only sums, products and square
 * roots: every machine gives the same.
 *
 * A window of values and no sketch: exact, simple, and it forgets what a drift has made untrue.
 */

/** Values that the quantiles are of. */
export const KEPT = 512;
/** Fewer say too little of quartiles to cut anything off. */
const ENOUGH = 10;

export interface ColumnNumbers {
  readonly count: number;
  readonly mean: number;
  readonly squares: number;
  /** Oldest first. */
  readonly kept: Float64Array;
}

export class ColumnStats {
  #count = 0;
  #mean = 0;
  #squares = 0;
  readonly #ordered: boolean;
  // A ring in order of time, and the same values in order of size.
  readonly #ring: Float64Array;
  readonly #sorted: Float64Array;

  /** `ordered`: whether quantiles are wanted. */
  constructor(ordered: boolean) {
    this.#ordered = ordered;
    this.#ring = new Float64Array(ordered ? KEPT : 0);
    this.#sorted = new Float64Array(ordered ? KEPT : 0);
  }

  get bytes(): number {
    return this.#ring.byteLength + this.#sorted.byteLength + 64;
  }

  /** NaN and infinities are passed over. */
  add(value: number): void {
    if (!(value - value === 0)) return;
    if (this.#ordered) this.#order(value);
    this.#count += 1;
    const delta = value - this.#mean;
    this.#mean += delta / this.#count;
    this.#squares += delta * (value - this.#mean);
  }

  #order(value: number): void {
    const place = this.#count % KEPT;
    let size = Math.min(this.#count, KEPT);
    if (size === KEPT) {
      const gone = lowerBound(this.#sorted, size, this.#ring[place]);
      this.#sorted.copyWithin(gone, gone + 1, size);
      size -= 1;
    }
    const at = lowerBound(this.#sorted, size, value);
    this.#sorted.copyWithin(at + 1, at, size);
    this.#sorted[at] = value;
    this.#ring[place] = value;
  }

  get #size(): number {
    return Math.min(this.#count, KEPT);
  }

  get mean(): number {
    return this.#count > 0 ? this.#mean : Number.NaN;
  }

  /** Root of the mean square distance from the mean. */
  get deviation(): number {
    return this.#count > 0 ? Math.sqrt(this.#squares / this.#count) : Number.NaN;
  }

  get least(): number {
    return this.#size > 0 ? this.#sorted[0] : Number.NaN;
  }

  get most(): number {
    return this.#size > 0 ? this.#sorted[this.#size - 1] : Number.NaN;
  }

  get median(): number {
    return this.quantile(0.5);
  }

  /** Between the quartiles. */
  get range(): number {
    return this.quantile(0.75) - this.quantile(0.25);
  }

  /** Whether outliers can be told. */
  get settled(): boolean {
    return this.#count >= ENOUGH;
  }

  /** Linear between the two values nearest to it. */
  quantile(share: number): number {
    const size = this.#size;
    if (size === 0) return Number.NaN;
    const place = share * (size - 1);
    const low = Math.floor(place);
    const high = Math.min(size - 1, low + 1);
    return this.#sorted[low] + (place - low) * (this.#sorted[high] - this.#sorted[low]);
  }

  save(): ColumnNumbers {
    const size = this.#ordered ? this.#size : 0;
    const first = this.#count > KEPT ? this.#count % KEPT : 0;
    const kept = Float64Array.from({ length: size }, (_, i) => this.#ring[(first + i) % KEPT]);
    return { count: this.#count, mean: this.#mean, squares: this.#squares, kept };
  }

  /** False, changing nothing, where these cannot be of such a column. */
  restore({ count, mean, squares, kept }: ColumnNumbers): boolean {
    const size = this.#ordered ? Math.min(count, KEPT) : 0;
    if (!(Number.isSafeInteger(count) && count >= 0) || kept.length !== size) return false;
    for (let i = 0; i < kept.length; i += 1) this.#ring[(count - kept.length + i) % KEPT] = kept[i];
    this.#sorted.set(kept);
    this.#sorted.subarray(0, kept.length).sort();
    [this.#count, this.#mean, this.#squares] = [count, mean, squares];
    return true;
  }
}

/** The first place whose value is not below. */
function lowerBound(sorted: Float64Array, size: number, value: number): number {
  let [low, high] = [0, size];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
