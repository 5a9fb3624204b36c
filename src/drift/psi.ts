/**
 * Population stability index with thresholds for small samples. The first `reference` values give the bins (their quantiles)
 * and their shares; each following window of `window` values is compared: PSI = sum (p - q) ln(p / q). Without a
 * change PSI / (1/window + 1/reference) is about chi-square with bins - 1 degrees of freedom (Yurdakul & Naranjo 2020), so
 * the threshold follows from the sizes and from `alpha`, the probability of a false alarm of one window. The customary
 * 0.1 and 0.25 know no sample size: they are exceeded by chance in windows of 50 and blind in those of 10,000.
 */
import { z } from 'zod';
import type { Detector } from '../contract.ts';
import { chiSquareQuantile } from './chi-square.ts';
import { count, defineDetector, savedDetector, usable } from './kind.ts';

const MAX_REFERENCE = 100_000;
const MAX_BINS = 100;

const options = z.strictObject({
  alpha: z.number().gt(0).lt(0.5).default(1e-3).describe('Probability of a false alarm of one window.'),
  reference: z
    .number()
    .int()
    .min(50)
    .max(MAX_REFERENCE)
    .default(1_000)
    .describe('Values that make the bins and the shares to compare with.'),
  window: z
    .number()
    .int()
    .min(20)
    .max(1e6)
    .default(200)
    .describe('Values of one window; a test at the end of each.'),
  bins: z
    .number()
    .int()
    .min(2)
    .max(MAX_BINS)
    .default(10)
    .describe('Bins of about equal share; fewer where values repeat or windows are small.'),
});

const state = z
  .strictObject({
    learned: z.array(z.number()).max(MAX_REFERENCE),
    /** Upper edges of all bins but the last, rising. */
    edges: z.array(z.number()).max(MAX_BINS),
    before: z.array(count).max(MAX_BINS),
    now: z.array(count).max(MAX_BINS),
  })
  .refine(
    ({ edges, before, now }) =>
      before.length === now.length &&
      (before.length === 0 ? edges.length === 0 : edges.length === before.length - 1) &&
      edges.every((edge, i) => i === 0 || edge > edges[i - 1]),
    'bins and counts do not belong together',
  );

/** Least expected count of a bin in a window: below, chi-square is a poor approximation. */
const LEAST_EXPECTED = 5;

class Psi implements Detector {
  readonly #options: z.output<typeof options>;
  readonly #learned: Float64Array;
  #size = 0;
  #edges: number[] = [];
  /** Counts by bin; empty while the reference is gathered. */
  #before: number[] = [];
  #now: number[] = [];
  #inWindow = 0;
  #threshold = 0;

  constructor(given: z.output<typeof options>, saved: z.output<typeof state> | null) {
    this.#options = given;
    this.#learned = new Float64Array(given.reference);
    if (!saved) return;
    for (const value of saved.learned.slice(0, given.reference - 1)) this.#learned[this.#size++] = value;
    if (saved.before.length > 0) this.#begin(saved.edges, saved.before, saved.now);
  }

  update(value: number): boolean {
    if (!usable(value)) return false;
    if (this.#before.length === 0) {
      this.#learned[this.#size++] = value;
      if (this.#size === this.#learned.length) this.#makeBins();
      return false;
    }
    this.#now[binOf(this.#edges, value)] += 1;
    this.#inWindow += 1;
    if (this.#inWindow < this.#options.window) return false;
    const told = stabilityIndex(this.#before, this.#now) > this.#threshold;
    this.#inWindow = 0;
    this.#now.fill(0);
    if (told) this.reset();
    return told;
  }

  reset(): void {
    this.#size = 0;
    this.#edges = [];
    this.#before = [];
    this.#now = [];
    this.#inWindow = 0;
  }

  save(): string {
    return savedDetector('psi', this.#options, {
      learned: [...this.#learned.subarray(0, this.#size)],
      edges: this.#edges,
      before: this.#before,
      now: this.#now,
    });
  }

  #makeBins(): void {
    const { window, bins } = this.#options;
    const sorted = this.#learned.slice().sort();
    const most = Math.max(2, Math.min(bins, Math.floor(window / LEAST_EXPECTED)));
    const edges: number[] = [];
    for (let b = 1; b < most; b++) {
      const edge = sorted[Math.ceil((b * sorted.length) / most) - 1];
      // The last value is no edge: nothing would lie above it.
      if (edge < sorted[sorted.length - 1] && edge !== edges[edges.length - 1]) edges.push(edge);
    }
    const counts = new Array<number>(edges.length + 1).fill(0);
    for (const value of sorted) counts[binOf(edges, value)] += 1;
    // One bin only (a constant stream, or nearly): what lies above the constant is the second.
    if (edges.length === 0) {
      edges.push(sorted[sorted.length - 1]);
      counts.push(0);
    }
    this.#size = 0;
    this.#begin(edges, counts, new Array<number>(counts.length).fill(0));
  }

  #begin(edges: number[], before: number[], now: number[]): void {
    const { alpha, reference, window } = this.#options;
    this.#edges = edges;
    this.#before = before;
    this.#now = now;
    this.#inWindow = now.reduce((a, b) => a + b, 0);
    this.#threshold = chiSquareQuantile(alpha, before.length - 1) * (1 / window + 1 / reference);
  }
}

/** A value at an edge belongs below it. */
function binOf(edges: readonly number[], value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value <= edges[middle]) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** PSI of two histograms; half a count more in each bin, so that an empty one stays finite. */
export function stabilityIndex(before: readonly number[], now: readonly number[]): number {
  const bins = before.length;
  let reference = bins / 2;
  let window = bins / 2;
  for (let b = 0; b < bins; b++) {
    reference += before[b];
    window += now[b];
  }
  let sum = 0;
  for (let b = 0; b < bins; b++) {
    const p = (before[b] + 0.5) / reference;
    const q = (now[b] + 0.5) / window;
    sum += (p - q) * Math.log(p / q);
  }
  return sum;
}

export const psi = defineDetector({
  name: 'psi',
  summary:
    'Population stability index of windows against a reference, with thresholds that follow from their sizes and a stated false-alarm probability.',
  options,
  state,
  open: (given, saved) => new Psi(given, saved),
});
