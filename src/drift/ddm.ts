/**
 * Drift Detection Method (Gama et al. 2004): the error rate p with its deviation s = sqrt(p(1-p)/n) is compared with the
 * least p + s seen; a rise of `deviations` times s is told. Values are errors in 0..1 and are clipped to it. It
 * states no false-alarm probability, tells rises only, and is slow for gradual changes; kept because people compare with it.
 */
import { z } from 'zod';
import type { Detector } from '../contract.ts';
import { count, defineDetector, savedDetector, usable } from './kind.ts';

const options = z.strictObject({
  least: z.number().int().min(2).max(1e6).default(30).describe('Values before the first alarm is possible.'),
  deviations: z
    .number()
    .min(1)
    .max(10)
    .default(3)
    .describe('How many deviations above the best level are a drift; 3 is the paper’s.'),
});

const state = z.strictObject({
  n: count,
  sum: z.number().min(0),
  best: z.number().min(0).max(2).nullable(),
  bestRate: z.number().min(0).max(1),
  bestDeviation: z.number().min(0).max(1),
});

class Ddm implements Detector {
  readonly #options: z.output<typeof options>;
  #n = 0;
  #sum = 0;
  /** The least p + s so far; above every possible one while there is none. */
  #best = 3;
  #bestRate = 0;
  #bestDeviation = 0;

  constructor(given: z.output<typeof options>, saved: z.output<typeof state> | null) {
    this.#options = given;
    if (!saved) return;
    this.#n = saved.n;
    this.#sum = saved.sum;
    this.#best = saved.best ?? 3;
    this.#bestRate = saved.bestRate;
    this.#bestDeviation = saved.bestDeviation;
  }

  update(value: number): boolean {
    if (!usable(value)) return false;
    this.#n += 1;
    this.#sum += Math.min(1, Math.max(0, value));
    const n = this.#n;
    if (n < this.#options.least) return false;
    const p = this.#sum / n;
    const s = Math.sqrt((p * (1 - p)) / n);
    if (p + s < this.#best && p > 0) {
      this.#best = p + s;
      this.#bestRate = p;
      this.#bestDeviation = s;
    }
    // Without an error so far there is no level to compare with.
    if (p === 0 || p + s <= this.#bestRate + this.#options.deviations * this.#bestDeviation) return false;
    this.reset();
    return true;
  }

  reset(): void {
    this.#n = 0;
    this.#sum = 0;
    this.#best = 3;
    this.#bestRate = 0;
    this.#bestDeviation = 0;
  }

  save(): string {
    const best = this.#best > 2 ? null : this.#best;
    return savedDetector('ddm', this.#options, {
      n: this.#n,
      sum: this.#sum,
      best,
      bestRate: this.#bestRate,
      bestDeviation: this.#bestDeviation,
    });
  }
}

export const ddm = defineDetector({
  name: 'ddm',
  summary:
    'Drift Detection Method: the error rate against its best level so far. Simple and well known; no stated false-alarm rate.',
  options,
  state,
  open: (given, saved) => new Ddm(given, saved),
});
