/**
 * From distances, whose unit nobody knows, to shares: which part of what came before was less far off. Promises: rising in
 * the distance, below 1, constant memory; counts are in bins of a quarter octave with the older ones fading, and beyond the
 * farthest seen the tail goes on as a power law, so that what was never seen still has an order.
 */

/** From 2^-16 to 2^48 in quarters. */
const LOWEST = -16;
const PER_OCTAVE = 4;
const BINS = 64 * PER_OCTAVE;
/** Distances that count fully; older ones fade. */
const MEMORY = 10_000;
/** Beyond the farthest bin the share above falls by the square of the distance. */
const TAIL = 2;

export class Calibration {
  static readonly stateSize = BINS + 1;

  readonly #counts: Float64Array;
  /** Weight in all, beside the counts. */
  readonly #all: Float64Array;

  /** `state` of `stateSize` numbers, zeros for a beginner; it is written to. */
  constructor(state: Float64Array) {
    this.#counts = state.subarray(0, BINS);
    this.#all = state.subarray(BINS, BINS + 1);
  }

  get weight(): number {
    return this.#all[0];
  }

  /** In [0, 1): the share of distances so far that were smaller. */
  shareBelow(distance: number): number {
    const place = placeOf(distance);
    const bin = Math.floor(place);
    let above = 0;
    let farthest = -1;
    for (let b = BINS - 1; b > bin; b -= 1) {
      above += this.#counts[b];
      if (farthest < 0 && this.#counts[b] > 0.5) farthest = b;
    }
    // Within a bin they lie evenly.
    above += this.#counts[bin] * (1 - (place - bin));
    // What was never seen is worth half of one more.
    const all = this.#all[0] + 1;
    if (farthest >= 0 || this.#counts[bin] > 0.5) return 1 - (above + 0.5) / all;
    let last = bin;
    while (last > 0 && this.#counts[last] <= 0.5) last -= 1;
    const beyond = 2 ** ((place - (last + 1)) / PER_OCTAVE);
    return Math.min(1 - 2 ** -30, 1 - (above + 0.5 * Math.max(beyond, 1) ** -TAIL) / all);
  }

  /** Counts a distance, odd ones with less weight than 1. */
  add(distance: number, weight: number): void {
    this.#counts[Math.floor(placeOf(distance))] += weight;
    this.#all[0] += weight;
    if (this.#all[0] < 2 * MEMORY) return;
    for (let b = 0; b < BINS; b += 1) this.#counts[b] /= 2;
    this.#all[0] /= 2;
  }
}

function placeOf(distance: number): number {
  const place = (Math.log2(Math.max(distance, 2 ** LOWEST)) - LOWEST) * PER_OCTAVE;
  return Math.min(place, BINS - 1e-9);
}
