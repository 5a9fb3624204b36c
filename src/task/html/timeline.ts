/**
 * Accuracy along a stream of any length, and beside it that of two classifiers that know nothing: the last label
 * again, and the most frequent label so far. Memory is constant: counts lie in at most 1,000 stretches of equally
 * many events; when these are full, neighbours are joined and stretches are twice as long from then on.
 */

const STRETCHES = 1_000;
/** The window is about so large a part of the stream, and at least so many events. */
const WINDOW_SHARE = 0.03;
const LEAST_WINDOW = 50;

/** The window that ends with event `at`: shares of right answers. */
export interface Moment {
  /** Index of its last event in the stream. */
  readonly at: number;
  readonly accuracy: number;
  readonly noChange: number;
  readonly majority: number;
}

const SERIES = ['tested', 'right', 'same', 'frequent'] as const;

export class Timeline {
  readonly #counts = Object.fromEntries(
    SERIES.map((name) => [name, new Float64Array(STRETCHES)]),
  ) as unknown as Readonly<Record<(typeof SERIES)[number], Float64Array>>;
  /** Index of the last event of each stretch. */
  readonly #ends = new Float64Array(STRETCHES);
  readonly #truths: Float64Array;
  #width = 1;
  #stretch = 0;
  #last = -1;
  #frequent = -1;
  tested = 0;
  first = -1;

  constructor(labels: number) {
    this.#truths = new Float64Array(labels);
  }

  /** `index` of the event in the stream, rising. */
  add(index: number, truth: number, predicted: number): void {
    if (this.#counts.tested[this.#stretch] === this.#width) this.#next();
    const at = this.#stretch;
    if (this.first < 0) this.first = index;
    this.tested += 1;
    this.#counts.tested[at] += 1;
    if (truth === predicted) this.#counts.right[at] += 1;
    if (truth === this.#last) this.#counts.same[at] += 1;
    if (truth === this.#frequent) this.#counts.frequent[at] += 1;
    this.#ends[at] = index;
    this.#last = truth;
    this.#truths[truth] += 1;
    if (this.#frequent < 0 || this.#truths[truth] > this.#truths[this.#frequent]) this.#frequent = truth;
  }

  #next(): void {
    this.#stretch += 1;
    if (this.#stretch < STRETCHES) return;
    const half = STRETCHES / 2;
    for (const name of SERIES) {
      const counts = this.#counts[name];
      for (let i = 0; i < half; i++) counts[i] = counts[2 * i] + counts[2 * i + 1];
      counts.fill(0, half);
    }
    for (let i = 0; i < half; i++) this.#ends[i] = this.#ends[2 * i + 1];
    this.#stretch = half;
    this.#width *= 2;
  }

  /** Stretches of one window. */
  get #span(): number {
    return Math.ceil(Math.max(LEAST_WINDOW, WINDOW_SHARE * this.tested) / this.#width);
  }

  /** Events of one window (the first ones are shorter). */
  get window(): number {
    return Math.min(this.tested, this.#span * this.#width);
  }

  /** The window after each stretch, from that where it is a quarter full. At most 1,000. */
  moments(): Moment[] {
    const sums = { tested: 0, right: 0, same: 0, frequent: 0 };
    const moments: Moment[] = [];
    const span = this.#span;
    for (let at = 0; at < STRETCHES && this.#counts.tested[at] > 0; at++) {
      for (const name of SERIES) {
        sums[name] += this.#counts[name][at] - (at >= span ? this.#counts[name][at - span] : 0);
      }
      if (4 * sums.tested < this.window) continue;
      const share = (n: number) => n / sums.tested;
      moments.push({
        at: this.#ends[at],
        accuracy: share(sums.right),
        noChange: share(sums.same),
        majority: share(sums.frequent),
      });
    }
    return moments;
  }
}
