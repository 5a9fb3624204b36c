/**
 * 95 % intervals of shares that the report shows beside counts. They take events for independent, which a
 * stream that changes is not: they say how much of a figure is luck of few events, not what tomorrow brings.
 */

/** Low and high, in the unit of the estimate. */
export type Range = readonly [low: number, high: number];

/** 97.5 % quantile of the normal distribution. */
const Z = 1.959964;

/** Wilson 1927, of `hits` in `n` > 0: honest also for few events and near 0 and 1. */
export function wilson(hits: number, n: number): Range {
  const share = hits / n;
  const middle = share + Z ** 2 / (2 * n);
  const reach = Z * Math.sqrt((share * (1 - share)) / n + Z ** 2 / (4 * n ** 2));
  const whole = 1 + Z ** 2 / n;
  // At the ends the bound is exactly 0 and 1; rounding must not make a hair of it.
  return [
    hits === 0 ? 0 : Math.max(0, (middle - reach) / whole),
    hits === n ? 1 : Math.min(1, (middle + reach) / whole),
  ];
}

/**
 * Of the logistic average of two error rates (the mean of both logits, brought back): normal on the scale of
 * logits, with half an event added to each count (Haldane 1956) so that none is infinite. Shares from 0 to 1.
 */
export function logisticRange(missesA: number, a: number, missesB: number, b: number): Range {
  const logit = (misses: number, n: number) => Math.log((misses + 0.5) / (n - misses + 0.5));
  const variance = (misses: number, n: number) => 1 / (misses + 0.5) + 1 / (n - misses + 0.5);
  const middle = (logit(missesA, a) + logit(missesB, b)) / 2;
  const reach = (Z * Math.sqrt(variance(missesA, a) + variance(missesB, b))) / 2;
  const share = (odds: number) => 1 / (1 + Math.exp(-odds));
  return [share(middle - reach), share(middle + reach)];
}
