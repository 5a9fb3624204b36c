/**
 * Which rows choose among configurations: the newest, right before those that test. Promises: training keeps at least
 * a third of what is there, and where it can be the rows that choose know every label. A stretch of quiet days cannot tell
 * configurations apart: whoever says "always quiet" would win it.
 */
import type { Slices } from './halving.ts';
import { failed } from './rows.ts';

/** Rows of each label that the choosing part should have, where there are twice as many. */
const LEAST = 30;

/**
 * Cuts about `wanted` rows off the newest end of the rows before `end`; more, until a third is left at most, as long as a label
 * that could have LEAST rows there has not. Throws TRAINING_FAILED where a part would be empty.
 */
export function sliceRows(labels: ArrayLike<number>, end: number, wanted: number): Slices {
  if (!(wanted > 0 && wanted < end))
    throw failed(`${end} labelled rows are too few to train and to validate`);
  const first = end - Math.max(1, Math.floor(wanted));
  if (first < 1) throw failed(`${end} labelled rows are too few to train and to validate`);
  const least = Math.min(first, Math.ceil(end / 3));
  const there = countsOf(labels, 0, end);
  const most = countsOf(labels, least, end);
  const chosen = countsOf(labels, first, end);
  let train = first;
  const short = (label: number) => {
    const wish = Math.min(LEAST, Math.floor((there.get(label) ?? 0) / 2), most.get(label) ?? 0);
    return (chosen.get(label) ?? 0) < wish;
  };
  const labelsThere = [...there.keys()];
  while (train > least && labelsThere.some(short)) {
    train -= 1;
    chosen.set(labels[train], (chosen.get(labels[train]) ?? 0) + 1);
  }
  return { train, end };
}

function countsOf(labels: ArrayLike<number>, from: number, to: number): Map<number, number> {
  const counts = new Map<number, number>();
  for (let i = from; i < to; i += 1) counts.set(labels[i], (counts.get(labels[i]) ?? 0) + 1);
  return counts;
}
