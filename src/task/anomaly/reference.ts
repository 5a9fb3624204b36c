/**
 * What is normal for a group of columns: a Gaussian with a full covariance, and a sample of past rows in the space that
 * it whitens. Promises: one pass, constant memory and time for a row, the same state for the same rows; a row that is far
 * off teaches ODD_WEIGHT of what others do, so that a fault does not become normal before it has lasted long.
 *
 * Distances: squared Mahalanobis distance to the decayed mean (Hotelling 1931; the correlations shrunk towards none, as
 * Ledoit & Wolf 2004 do) and, in the whitened space, to the NEIGHBOURth nearest of a reservoir (Vitter 1985; distance to
 * the k-th neighbour: Ramaswamy, Rastogi & Shim 2000), which does not take the gap between two ways of running for
 * normal. The weights of odd rows are those of a redescending M-estimator of location and scatter (Maronna 1976) with two
 * steps.
 */

/** Rows that mean and covariance remember: beyond it the older count less and less. */
const MEMORY = 10_000;
/** Distance per column, 1 on average, above which a row counts as odd; and what it teaches then. */
const ODD = 2;
const ODD_WEIGHT = 0.03;
/** The first rows teach whatever they are. */
const TRUSTED = 100;
/** Of the correlations, how much is taken for chance; and rows that none of them is worth as many as. */
const RIDGE = 0.01;
const PRIOR = 10;
/** Standard deviations that a value is off at most: what never changed has none of its own. */
const FARTHEST = 1e6;
/** Larger values are none. */
const LARGEST = 1e100;
/** Rows between two factorisations of the covariance, once there are many. */
const REFACTOR = 8;
const EXEMPLARS = 64;
const NEIGHBOUR = 3;

const triangle = (size: number): number => (size * (size + 1)) / 2;

/** Weight of the rows learned; rows offered to the sample. */
const HEAD = 2;

export class Reference {
  /** Numbers of the state of a group of so many columns. */
  static stateSize(size: number): number {
    return HEAD + 2 * size + triangle(size) + EXEMPLARS * size;
  }

  readonly #size: number;
  /** Everything that is saved: a view for each part. */
  readonly #head: Float64Array;
  /** By column how often it had a value, at most 1. */
  readonly #met: Float64Array;
  readonly #mean: Float64Array;
  /** Lower triangle by rows, as is the factor. */
  readonly #covariance: Float64Array;
  readonly #sample: Float64Array;
  // Derived from it.
  readonly #factor: Float64Array;
  readonly #scale: Float64Array;
  /** The sample, whitened; one of it anew with every row. */
  readonly #whitened: Float64Array;
  #turn = 0;
  #since = REFACTOR;
  // Of the row that was looked at last.
  readonly #row: Float64Array;
  readonly #white: Float64Array;
  readonly #nearest = new Float64Array(NEIGHBOUR);
  #square = 0;

  /** `state` of `stateSize(size)` numbers, zeros for a beginner; it is written to. */
  constructor(size: number, state: Float64Array) {
    let at = 0;
    const take = (count: number): Float64Array => {
      at += count;
      return state.subarray(at - count, at);
    };
    this.#size = size;
    this.#head = take(HEAD);
    this.#met = take(size);
    this.#mean = take(size);
    this.#covariance = take(triangle(size));
    this.#sample = take(EXEMPLARS * size);
    this.#factor = new Float64Array(triangle(size));
    this.#scale = new Float64Array(size);
    this.#whitened = new Float64Array(EXEMPLARS * size);
    this.#row = new Float64Array(size);
    this.#white = new Float64Array(size);
    if (this.#head[0] > 0) this.#wake();
  }

  /** Rows learned, odd ones counting less. */
  get weight(): number {
    return this.#head[0];
  }

  /**
   * How far off a row is: squared, a sum over its columns of about 1 each. `columns` are the places of its values in `dense`
   * from `from` on; NaN is missing, which is as expected: that it is missing is told elsewhere.
   */
  look(dense: Float32Array, from: number, columns: Int32Array): number {
    const [row, mean, met] = [this.#row, this.#mean, this.#met];
    for (let i = 0; i < this.#size; i += 1) {
      const value = dense[from + columns[i]];
      const known = Math.abs(value) <= LARGEST;
      if (known && met[i] === 0) this.#meet(i, value);
      row[i] = known ? value : mean[i];
    }
    this.#square = 0;
    if (this.#head[0] === 0) return 0;
    if (this.#since >= REFACTOR || this.#head[0] < TRUSTED) this.#factorise();
    this.#square = this.#whiten(row, 0);
    return this.#neighbour();
  }

  /** Learns the row that was looked at last. */
  learn(): void {
    const [head, row, mean, size] = [this.#head, this.#row, this.#mean, this.#size];
    const odd = this.#square > ODD * size && head[0] >= TRUSTED;
    const weight = odd ? ODD_WEIGHT : 1;
    this.#keep(weight);
    head[0] = Math.min(MEMORY, head[0] + weight);
    const rate = weight / head[0];
    const apart = this.#white;
    for (let i = 0; i < size; i += 1) apart[i] = row[i] - mean[i];
    for (let i = 0, at = 0; i < size; i += 1) {
      const step = (1 - rate) * apart[i];
      for (let j = 0; j <= i; j += 1, at += 1)
        this.#covariance[at] += rate * (step * apart[j] - this.#covariance[at]);
    }
    for (let i = 0; i < size; i += 1) mean[i] += rate * apart[i];
    this.#since += 1;
  }

  /** The first value of a column: until now nothing was known of it. */
  #meet(column: number, value: number): void {
    this.#met[column] = 1;
    this.#mean[column] = value;
    for (let e = 0; e < EXEMPLARS; e += 1) this.#sample[e * this.#size + column] = value;
  }

  /** Cholesky factor of the shrunk correlations, and the scales of the columns. */
  #factorise(): void {
    const [size, covariance, factor, scale] = [this.#size, this.#covariance, this.#factor, this.#scale];
    this.#since = 0;
    for (let i = 0; i < size; i += 1) {
      // A millionth of the mean is rounding.
      const least = 1e-12 * this.#mean[i] ** 2 + 1e-290;
      scale[i] = 1 / Math.sqrt(covariance[triangle(i) + i] + least);
    }
    const kept = (1 - RIDGE) * (1 - PRIOR / (this.#head[0] + PRIOR));
    for (let i = 0; i < size; i += 1) {
      const line = triangle(i);
      for (let j = 0; j < i; j += 1) {
        const other = triangle(j);
        let sum = kept * covariance[line + j] * scale[i] * scale[j];
        for (let k = 0; k < j; k += 1) sum -= factor[line + k] * factor[other + k];
        factor[line + j] = sum / factor[other + j];
      }
      let rest = 1;
      for (let k = 0; k < i; k += 1) rest -= factor[line + k] ** 2;
      factor[line + i] = Math.sqrt(Math.max(rest, 1e-9));
    }
  }

  /** Whitens the row at `from` into `#white`; the squared length. */
  #whiten(rows: Float64Array, from: number): number {
    const [size, factor, white] = [this.#size, this.#factor, this.#white];
    let square = 0;
    for (let i = 0, line = 0; i < size; i += 1, line += i) {
      const apart = (rows[from + i] - this.#mean[i]) * this.#scale[i];
      let sum = Math.max(-FARTHEST, Math.min(FARTHEST, apart));
      for (let j = 0; j < i; j += 1) sum -= factor[line + j] * white[j];
      const length = sum / factor[line + i];
      white[i] = length;
      square += length * length;
    }
    return square;
  }

  /** Squared distance to the NEIGHBOURth nearest of the sample, halved: two draws are twice as far apart as one from the mean. */
  #neighbour(): number {
    const [size, sample, white, nearest] = [this.#size, this.#whitened, this.#white, this.#nearest];
    const held = Math.min(EXEMPLARS, this.#head[1]);
    if (held <= NEIGHBOUR) return this.#square;
    nearest.fill(Number.POSITIVE_INFINITY);
    for (let e = 0, at = 0; e < held; e += 1, at += size) {
      const bound = nearest[NEIGHBOUR - 1];
      let square = 0;
      for (let i = 0; i < size && square < bound; i += 1) square += (white[i] - sample[at + i]) ** 2;
      if (square >= bound) continue;
      let place = NEIGHBOUR - 1;
      for (; place > 0 && nearest[place - 1] > square; place -= 1) nearest[place] = nearest[place - 1];
      nearest[place] = square;
    }
    return nearest[NEIGHBOUR - 1] / 2;
  }

  /** Offers the row to the sample, and whitens one of the sample anew. */
  #keep(weight: number): void {
    const [size, head] = [this.#size, this.#head];
    const offered = head[1];
    const full = offered >= EXEMPLARS;
    // Beyond MEMORY the old give way as fast as the covariance forgets them.
    const chance = full ? EXEMPLARS / Math.min(offered + 1, MEMORY) : 1;
    const taken = draw(offered, 1) < weight * chance;
    if (taken) {
      const place = full ? Math.floor(draw(offered, 2) * EXEMPLARS) : offered;
      this.#sample.set(this.#row, place * size);
      this.#refresh(place);
    }
    if (taken || full) head[1] = offered + 1;
    const held = Math.min(EXEMPLARS, offered);
    if (held === 0) return;
    this.#turn = (this.#turn + 1) % held;
    this.#refresh(this.#turn);
  }

  #refresh(place: number): void {
    if (this.#head[0] === 0) return;
    this.#whiten(this.#sample, place * this.#size);
    this.#whitened.set(this.#white, place * this.#size);
  }

  /** What is derived from a restored state. */
  #wake(): void {
    this.#factorise();
    const held = Math.min(EXEMPLARS, this.#head[1]);
    for (let place = 0; place < held; place += 1) this.#refresh(place);
  }
}

/** In [0, 1), by how many came before and what it is for (a finaliser of MurmurHash3). */
function draw(count: number, what: number): number {
  let h = (Math.imul(count | 0, 0x9e3779b1) ^ Math.imul(what, 0x85ebca6b)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}
