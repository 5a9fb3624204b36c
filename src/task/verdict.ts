/**
 * What a verdict says: the label that probabilities speak for, and whether it is published. Until a model has learned so many
 * labels in all, and so many of each of two labels, a gateway says `label: null`; a protocol tests as a gateway judges.
 */

/** Best label and its lead over the second; the first of equals wins, as in the gateway. */
export function decide(
  scores: Float32Array,
  offset: number,
  classes: number,
): { predicted: number; lead: number } {
  let [predicted, second] = [0, Number.NEGATIVE_INFINITY];
  for (let c = 1; c < classes; c++) {
    if (scores[offset + c] > scores[offset + predicted]) {
      second = scores[offset + predicted];
      predicted = c;
    } else second = Math.max(second, scores[offset + c]);
  }
  return { predicted, lead: scores[offset + predicted] - second };
}

export interface Sufficient {
  /** Labels in all. */
  readonly labels: number;
  /** Of each of two labels. */
  readonly perLabel: number;
}

/** Where a configuration does not say. */
export const SUFFICIENT: Sufficient = { labels: 50, perLabel: 5 };

/** `counts`: labels learned, by label. */
export function suffices(counts: readonly number[], { labels, perLabel }: Sufficient): boolean {
  const all = counts.reduce((sum, n) => sum + n, 0);
  return all >= labels && counts.filter((n) => n >= perLabel).length >= 2;
}
