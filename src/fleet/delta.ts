/**
 * Whether what a gateway has learned on its base has become worse than the base alone: a sequential test on the
 * gateway's own labelled rows that begins anew by itself, so that a delta that was good for long is still dropped soon
 * after it turns bad (by a burst of wrong labels, say). Promises: where blocks of rows are independent, a delta that
 * is not worse by more than MARGIN is dropped once in 1 / ALPHA blocks at most; where they hang together, so much more
 * is asked for as they do.
 *
 * The evidence is that of testing by betting (hub/evidence.ts), begun at the moment since when it is largest: an
 * e-detector of the CUSUM kind, whose mean time to a false alarm is 1 / ALPHA (Shin, Ramdas and Rinaldo 2022,
 * "E-detectors: a nonparametric framework for sequential change detection"). How far blocks hang together is seen
 * within stretches of 256 rows and taken as their median, so that a change from one level to another, which is
 * what shall be found, does not count as dependence. A loss beyond MAX_LOSS counts as that; one that is no number is left out.
 */
import { MAX_LOSS } from './hub/paired.ts';
import type { DeltaTest } from './sides.ts';

const ALPHA = 1e-4;
/** Nats a row; a delta that is worse by less learns its way back sooner than it could begin anew. */
const MARGIN = 0.02;
/** Rows whose mean difference is one observation, clipped to one nat. */
const BLOCK = 8;
const BETS = [0.9, 0.6, 0.3, 0.1] as const;
/** Blocks in a stretch, and in the groups whose sums tell how far neighbours hang together. */
const STRETCH = 32;
const GROUP = 8;
/** Stretches remembered, and those needed before they are believed. */
const STRETCHES = 15;
const BELIEVED = 3;
/** What is taken for the dependence before that is known, and at most. */
const UNKNOWN = 3;
const MOST = 16;
/** Groups are short beside long episodes, and see about half of what hangs together (simulated: spells of 10 to 50 rows). */
const UNSEEN = 2;

const clip = (loss: number) => Math.min(MAX_LOSS, Math.max(0, loss));

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** Variance of a sum of blocks over that of independent ones, >= 1. */
class Dependence {
  factor = UNKNOWN;
  #stretch: number[] = [];
  /** Of each stretch: variance a block by the sums of groups, and by single blocks. */
  readonly #stretches: { readonly groups: number; readonly single: number }[] = [];

  add(x: number): void {
    this.#stretch.push(x);
    if (this.#stretch.length < STRETCH) return;
    this.#stretches.push(variances(this.#stretch));
    this.#stretch = [];
    if (this.#stretches.length > STRETCHES) this.#stretches.shift();
    if (this.#stretches.length < BELIEVED) return;
    const single = median(this.#stretches.map((one) => one.single));
    const groups = median(this.#stretches.map((one) => one.groups));
    const excess = single > 1e-12 ? Math.max(0, groups / single - 1) : 0;
    this.factor = Math.min(MOST, 1 + UNSEEN * excess);
  }
}

function variances(stretch: readonly number[]): { groups: number; single: number } {
  const mean = stretch.reduce((sum, x) => sum + x, 0) / STRETCH;
  let [groups, single, group] = [0, 0, 0];
  stretch.forEach((x, i) => {
    single += (x - mean) ** 2;
    group += x - mean;
    if (i % GROUP < GROUP - 1) return;
    groups += group ** 2;
    group = 0;
  });
  return { groups: groups / (STRETCH - GROUP), single: single / (STRETCH - 1) };
}

export function newDeltaTest(): DeltaTest {
  const dependence = new Dependence();
  /** Natural logarithm of the wealth of each bet since it was least. */
  const wealth = BETS.map(() => 0);
  let [rows, sum] = [0, 0];
  return {
    isWorse(_device, loss, baseLoss) {
      if (Number.isNaN(loss) || Number.isNaN(baseLoss)) return false;
      sum += clip(loss) - clip(baseLoss);
      rows += 1;
      if (rows < BLOCK) return false;
      const mean = sum / BLOCK;
      [rows, sum] = [0, 0];
      dependence.add(mean);
      const y = Math.min(1, Math.max(-1, mean - MARGIN));
      BETS.forEach((bet, i) => {
        wealth[i] = Math.max(0, wealth[i]) + Math.log1p(bet * y);
      });
      return logMean(wealth) >= dependence.factor * Math.log(1 / ALPHA);
    },
  };
}

/** Logarithm of the mean of what these are the logarithms of. */
function logMean(logs: readonly number[]): number {
  const most = Math.max(...logs);
  return most + Math.log(logs.reduce((total, log) => total + Math.exp(log - most), 0) / logs.length);
}
