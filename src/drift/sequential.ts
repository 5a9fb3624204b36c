/**
 * Sequential test of a level with a stated false-alarm rate: an e-detector (Shin, Ramdas & Rinaldo 2022). For each of a few
 * sizes of change an e-process bets that the level moved by it (Waudby-Smith & Ramdas 2023; for 0/1 values the bet is
 * the likelihood ratio), started anew at every value and summed as Shiryaev and Roberts do; the alarm comes when the
 * mixture of the sums reaches `arl`. With a known level the mean number of values to a false alarm is then at least `arl`.
 *
 * A level that is not given is learned from the stream: the first `least` values, then whatever does not look like a change.
 * The bets are then made against the level moved towards the change by its standard error, which pays for not knowing it.
 * `rate` takes values in 0..1 (errors, clipped losses), `normal` any values by their own mean and deviation.
 */
import { z } from 'zod';
import type { Detector } from '../contract.ts';
import { count, defineDetector, savedDetector, side, usable } from './kind.ts';
import { NormalSums, RateSums, SUMS } from './sums.ts';

const options = z.strictObject({
  kind: z
    .enum(['rate', 'normal'])
    .default('rate')
    .describe(
      '`rate`: values in 0..1, clipped to it. `normal`: any values, standardised by what was learned.',
    ),
  arl: z
    .number()
    .min(10)
    .max(1e15)
    .default(10_000)
    .describe('Values between two false alarms, on average at least.'),
  side: side('up'),
  least: z
    .number()
    .int()
    .min(20)
    .max(1e6)
    .default(50)
    .describe('Values that the level is learned from before the first alarm is possible.'),
  level: z.number().nullable().default(null).describe('The level, where it is known; null learns it.'),
  deviation: z
    .number()
    .gt(0)
    .nullable()
    .default(null)
    .describe('With `normal` and a known level: the standard deviation of a value.'),
});

const moments = z.strictObject({ n: count, mean: z.number(), squares: z.number().min(0) });
const state = z.strictObject({
  learned: moments,
  pending: moments,
  sums: z.array(z.number().min(0)).length(SUMS),
});

/** Count, mean and squared deviations from it (Welford; joined after Chan et al. 1983). */
class Moments {
  n = 0;
  mean = 0;
  squares = 0;

  add(value: number): void {
    this.n += 1;
    const apart = value - this.mean;
    this.mean += apart / this.n;
    this.squares += apart * (value - this.mean);
  }

  join(other: Moments): void {
    const n = this.n + other.n;
    if (n === 0) return;
    const apart = other.mean - this.mean;
    this.squares += other.squares + (apart * apart * this.n * other.n) / n;
    this.mean += (apart * other.n) / n;
    this.n = n;
    other.clear();
  }

  clear(): void {
    this.set({ n: 0, mean: 0, squares: 0 });
  }

  set({ n, mean, squares }: z.output<typeof moments>): void {
    this.n = n;
    this.mean = mean;
    this.squares = squares;
  }

  save(): z.output<typeof moments> {
    return { n: this.n, mean: this.mean, squares: this.squares };
  }
}

/** While the sums are above this part of the threshold, values wait: they may belong to a change. */
const SUSPICIOUS = 0.03;
/** Values join the reference when they make up so large a part of it, so that bets are rarely made anew. */
const JOIN_PART = 1 / 32;

class Sequential implements Detector {
  readonly #options: z.output<typeof options>;
  readonly #sums: RateSums | NormalSums;
  readonly #learned = new Moments();
  /** Seen after the reference, not yet part of it. */
  readonly #pending = new Moments();
  #armed = false;

  constructor(given: z.output<typeof options>, saved: z.output<typeof state> | null) {
    this.#options = given;
    this.#sums = given.kind === 'rate' ? new RateSums(given.side) : new NormalSums(given.side);
    if (saved) {
      this.#learned.set(saved.learned);
      this.#pending.set(saved.pending);
      this.#sums.values.set(saved.sums);
    }
    this.#bet();
  }

  update(value: number): boolean {
    if (!usable(value)) return false;
    const { kind, arl, least, level } = this.#options;
    const x = kind === 'rate' ? Math.min(1, Math.max(0, value)) : value;
    if (!this.#armed) {
      this.#learned.add(x);
      if (this.#learned.n >= least) this.#bet();
      return false;
    }
    const evidence = this.#sums.update(x);
    if (evidence >= arl) {
      this.reset();
      return true;
    }
    if (level !== null) return false;
    this.#pending.add(x);
    if (evidence < arl * SUSPICIOUS && this.#pending.n >= this.#learned.n * JOIN_PART) {
      this.#learned.join(this.#pending);
      this.#bet();
    }
    return false;
  }

  reset(): void {
    this.#learned.clear();
    this.#pending.clear();
    this.#sums.clear();
    this.#bet();
  }

  save(): string {
    return savedDetector('sequential', this.#options, {
      learned: this.#learned.save(),
      pending: this.#pending.save(),
      sums: [...this.#sums.values],
    });
  }

  /** Sets the bets by what is known of the level. */
  #bet(): void {
    const { level, deviation, least } = this.#options;
    const { n, mean, squares } = this.#learned;
    this.#armed = level !== null || n >= least;
    if (!this.#armed) return;
    if (level !== null) this.#sums.bet(level, deviation ?? 1, Infinity);
    else this.#sums.bet(mean, Math.sqrt(squares / (n - 1)), n);
  }
}

export const sequential = defineDetector({
  name: 'sequential',
  summary:
    'Sequential test (e-detector): a stated number of values between false alarms, and nearly the least possible delay. The choice where a budget has to hold.',
  options: options
    .refine(({ kind, level, deviation }) => kind === 'rate' || (level === null) === (deviation === null), {
      path: ['deviation'],
      message: 'level and deviation are given together, or neither',
    })
    .refine(({ kind, level }) => kind === 'normal' || level === null || (level > 0 && level < 1), {
      path: ['level'],
      message: 'must lie between 0 and 1 for a rate',
    }),
  state,
  open: (given, saved) => new Sequential(given, saved),
});
