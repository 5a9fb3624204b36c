/**
 * Whether a device that contradicts the others has a concept of its own. Its rows are cut into blocks of time; a
 * model that learned the other blocks predicts each. That has to explain its labels about as well as the fleet's
 * rows explain the fleet's, and clearly better than the best renaming of what the others' models say (each
 * prediction stands for the label that the device most often gives there).
 */
import type { Engine } from '../../contract.ts';
import { crossPredict, type Sample } from './crossfit.ts';
import { upperTail } from './tail.ts';

const BLOCKS = 5;
/** How much worse than the fleet's own contradictions its own may be. */
const SLACK = 0.1;
/** By which part of its rows its own model must beat the best renaming, and with which certainty. */
const GAIN = 0.05;
const LEVEL = 0.005;

/** `predicted`: by models that the device did not teach. `usual`: the fleet's share of contradictions. */
export async function ownConcept(
  engine: Engine,
  sample: Sample,
  owner: Int32Array,
  device: number,
  predicted: Int32Array,
  usual: number,
  seed: number,
): Promise<{ readonly has: boolean; readonly words: string }> {
  const mine = Array.from(owner, (_, i) => i).filter((i) => owner[i] === device);
  const renamed = renaming(sample, mine, predicted);
  const groups = new Int32Array(owner.length).fill(-1);
  mine.forEach((row, i) => {
    groups[row] = Math.floor((i * BLOCKS) / mine.length);
  });
  const own = await crossPredict(engine, sample, groups, (row) => owner[row] === device, seed);
  let [better, worse, wrong] = [0, 0, 0];
  for (const row of mine) {
    const right = own[row] === sample.labels[row];
    if (!right) wrong += 1;
    if (right && !renamed.has(row)) better += 1;
    if (!right && renamed.has(row)) worse += 1;
  }
  const share = wrong / mine.length;
  const apart = better + worse;
  const sure = apart > 0 && upperTail((better - worse - 1) / Math.sqrt(apart), Infinity) < LEVEL;
  const gains = better - worse > GAIN * mine.length && sure;
  const told = `its own rows explain all but ${Math.round(share * 100)} % of them`;
  if (share <= usual + SLACK && gains) return { has: true, words: `${told}: a concept of its own` };
  return {
    has: false,
    words: gains ? told : 'its own rows explain them no better than a renaming of theirs does',
  };
}

/** The rows that the best renaming of the predictions gets right, each judged without itself. */
function renaming({ labels, shape }: Sample, rows: readonly number[], predicted: Int32Array): Set<number> {
  const { classes } = shape;
  const counts = new Int32Array(classes * classes);
  for (const row of rows) if (predicted[row] >= 0) counts[predicted[row] * classes + labels[row]] += 1;
  const right = new Set<number>();
  for (const row of rows) {
    if (predicted[row] < 0) continue;
    const at = predicted[row] * classes;
    counts[at + labels[row]] -= 1;
    const of = counts.subarray(at, at + classes);
    if (of.indexOf(Math.max(...of)) === labels[row]) right.add(row);
    counts[at + labels[row]] += 1;
  }
  return right;
}
