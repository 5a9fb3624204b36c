/**
 * The sums of an e-detector: one Shiryaev-Roberts sum for each bet, R <- (R + w) * factor(value), where the factor has mean at
 * most 1 while the level holds. Weights w sum to 1, so that the total less the number of values is a supermartingale, and
 * the mean number of values until the total reaches A is at least A (Shin, Ramdas & Rinaldo 2022, theorem 2.4).
 * One `exp` a value at most; nothing is allocated.
 */

export type Side = 'up' | 'down' | 'both';

/** Sizes of change on each side. */
const BETS = 4;
/** Numbers in `values`: rises first, then falls. */
export const SUMS = 2 * BETS;

/** Odds after the change as multiples of the odds before: a grid over what matters for error rates. */
const ODDS = [1.5, 2.25, 4, 9] as const;
/** An estimated rate is kept this far from 0 and 1, where no bet could be paid. */
const LEAST_RATE = 1e-6;

/** Bets on values in 0..1 against a rate. */
export class RateSums {
  readonly values = new Float64Array(SUMS);
  /** Factor for the value 0, and what the value 1 adds to it; a bet is linear between. */
  readonly #base = new Float64Array(SUMS);
  readonly #slope = new Float64Array(SUMS);
  readonly #from: number;
  readonly #to: number;
  readonly #weight: number;

  constructor(side: Side) {
    this.#from = side === 'down' ? BETS : 0;
    this.#to = side === 'up' ? BETS : SUMS;
    this.#weight = 1 / (this.#to - this.#from);
  }

  /** Bets from here on against `rate`, known from `n` values (Infinity: known for sure). */
  bet(rate: number, _deviation: number, n: number): void {
    // Half an error more and half a hit more (Jeffreys), so that a rate of 0 or 1 is never believed.
    const p = n === Infinity ? rate : (rate * n + 0.5) / (n + 1);
    const error = n === Infinity ? 0 : Math.sqrt((p * (1 - p)) / n);
    for (let j = 0; j < SUMS; j++) {
      const rises = j < BETS;
      const level = Math.min(1 - LEAST_RATE, Math.max(LEAST_RATE, rises ? p + error : p - error));
      const odds = (level / (1 - level)) * (rises ? ODDS[j] : 1 / ODDS[j - BETS]);
      const changed = odds / (1 + odds);
      this.#base[j] = (1 - changed) / (1 - level);
      this.#slope[j] = changed / level - this.#base[j];
    }
  }

  /** Takes a value in 0..1; returns the total. */
  update(value: number): number {
    let total = 0;
    for (let j = this.#from; j < this.#to; j++) {
      const sum = (this.values[j] + this.#weight) * (this.#base[j] + value * this.#slope[j]);
      this.values[j] = sum;
      total += sum;
    }
    return total;
  }

  clear(): void {
    this.values.fill(0);
  }
}

/** Smallest size of change, in deviations; the others are its doubles: 0.25, 0.5, 1, 2. */
const STEP = 0.25;
/** Single values count at most so many deviations. */
const CLIP = 5;

/** Bets on values of about normal distribution against a mean. */
export class NormalSums {
  readonly values = new Float64Array(SUMS);
  readonly #scale = new Float64Array(BETS);
  readonly #up: boolean;
  readonly #down: boolean;
  readonly #weight: number;
  readonly #clip: number;
  #level = 0;
  #inverse = 1;

  constructor(side: Side, clip = CLIP) {
    this.#up = side !== 'down';
    this.#down = side !== 'up';
    this.#weight = 1 / (side === 'both' ? SUMS : BETS);
    this.#clip = clip;
    this.bet(0, 1, Infinity);
  }

  /**
   * Bets from here on against `mean`, both known from `n` values (Infinity: known for sure). `allowance`: a change
   * of so many deviations is no change.
   */
  bet(mean: number, deviation: number, n: number, allowance = 0): void {
    this.#level = mean;
    // One standard error of the deviation and one of the mean.
    const wider = deviation * (1 + 1 / Math.sqrt(2 * n));
    this.#inverse = 1 / Math.max(wider, 1e-9 * Math.abs(mean), 1e-300);
    const margin = allowance + 1 / Math.sqrt(n);
    for (let j = 0; j < BETS; j++) {
      const size = STEP * 2 ** j;
      this.#scale[j] = Math.exp(-size * margin - (size * size) / 2);
    }
  }

  /** Takes a value; returns the total. */
  update(value: number): number {
    const clip = this.#clip;
    const z = Math.min(clip, Math.max(-clip, (value - this.#level) * this.#inverse));
    // e^(size z) of each size by squaring the one before.
    let up = Math.exp(STEP * z);
    let down = 1 / up;
    let total = 0;
    for (let j = 0; j < BETS; j++) {
      if (this.#up) total += this.#step(j, up * this.#scale[j]);
      if (this.#down) total += this.#step(BETS + j, down * this.#scale[j]);
      up *= up;
      down *= down;
    }
    return total;
  }

  clear(): void {
    this.values.fill(0);
  }

  #step(j: number, factor: number): number {
    const sum = (this.values[j] + this.#weight) * factor;
    this.values[j] = sum;
    return sum;
  }
}
