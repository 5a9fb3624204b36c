/**
 * Page-Hinkley test (Page 1954, Hinkley 1971): the sum of what values exceed their running mean by more than `delta`, kept
 * at zero from below; beyond `threshold` the level has changed. Works in the unit of the values, for which both
 * options have to be chosen; it states no false-alarm probability.
 */
import { z } from 'zod';
import type { Detector } from '../contract.ts';
import { count, defineDetector, savedDetector, side, usable } from './kind.ts';

const options = z.strictObject({
  least: z.number().int().min(1).max(1e6).default(30).describe('Values before the first alarm is possible.'),
  delta: z
    .number()
    .min(0)
    .max(1e12)
    .default(0.005)
    .describe('Change of the mean that is tolerated, in its unit.'),
  threshold: z
    .number()
    .gt(0)
    .max(1e12)
    .default(50)
    .describe('Sum of deviations that is told, in the unit of the values; larger is slower and surer.'),
  side: side('up'),
});

const state = z.strictObject({ n: count, mean: z.number(), up: z.number().min(0), down: z.number().min(0) });

class PageHinkley implements Detector {
  readonly #options: z.output<typeof options>;
  #n = 0;
  #mean = 0;
  #up = 0;
  #down = 0;

  constructor(given: z.output<typeof options>, saved: z.output<typeof state> | null) {
    this.#options = given;
    if (!saved) return;
    this.#n = saved.n;
    this.#mean = saved.mean;
    this.#up = saved.up;
    this.#down = saved.down;
  }

  update(value: number): boolean {
    if (!usable(value)) return false;
    const { delta, threshold, side: told, least } = this.#options;
    this.#n += 1;
    this.#mean += (value - this.#mean) / this.#n;
    const deviation = value - this.#mean;
    this.#up = Math.max(0, this.#up + deviation - delta);
    this.#down = Math.max(0, this.#down - deviation - delta);
    if (this.#n < least) return false;
    const rose = told !== 'down' && this.#up > threshold;
    const fell = told !== 'up' && this.#down > threshold;
    if (!rose && !fell) return false;
    this.reset();
    return true;
  }

  reset(): void {
    this.#n = 0;
    this.#mean = 0;
    this.#up = 0;
    this.#down = 0;
  }

  save(): string {
    const saved = { n: this.#n, mean: this.#mean, up: this.#up, down: this.#down };
    return savedDetector('page-hinkley', this.#options, saved);
  }
}

export const pageHinkley = defineDetector({
  name: 'page-hinkley',
  summary:
    'Page-Hinkley test: cumulated deviations from the running mean, either side. Cheap; tolerance and threshold are in the unit of the values.',
  options,
  state,
  open: (given, saved) => new PageHinkley(given, saved),
});
