/**
 * Kolmogorov-Smirnov windowing (Raab, Heusinger & Schleif 2020): the newest `recent` values against as many drawn from the
 * older part of a sliding window; a distance above sqrt(-ln(alpha) / recent) is told, and the window goes on with the newest
 * values. Sees changes of shape, not of level alone. `alpha` holds for one test; tests overlap, so that the rate of
 * false alarms over a stream is not stated. Drawing is seeded and part of the saved state.
 */
import { z } from 'zod';
import type { Detector } from '../contract.ts';
import { defineDetector, savedDetector, usable } from './kind.ts';
import { SavedRandom } from './random.ts';

const MAX_WINDOW = 10_000;

const options = z
  .strictObject({
    alpha: z.number().gt(0).lt(0.5).default(1e-4).describe('Probability of a false alarm of one test.'),
    window: z.number().int().min(20).max(MAX_WINDOW).default(100).describe('Values kept.'),
    recent: z
      .number()
      .int()
      .min(5)
      .max(MAX_WINDOW / 2)
      .default(30)
      .describe('Newest values compared, at most half of the window.'),
    every: z.number().int().min(1).max(MAX_WINDOW).default(1).describe('A test every so many values.'),
    seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(1).describe('Of the drawn sample.'),
  })
  .refine(({ window, recent }) => recent * 2 <= window, {
    path: ['recent'],
    message: 'must be at most half of `window`',
  });

const state = z.strictObject({
  values: z.array(z.number()).max(MAX_WINDOW),
  wait: z.number().int().min(0).max(MAX_WINDOW),
  random: z.number().int().min(0).max(0xffffffff),
});

class Kswin implements Detector {
  readonly #options: z.output<typeof options>;
  readonly #distance: number;
  /** A ring: the oldest value is at #head once it is full. */
  readonly #ring: Float64Array;
  readonly #recent: Float64Array;
  readonly #drawn: Float64Array;
  /** Indices of the older part, shuffled in part at each draw; always a permutation. */
  readonly #order: Uint32Array;
  readonly #random: SavedRandom;
  #head = 0;
  #size = 0;
  #wait = 0;

  constructor(given: z.output<typeof options>, saved: z.output<typeof state> | null) {
    const { window, recent, alpha, seed } = given;
    this.#options = given;
    this.#distance = Math.sqrt(-Math.log(alpha) / recent);
    this.#ring = new Float64Array(window);
    this.#recent = new Float64Array(recent);
    this.#drawn = new Float64Array(recent);
    this.#order = new Uint32Array(window - recent);
    this.#random = new SavedRandom(seed);
    if (!saved) return;
    for (const value of saved.values.slice(-window)) this.#push(value);
    this.#wait = saved.wait;
    this.#random.state = saved.random;
  }

  update(value: number): boolean {
    if (!usable(value)) return false;
    this.#push(value);
    if (this.#size < this.#ring.length) return false;
    this.#wait += 1;
    if (this.#wait < this.#options.every) return false;
    this.#wait = 0;
    this.#draw();
    if (distance(this.#recent, this.#drawn) <= this.#distance) return false;
    this.#keepRecent();
    return true;
  }

  reset(): void {
    this.#head = 0;
    this.#size = 0;
    this.#wait = 0;
  }

  save(): string {
    const values = Array.from({ length: this.#size }, (_, i) => this.#at(i));
    return savedDetector('kswin', this.#options, { values, wait: this.#wait, random: this.#random.state });
  }

  #push(value: number): void {
    const { length } = this.#ring;
    if (this.#size < length) {
      this.#ring[(this.#head + this.#size) % length] = value;
      this.#size += 1;
      return;
    }
    this.#ring[this.#head] = value;
    this.#head = (this.#head + 1) % length;
  }

  /** The i-th value, the oldest first. */
  #at(i: number): number {
    return this.#ring[(this.#head + i) % this.#ring.length];
  }

  /** Fills and sorts both samples: the newest, and as many of the older ones without repetition. */
  #draw(): void {
    const { recent } = this.#options;
    const older = this.#order.length;
    // From the same order each time: the draw depends on the saved number alone.
    for (let i = 0; i < older; i++) this.#order[i] = i;
    for (let i = 0; i < recent; i++) {
      const j = i + this.#random.below(older - i);
      const chosen = this.#order[j];
      this.#order[j] = this.#order[i];
      this.#order[i] = chosen;
      this.#drawn[i] = this.#at(chosen);
      this.#recent[i] = this.#at(older + i);
    }
    this.#drawn.sort();
    this.#recent.sort();
  }

  #keepRecent(): void {
    const kept = Array.from({ length: this.#options.recent }, (_, i) => this.#at(this.#order.length + i));
    this.reset();
    for (const value of kept) this.#push(value);
  }
}

/** The largest difference of the distribution functions of two sorted samples of one length. */
function distance(a: Float64Array, b: Float64Array): number {
  const n = a.length;
  let i = 0;
  let j = 0;
  let most = 0;
  while (i < n && j < n) {
    const value = Math.min(a[i], b[j]);
    while (i < n && a[i] === value) i++;
    while (j < n && b[j] === value) j++;
    most = Math.max(most, Math.abs(i - j));
  }
  return most / n;
}

export const kswin = defineDetector({
  name: 'kswin',
  summary:
    'Kolmogorov-Smirnov windowing: sees changes of shape as well as of level in a small sliding window; costs microseconds a value.',
  options,
  state,
  open: (given, saved) => new Kswin(given, saved),
});
