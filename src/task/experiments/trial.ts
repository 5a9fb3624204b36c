/**
 * One trial: a model learns a span of rows, block by block, and is measured on the span behind it. Promises: the
 * same job gives the same bits on any machine and beside any other job (only the rate is a matter of the
 * clock); models are closed, also when a trial is stopped. Refuses (TRAINING_FAILED) spans outside the rows.
 */
import type { Engine, Experiment, Measured, Model, ModelShape } from '../../contract.ts';
import { logLossOf } from '../quality.ts';
import { decide } from '../verdict.ts';
import { failed, type RowStore } from './rows.ts';

/** Rows [from, to) of a store. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What a place that runs trials is told. */
export interface Job {
  /** Which of the row stores. */
  readonly variant: number;
  readonly experiment: Experiment;
  readonly train: Span;
}

export interface TryJob extends Job {
  readonly validate: Span;
}

export interface Outcome {
  readonly validation: Measured;
  readonly modelBytes: number;
  /** Rows learned a second, each pass counted. */
  readonly rate: number;
  /** Mean log-loss of each block of the validation rows: what two trials are compared by, block by block. */
  readonly blocks: readonly number[];
}

/** Rows of one feature space, and what a model of them must know. */
export interface Variant {
  readonly store: RowStore;
  readonly shape: ModelShape;
}

/** What all trials of a run share. */
export interface Ground {
  readonly engine: Engine;
  readonly variants: readonly Variant[];
  readonly start: Uint8Array | null;
  readonly seed: number;
}

function variantOf({ variants }: Ground, { variant, train }: Job, end: number): Variant {
  const found = variants[variant];
  if (!found || !(train.from >= 0 && train.from <= train.to && train.to <= end && end <= found.store.count))
    throw failed(`rows ${train.from} to ${end} of set ${variant} are not there`);
  return found;
}

function newModel(
  { engine, start, seed }: Ground,
  { shape }: Variant,
  { kind, options, continued }: Experiment,
): Model {
  if (!continued) return engine.create(kind, shape, options, seed);
  if (!start) throw failed('there is no model to go on from');
  const model = engine.load(start);
  const { dims, denseDims, classes } = model.shape;
  if (dims === shape.dims && denseDims === shape.denseDims && classes === shape.classes) return model;
  model.close();
  throw failed('the model to go on from has another shape than the rows');
}

async function learn(
  model: Model,
  { store }: Variant,
  { train, experiment }: Job,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let pass = 0; pass < experiment.passes; pass += 1) {
    for (const { rows, labels, weights } of store.blocks(train.from, train.to)) {
      signal?.throwIfAborted();
      await model.learn(rows, labels, weights);
    }
  }
}

/** Runs one trial. Rejects with SluiceError, or with the reason of `signal`. */
export async function runTrial(ground: Ground, job: TryJob, signal?: AbortSignal): Promise<Outcome> {
  const variant = variantOf(ground, job, job.validate.to);
  const model = newModel(ground, variant, job.experiment);
  try {
    const started = performance.now();
    await learn(model, variant, job, signal);
    const seconds = Math.max(1e-6, (performance.now() - started) / 1_000);
    const yardstick = await measure(model, variant, job.validate, signal);
    const learned = (job.train.to - job.train.from) * job.experiment.passes;
    return {
      validation: yardstick.measured(),
      modelBytes: model.bytes,
      rate: Math.round(learned / seconds),
      blocks: yardstick.blocks(),
    };
  } finally {
    model.close();
  }
}

/** Trains without measuring; the bytes of the model. */
export async function trainModel(ground: Ground, job: Job, signal?: AbortSignal): Promise<Uint8Array> {
  const variant = variantOf(ground, job, job.train.to);
  const model = newModel(ground, variant, job.experiment);
  try {
    await learn(model, variant, job, signal);
    return await model.save();
  } finally {
    model.close();
  }
}

/** Scores rows without learning them. `seen` gets each row's index, its probabilities and where they begin. */
export async function scoreRows(
  model: Model,
  store: RowStore,
  { from, to }: Span,
  seen: (row: number, scores: Float32Array, offset: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { classes } = model.shape;
  for (const { first, rows } of store.blocks(from, to)) {
    signal?.throwIfAborted();
    const scores = await model.score(rows);
    for (let i = 0; i < rows.count; i += 1) seen(first + i, scores, i * classes);
  }
}

async function measure(
  model: Model,
  { store }: Variant,
  span: Span,
  signal?: AbortSignal,
): Promise<Yardstick> {
  const yardstick = new Yardstick(span.to - span.from);
  await scoreRows(
    model,
    store,
    span,
    (row, scores, offset) => {
      const truth = store.labels[row];
      const { predicted } = decide(scores, offset, model.shape.classes);
      yardstick.add(predicted === truth, logLossOf(scores[offset + truth]), store.weights[row]);
    },
    signal,
  );
  return yardstick;
}

/** Rows that one block of the interval must have at least, and how many blocks there are of a long span. */
const LEAST_BLOCK = 10;
const BLOCKS = 20;

/**
 * Weighted means, and a 95 % interval of the log-loss. Neighbours in a stream resemble each other, so the interval
 * comes from the means of 20 consecutive blocks (batch means, Law & Carson 1979) with Student's t,
 * not from single rows; below 200 rows from single ones.
 */
export class Yardstick {
  readonly #rowsPerBlock: number;
  readonly #losses: number[] = [];
  readonly #weights: number[] = [];
  #rows = 0;
  #tested = 0;
  #correct = 0;

  /** `expected` rows will be added. */
  constructor(expected: number) {
    this.#rowsPerBlock = expected >= BLOCKS * LEAST_BLOCK ? Math.ceil(expected / BLOCKS) : 1;
  }

  add(correct: boolean, loss: number, weight: number): void {
    const block = Math.floor(this.#rows / this.#rowsPerBlock);
    this.#rows += 1;
    this.#losses[block] = (this.#losses[block] ?? 0) + loss * weight;
    this.#weights[block] = (this.#weights[block] ?? 0) + weight;
    if (weight > 0) this.#tested += 1;
    if (correct) this.#correct += weight;
  }

  /** The mean of each block; 0 where nothing in it has a weight. */
  blocks(): number[] {
    return this.#losses.map((loss, i) => (this.#weights[i] > 0 ? loss / this.#weights[i] : 0));
  }

  /** Throws TRAINING_FAILED where nothing had a weight. */
  measured(): Measured {
    const weight = this.#weights.reduce((sum, each) => sum + each, 0);
    if (!(weight > 0)) throw failed('no row was left to measure on');
    const logLoss = this.#losses.reduce((sum, each) => sum + each, 0) / weight;
    // A ratio of sums: its error comes from what each block has beyond the mean (Cochran 1977, 2.11).
    const blocks = this.#losses.length;
    const squares = this.#losses.reduce((sum, each, i) => sum + (each - logLoss * this.#weights[i]) ** 2, 0);
    const error = blocks > 1 ? Math.sqrt((squares * blocks) / (blocks - 1)) / weight : logLoss;
    const reach = error * studentT(blocks - 1);
    return {
      tested: this.#tested,
      accuracy: this.#correct / weight,
      logLoss,
      interval: [Math.max(0, logLoss - reach), logLoss + reach],
    };
  }
}

/** One-sided, about 1 in 100 by chance: many pairs are compared. */
const SURE = 2.5;

/** Whether the losses `a` are lower than `b` beyond chance: Student's t of the paired differences of blocks. */
export function isSurelyLower(a: readonly number[], b: readonly number[]): boolean {
  const n = a.length;
  if (n < 2) return false;
  const differences = a.map((loss, i) => loss - b[i]);
  const mean = differences.reduce((sum, each) => sum + each, 0) / n;
  const squares = differences.reduce((sum, each) => sum + (each - mean) ** 2, 0);
  return mean < 0 && mean < -SURE * Math.sqrt(squares / (n - 1) / n);
}

/** The 97.5 % quantile of Student's t (Abramowitz & Stegun 26.7.5); within 1 % from 4 degrees of freedom on. */
function studentT(degrees: number): number {
  const z = 1.959964;
  const v = Math.max(2, degrees);
  return z + (z ** 3 + z) / (4 * v) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * v ** 2);
}
