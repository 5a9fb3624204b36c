/**
 * ROC and precision-recall curves in constant memory: scores are counted in bins so fine near 0 and 1 that a curve
 * drawn from them is the curve. A linear grid would not do: a good filter puts nearly every score within a
 * millionth of 0 or 1, and its whole curve lies there.
 *
 * A bin is a score's distance from the nearer end of [0, 1], read as a 32-bit float and cut to its exponent and
 * a few bits of its mantissa:
 *
 *     0 ──┤ 2^-64 … 2^-1: by octaves of p ├── 0.5 ──┤ 2^-1 … 2^-25: by octaves of 1 - p ├── 1
 *
 * Scores in one bin count as equal.
 */
import type { Point } from './scale.ts';

/** Exponent fields (biased by 127) of 2^-64, 2^-1 and 2^-25, below which 1 - p of a 32-bit p is 0. */
const LOWEST = 63;
const HALF = 126;
const NEAREST = 101;
/** All octaves of both sides. */
const OCTAVES = HALF - LOWEST + (HALF - NEAREST);
/** Bins of all labels together. */
const MAX_BINS = 2 ** 20;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** How many bits of the mantissa bins of `curves` curves may keep: 64 bins an octave, fewer with many labels. */
export function precisionFor(curves: number): number {
  return Math.max(0, Math.min(6, Math.floor(Math.log2(MAX_BINS / (curves * OCTAVES)))));
}

/** A place on a curve: events with a score from `threshold` up. */
export interface Place {
  readonly threshold: number;
  readonly hits: number;
  readonly alarms: number;
}

/** The scores of one label against all others. */
export class ScoreBins {
  readonly #shift: number;
  readonly #precision: number;
  readonly #top: number;
  readonly #half: number;
  readonly #hits: Float64Array;
  readonly #alarms: Float64Array;
  hits = 0;
  alarms = 0;

  constructor(precision = 6) {
    this.#precision = precision;
    this.#shift = 23 - precision;
    this.#half = (HALF - LOWEST) << precision;
    this.#top = this.#half + 1 + ((HALF - NEAREST) << precision);
    this.#hits = new Float64Array(this.#top + 1);
    this.#alarms = new Float64Array(this.#top + 1);
  }

  /** `score` from 0 to 1; what is none counts as the lowest. `hit`: the event is of this label. */
  add(score: number, hit: boolean): void {
    const bin = this.#bin(score);
    if (hit) {
      this.#hits[bin] += 1;
      this.hits += 1;
    } else {
      this.#alarms[bin] += 1;
      this.alarms += 1;
    }
  }

  #bin(score: number): number {
    if (!(score > 0)) return 0;
    if (score >= 1) return this.#top;
    float[0] = score <= 0.5 ? score : 1 - score;
    const key = bits[0] >>> this.#shift;
    if (score <= 0.5) return Math.max(0, key - (LOWEST << this.#precision));
    return this.#top - Math.max(0, key - (NEAREST << this.#precision));
  }

  /** The least score of a bin. */
  #least(bin: number): number {
    if (bin === 0) return 0;
    const low = bin <= this.#half;
    if (!low && bin === this.#top) return 1;
    const key = low ? bin + (LOWEST << this.#precision) : this.#top - bin + 1 + (NEAREST << this.#precision);
    bits[0] = key << this.#shift;
    return low ? float[0] : 1 - float[0];
  }

  /** From the highest threshold down, one for each bin with events; before them the place where nothing is found. */
  places(): Place[] {
    const places: Place[] = [{ threshold: 1, hits: 0, alarms: 0 }];
    let [hits, alarms] = [0, 0];
    for (let bin = this.#top; bin >= 0; bin--) {
      if (this.#hits[bin] + this.#alarms[bin] === 0) continue;
      hits += this.#hits[bin];
      alarms += this.#alarms[bin];
      places.push({ threshold: this.#least(bin), hits, alarms });
    }
    return places;
  }

  /** False-positive rate (x) and true-positive rate (y), both rising; [] unless both kinds occur. */
  roc(): Point[] {
    if (this.hits === 0 || this.alarms === 0) return [];
    return this.places().map(({ hits, alarms }) => [alarms / this.alarms, hits / this.hits]);
  }

  /**
   * Recall (x, rising) and precision (y) as steps: from one threshold to the next the precision is that of the
   * lower one, so that the area is the average precision. [] where the label never occurs.
   */
  precisionRecall(): Point[] {
    if (this.hits === 0) return [];
    const points: Point[] = [];
    let recall = 0;
    for (const { hits, alarms } of this.places().slice(1)) {
      const precision = hits / (hits + alarms);
      points.push([recall, precision], [hits / this.hits, precision]);
      recall = hits / this.hits;
    }
    return points;
  }
}

/** Area under points of rising x. */
export function area(points: readonly Point[]): number {
  let sum = 0;
  for (let i = 1; i < points.length; i++) {
    const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
    sum += ((x1 - x0) * (y0 + y1)) / 2;
  }
  return sum;
}
