/**
 * How many of the largest scores of confirmed ham may be passed over so that the share of ham above the next one stays
 * within a budget: distribution-free tolerance limits (Wilks 1941). Of N scores drawn alike, the share of the source
 * above the (k+1)-th largest is Beta(k+1, N-k) where scores never tie, and stochastically smaller where they do, as long
 * as only what lies strictly above counts. Its 95 % quantile is within the budget b exactly where
 * P(Binomial(N, b) <= k) <= 5 %, which is how it is computed here: for each k the smallest N, in one pass.
 */

/** 1 - how sure the bound is. */
export const DOUBT = 0.05;

/** Scores needed before a budget in (0, 1) can be kept at all (k = 0): 2,995 for 0.1 %. */
export const leastFor = (budget: number): number => Math.ceil(Math.log(DOUBT) / Math.log1p(-budget));

/**
 * By k the smallest number of scores, at most `most`, with which k of them may lie above the threshold; rising.
 * Empty where even `most` are too few for k = 0.
 */
export function neededFor(budget: number, most: number): Uint32Array {
  const needed: number[] = [];
  const odds = budget / (1 - budget);
  // P(Binomial(n, b) <= k) and P(Binomial(n, b) = k), carried from n to n + 1 and from k to k + 1.
  let [k, below, equal] = [0, 1, 1];
  for (let n = 1; n <= most; n++) {
    below -= budget * equal;
    equal *= (n / (n - k)) * (1 - budget);
    while (below <= DOUBT) {
      needed.push(n);
      equal *= ((n - k) / (k + 1)) * odds;
      k += 1;
      below += equal;
    }
  }
  return Uint32Array.from(needed);
}
