/**
 * Latency percentiles in constant memory: a histogram with logarithmic buckets, 5 % wide, from 1 us to
 * about 20 minutes. A percentile is the upper edge of its bucket, so it is never told too small.
 */
const RATIO = Math.log(1.05);
const FIRST_MS = 0.001;
const BUCKETS = 432;

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #total = 0;

  /** What is below the first bucket, or no number, counts as the first; what is above the last, as the last. */
  add(ms: number): void {
    const bucket = ms > FIRST_MS ? Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / FIRST_MS) / RATIO)) : 0;
    this.#counts[bucket] += 1;
    this.#total += 1;
  }

  get count(): number {
    return this.#total;
  }

  /** `q` in (0, 1]; 0 where nothing was added. Milliseconds. */
  percentile(q: number): number {
    if (this.#total === 0) return 0;
    let left = Math.ceil(this.#total * q);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket];
      if (left <= 0) return Number((FIRST_MS * Math.exp(RATIO * bucket)).toPrecision(3));
    }
    return 0;
  }

  summary(): Percentiles {
    return { p50: this.percentile(0.5), p95: this.percentile(0.95), p99: this.percentile(0.99) };
  }

  merge(other: LatencyHistogram): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#counts[bucket] += other.#counts[bucket];
    this.#total += other.#total;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }
}
