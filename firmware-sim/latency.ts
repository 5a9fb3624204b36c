/**
 * Percentiles of times in a fixed 4 KiB: a histogram with logarithmic buckets, as HdrHistogram and
 * Prometheus's native histograms do it. 16 buckets an octave, so a value is off by at most 2.2 %.
 */
const PER_OCTAVE = 16;
/** Smallest time told apart, ms. */
const FLOOR = 0.01;
/** 0.01 ms * 2^32 is 12 hours. */
const BUCKETS = 32 * PER_OCTAVE;

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

export class LatencyHistogram {
  readonly #buckets = new Float64Array(BUCKETS);
  #count = 0;

  /** `ms` may be anything; what is below the floor counts as the floor. */
  add(ms: number): void {
    const bucket = ms > FLOOR ? Math.floor(Math.log2(ms / FLOOR) * PER_OCTAVE) : 0;
    this.#buckets[Math.min(BUCKETS - 1, bucket)] += 1;
    this.#count += 1;
  }

  /** The value that a fraction q of all times stay below; NaN while empty. */
  quantile(q: number): number {
    if (this.#count === 0) return Number.NaN;
    let left = q * this.#count;
    let bucket = 0;
    while (bucket < BUCKETS - 1) {
      left -= this.#buckets[bucket];
      if (left <= 0) break;
      bucket += 1;
    }
    // The geometric middle of the bucket.
    return FLOOR * 2 ** ((bucket + 0.5) / PER_OCTAVE);
  }

  percentiles(): Percentiles {
    const rounded = (q: number): number => Math.round(this.quantile(q) * 100) / 100;
    return { p50: rounded(0.5), p95: rounded(0.95), p99: rounded(0.99) };
  }
}
