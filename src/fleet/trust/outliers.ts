/**
 * Which of many shares stands out upwards. Promises: where the true shares of all devices are draws of one normal
 * distribution (on the arcsine scale), a device is told with probability `p` at most, whatever their spread is.
 *
 * Shares are put on a scale on which their sampling variance does not depend on their size: x = 2 asin sqrt((k +
 * 3/8) / (n + 3/4)), variance 1/n (Anscombe 1948). Centre and spread come from the median and from Qn (Rousseeuw &
 * Croux 1993), which up to half of the devices cannot move far. What Qn says beyond the sampling variance is how
 * much honest devices differ; the test allows for it, and for how little is known of it from few devices (Student's
 * t with Satterthwaite's degrees of freedom: Qn is worth 82 % of a sample).
 */
import { upperTail } from './tail.ts';

/** So many of so many (effective) rows. */
export interface Share {
  readonly wrong: number;
  readonly of: number;
}

const QN = 2.2219;
/** Qn's corrections for 2 to 9 values. */
const SMALL = [0.399, 0.994, 0.512, 0.844, 0.611, 0.857, 0.669, 0.872];
const EFFICIENCY = 0.82;
/** Variance between honest devices that is taken for granted: a standard deviation of 3 points at 10 %, 5 at 50 %. */
const ALLOWED = 0.1 ** 2;

const scaled = ({ wrong, of }: Share): number => 2 * Math.asin(Math.sqrt((wrong + 0.375) / (of + 0.75)));

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A standard deviation that half of the values cannot carry away. */
function qn(values: readonly number[]): number {
  const n = values.length;
  const distances: number[] = [];
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) distances.push(Math.abs(values[i] - values[j]));
  distances.sort((a, b) => a - b);
  const h = (n >> 1) + 1;
  const correction = n < 10 ? SMALL[n - 2] : n / (n + (n % 2 === 1 ? 1.4 : 3.8));
  return QN * correction * distances[(h * (h - 1)) / 2 - 1];
}

/**
 * For each share the probability that one so high comes from the distribution of the `reference` ones (at least
 * two of them), before any correction for how many are looked at.
 */
export function tails(shares: readonly Share[], reference: readonly boolean[]): number[] {
  const known = shares.filter((_, i) => reference[i]);
  const centre = median(known.map(scaled));
  const sampling = median(known.map(({ of }) => 1 / of));
  const spread = Math.max(ALLOWED, qn(known.map(scaled)) ** 2 - sampling);
  // The median itself moves: pi/2 of the variance of a mean.
  const inflation = 1 + Math.PI / 2 / known.length;
  return shares.map((share) => {
    const variance = (spread + 1 / share.of) * inflation;
    const guessed = spread - ALLOWED;
    const freedom =
      guessed > 0
        ? (EFFICIENCY * (known.length - 1) * (spread + 1 / share.of) ** 2) / guessed ** 2
        : Number.POSITIVE_INFINITY;
    return upperTail((scaled(share) - centre) / Math.sqrt(variance), freedom);
  });
}
