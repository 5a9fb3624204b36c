/**
 * How far two models of one shape are apart, whatever their kind: by what each feature alone does to their
 * probabilities. The effect of a bucket is the log-odds of a row that holds only it (value 1) less those of an
 * empty row; of a column, those at 1 less those at 0, all others missing. For a linear model these are its
 * weights (of a column over its deviation); for others the first-order effect. Nothing of the bundle's encoding
 * is known here: the engine loads, checks and scores.
 */
import type { Bundle, Engine, Model, Rows } from '../../contract.ts';

/** Buckets looked at, evenly spread where there are more. */
const MAX_BUCKETS = 1 << 18;
const ROWS_AT_ONCE = 1 << 15;

export interface Distance {
  /** Length of the difference of the effects over the length of the first one's; Infinity from nothing to something. */
  readonly relative: number;
  /** Features (of so many looked at) that do something else, and those that turned their sign. */
  readonly changed: number;
  readonly turned: number;
  readonly features: number;
}

/** Throws what the engine throws for weights that it refuses. Both must have the same shape. */
export async function distanceOf(engine: Engine, a: Bundle, b: Bundle): Promise<Distance> {
  const before = await effectsOf(engine, a);
  const after = await effectsOf(engine, b);
  let [square, length, changed, turned] = [0, 0, 0, 0];
  for (let i = 0; i < before.length; i++) {
    const difference = after[i] - before[i];
    square += difference ** 2;
    length += before[i] ** 2;
    if (Math.abs(difference) > 1e-4) changed++;
    if (before[i] * after[i] < 0 && Math.abs(difference) > 1e-4) turned++;
  }
  const relative = square === 0 ? 0 : length === 0 ? Number.POSITIVE_INFINITY : Math.sqrt(square / length);
  const { classes } = a.manifest.shape;
  return { relative, changed, turned, features: before.length / (classes - 1) };
}

/** Log-odds of each class but the first against the first, by feature. */
async function effectsOf(engine: Engine, { weights }: Bundle): Promise<Float64Array> {
  const model = engine.load(weights);
  try {
    const { dims, denseDims, classes } = model.shape;
    const stride = Math.max(1, Math.ceil(dims / MAX_BUCKETS));
    const buckets = Math.ceil(dims / stride);
    const outputs = classes - 1;
    const effects = new Float64Array((buckets + denseDims) * outputs);
    const empty = logOdds(await model.score(bucketRows(model, 0, 0, 1)), 0, classes);
    for (let from = 0; from < buckets; from += ROWS_AT_ONCE) {
      const count = Math.min(ROWS_AT_ONCE, buckets - from);
      const scores = await model.score(bucketRows(model, from * stride, stride, count));
      for (let i = 0; i < count; i++) {
        const odds = logOdds(scores, i, classes);
        for (let k = 0; k < outputs; k++) effects[(from + i) * outputs + k] = odds[k] - empty[k];
      }
    }
    const scores = await model.score(columnRows(model));
    for (let j = 0; j < denseDims; j++) {
      const [low, high] = [logOdds(scores, 2 * j, classes), logOdds(scores, 2 * j + 1, classes)];
      for (let k = 0; k < outputs; k++) effects[(buckets + j) * outputs + k] = high[k] - low[k];
    }
    return effects;
  } finally {
    model.close();
  }
}

function logOdds(scores: Float32Array, row: number, classes: number): number[] {
  // A probability of 0 or 1 is one that a float could not tell from it.
  const at = (k: number) => Math.log(Math.min(1 - 1e-7, Math.max(1e-7, scores[row * classes + k])));
  return Array.from({ length: classes - 1 }, (_, k) => at(k + 1) - at(0));
}

/** Rows with one bucket each, from `first` on; empty ones where `stride` is 0. Columns are missing. */
function bucketRows({ shape: { denseDims } }: Model, first: number, stride: number, count: number): Rows {
  const cells = stride === 0 ? 0 : 1;
  return {
    count,
    indptr: Uint32Array.from({ length: count + 1 }, (_, i) => i * cells),
    indices: Uint32Array.from({ length: count * cells }, (_, i) => first + i * stride),
    values: new Float32Array(count * cells).fill(1),
    denseDims,
    dense: new Float32Array(count * denseDims).fill(Number.NaN),
  };
}

/** Two rows a column: 0 and 1 there, everything else missing. */
function columnRows({ shape: { denseDims } }: Model): Rows {
  const count = 2 * denseDims;
  const dense = new Float32Array(count * denseDims).fill(Number.NaN);
  for (let j = 0; j < denseDims; j++) {
    dense[2 * j * denseDims + j] = 0;
    dense[(2 * j + 1) * denseDims + j] = 1;
  }
  return {
    count,
    indptr: new Uint32Array(count + 1),
    indices: new Uint32Array(0),
    values: new Float32Array(0),
    denseDims,
    dense,
  };
}
