/**
 * Measures of how well a score ranks one label above the other: ROC AUC, average precision, and the share of
 * positives missed when hardly a negative may pass; the first two with bootstrap intervals. Exact and
 * aware of ties: a tie between a positive and a negative counts one half in the ROC AUC, and equal scores are
 * one threshold in average precision. Refuses nothing: where one label is absent the answer is null.
 */

/** An estimate with its 95 % interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 1_000;
/** Resampling works on at most so many groups of neighbours in rank; the estimate itself is always exact. */
const MAX_GROUPS = 4_096;

/** Events of equal score, highest score first. */
interface Groups {
  readonly positives: Float64Array;
  readonly negatives: Float64Array;
}

/** A growing list of scores. */
export class Scores {
  #values = new Float32Array(1_024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(score: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float32Array(this.#count * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = score;
  }

  /** A sorted copy, lowest first. */
  sorted(): Float32Array {
    return this.#values.slice(0, this.#count).sort();
  }
}

/** Merges two ascending lists into groups of equal score, from the highest score down. */
function group(positives: Float32Array, negatives: Float32Array): Groups {
  const most = positives.length + negatives.length;
  const groups = { positives: new Float64Array(most), negatives: new Float64Array(most) };
  let [p, n, count] = [positives.length - 1, negatives.length - 1, 0];
  while (p >= 0 || n >= 0) {
    const score = Math.max(p >= 0 ? positives[p] : -Infinity, n >= 0 ? negatives[n] : -Infinity);
    for (; p >= 0 && positives[p] === score; p--) groups.positives[count] += 1;
    for (; n >= 0 && negatives[n] === score; n--) groups.negatives[count] += 1;
    count += 1;
  }
  return { positives: groups.positives.subarray(0, count), negatives: groups.negatives.subarray(0, count) };
}

/** Joins neighbours until no more than about MAX_GROUPS are left. */
function coarsen(groups: Groups, events: number): Groups {
  const count = groups.positives.length;
  if (count <= MAX_GROUPS) return groups;
  const least = Math.ceil(events / MAX_GROUPS);
  const coarse = { positives: new Float64Array(MAX_GROUPS + 1), negatives: new Float64Array(MAX_GROUPS + 1) };
  let at = 0;
  for (let g = 0; g < count; g++) {
    if (coarse.positives[at] + coarse.negatives[at] >= least) at += 1;
    coarse.positives[at] += groups.positives[g];
    coarse.negatives[at] += groups.negatives[g];
  }
  return { positives: coarse.positives.subarray(0, at + 1), negatives: coarse.negatives.subarray(0, at + 1) };
}

/**
 * ROC AUC (the probability that a positive outranks a negative) and average precision (the sum over
 * thresholds of precision times the gain in recall), from group weights.
 */
function areas({ positives, negatives }: Groups): { roc: number; precision: number } {
  let [hits, misses, pairs, precision] = [0, 0, 0, 0];
  for (let g = 0; g < positives.length; g++) {
    const [p, n] = [positives[g], negatives[g]];
    pairs += n * (hits + p / 2);
    hits += p;
    misses += n;
    if (p > 0) precision += (p * hits) / (hits + misses);
  }
  return { roc: pairs / (hits * misses), precision: precision / hits };
}

/** A Poisson variate: by inversion for small means, by the rounded normal approximation beyond. */
function poisson(mean: number, random: () => number): number {
  if (mean === 0) return 0;
  if (mean > 30) {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal));
  }
  let chance = Math.exp(-mean);
  let left = random();
  let k = 0;
  while (left > chance && k < 200) {
    left -= chance;
    k += 1;
    chance *= mean / k;
  }
  return k;
}

function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(q * (sorted.length - 1))))];
}

/** The percentile interval around `value`: resamples stand for deviations from `centre`. */
function interval(value: number, centre: number, resamples: Float64Array): Interval {
  const sorted = resamples.filter((area) => !Number.isNaN(area)).sort();
  if (sorted.length === 0) return { value, low: 0, high: 1 };
  const clip = (area: number) => Math.min(1, Math.max(0, area + value - centre));
  return { value, low: clip(quantile(sorted, 0.025)), high: clip(quantile(sorted, 0.975)) };
}

/**
 * Both areas with 95 % intervals: the Poisson bootstrap (each event's weight is Poisson(1), so a group of k has
 * Poisson(k)), 1,000 resamples. null where either list is empty. `random` gives [0, 1).
 */
export function rankAreas(
  positives: Scores,
  negatives: Scores,
  random: () => number,
): { rocAuc: Interval; prAuc: Interval } | null {
  const events = positives.count + negatives.count;
  if (positives.count === 0 || negatives.count === 0) return null;
  const exact = group(positives.sorted(), negatives.sorted());
  const coarse = coarsen(exact, events);
  const resample = {
    positives: new Float64Array(coarse.positives.length),
    negatives: new Float64Array(coarse.positives.length),
  };
  const roc = new Float64Array(RESAMPLES);
  const precision = new Float64Array(RESAMPLES);
  for (let r = 0; r < RESAMPLES; r++) {
    for (let g = 0; g < coarse.positives.length; g++) {
      resample.positives[g] = poisson(coarse.positives[g], random);
      resample.negatives[g] = poisson(coarse.negatives[g], random);
    }
    const found = areas(resample);
    roc[r] = found.roc;
    precision[r] = found.precision;
  }
  const [value, centre] = [areas(exact), areas(coarse)];
  return {
    rocAuc: interval(value.roc, centre.roc, roc),
    prAuc: interval(value.precision, centre.precision, precision),
  };
}

/**
 * The share of positives below the lowest threshold that at most floor(rate x negatives) negatives reach.
 * An event reaches a threshold with a score at or above it. NaN where there are no positives.
 */
export function missedAtRate(positives: Scores, negatives: Scores, rate: number): number {
  const allowed = Math.floor(rate * negatives.count);
  const ranked = negatives.sorted();
  const bar = negatives.count > allowed ? ranked[negatives.count - 1 - allowed] : -Infinity;
  const found = positives.sorted();
  let missed = 0;
  while (missed < found.length && found[missed] <= bar) missed += 1;
  return missed / found.length;
}
