/**
 * What models say of rows that they have not learned. Linear models on the CPU in a few passes: they need not be the
 * best, only the same for all devices. Promises: no row is scored by a model that learned from its own group;
 * same input and seed, same scores.
 */
import type { Engine, Model, ModelShape, Rows } from '../../contract.ts';
import { modelKinds } from '../../model/kinds.ts';
import { seededRandom } from '../../task/random.ts';
import { pickRows } from './select.ts';

const PASSES = 3;

export interface Sample {
  readonly rows: Rows;
  /** Label indices, >= 0. */
  readonly labels: Int32Array;
  readonly shape: ModelShape;
}

/** Groups 0 to groups - 1; -1 is learned by all and scored by none. Gives the likeliest label of each row, -1 where none was given. */
export async function crossPredict(
  engine: Engine,
  sample: Sample,
  groupOf: Int32Array,
  learns: (row: number) => boolean,
  seed: number,
): Promise<Int32Array> {
  const predicted = new Int32Array(groupOf.length).fill(-1);
  const all = Array.from(groupOf, (_, i) => i);
  for (const group of [...new Set(groupOf)].filter((each) => each >= 0)) {
    const training = all.filter((i) => groupOf[i] !== group && learns(i));
    const tested = all.filter((i) => groupOf[i] === group);
    if (training.length === 0) continue;
    const model = await trained(engine, sample, training, seed + group);
    try {
      const scores = await model.score(pickRows(sample.rows, tested));
      tested.forEach((row, i) => {
        predicted[row] = likeliest(scores, i, sample.shape.classes);
      });
    } finally {
      model.close();
    }
  }
  return predicted;
}

async function trained(
  engine: Engine,
  sample: Sample,
  places: readonly number[],
  seed: number,
): Promise<Model> {
  const random = seededRandom(seed, 'trust');
  const model = engine.create('linear', sample.shape, modelKinds.linear.options.parse({}), seed);
  try {
    for (let pass = 0; pass < PASSES; pass++) {
      const order = shuffled(places, random);
      const labels = Int32Array.from(order, (place) => sample.labels[place]);
      await model.learn(pickRows(sample.rows, order), labels);
    }
    return model;
  } catch (thrown) {
    model.close();
    throw thrown;
  }
}

function likeliest(scores: Float32Array, row: number, classes: number): number {
  let best = 0;
  for (let c = 1; c < classes; c++) if (scores[row * classes + c] > scores[row * classes + best]) best = c;
  return best;
}

export function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const out = [...values];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}
