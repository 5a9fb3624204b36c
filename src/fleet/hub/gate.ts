/**
 * The gate: candidate and live model on rows that came after the training, none of which either has learned. Promises:
 * like with like: frozen models are scored as they are; models that gateways learn on top of both learn every row
 * after it was tested, each from its own base; without a live model the candidate is held against the running
 * frequencies of the labels. Deterministic: the same rows in the same order give the same answer, so that a hub that
 * was stopped goes over them again. Refuses models that do not fit the task (MODEL_MISMATCH); passes over rows that do not.
 */
import type { Engine, LabelledRow, Model, Rows } from '../../contract.ts';
import { asSluiceError, SluiceError } from '../../errors.ts';
import { concat } from '../../features/rows.ts';
import { readBundle } from '../../model/bundle.ts';
import type { HubLoopOptions } from './options.ts';
import { type PairedOptions, PairedTest } from './paired.ts';
import type { Rollout } from './record.ts';
import type { HubParts, HubTask } from './seams.ts';

/** Probabilities are clipped here, as on gateways. */
const LEAST = 1e-6;
/** Rows of the pool that one look takes, and pages a look: a tick stays cheap. */
const PAGE = 256;
const PAGES = 8;

export interface GateModels {
  readonly candidate: Uint8Array;
  /** null: there is none to compare with. */
  readonly base: Uint8Array | null;
}

export class Gate {
  readonly test: PairedTest;
  readonly #task: HubTask;
  readonly #candidate: Model;
  readonly #base: Model | null;
  /** How often each label came, plus one. */
  readonly #counts: number[];
  /** Rows of the pool up to here were taken. */
  position: number;

  constructor(task: HubTask, engine: Engine, models: GateModels, options: PairedOptions, position: number) {
    this.#task = task;
    this.test = new PairedTest(options);
    this.position = position;
    this.#counts = task.labels.map(() => 1);
    this.#candidate = load(task, engine, models.candidate);
    try {
      this.#base = models.base && load(task, engine, models.base);
    } catch (error) {
      this.#candidate.close();
      throw error;
    }
  }

  /** Rows of one page of the pool; `through` is where it ends. */
  async take(rows: readonly LabelledRow[], through: number): Promise<void> {
    const fitting = rows.filter((row) => fits(row, this.#task));
    if (fitting.length > 0) {
      const labels = Int32Array.from(fitting, (row) => row.label);
      const weights = Float32Array.from(fitting, (row) => row.weight);
      const block = concat(fitting.map((row) => row.rows));
      const candidate = await this.#losses(this.#candidate, block, labels, weights);
      const base = this.#base
        ? await this.#losses(this.#base, block, labels, weights)
        : fitting.map((row) => this.#frequencyLoss(row.label));
      fitting.forEach((row, i) => {
        this.test.add(`${row.site}/${row.device}`, base[i], candidate[i]);
      });
    }
    this.position = through;
  }

  async #losses(model: Model, rows: Rows, labels: Int32Array, weights: Float32Array): Promise<number[]> {
    const learns = this.#task.learning === 'online';
    const scores = learns ? await model.step(rows, labels, weights) : await model.score(rows);
    const { classes } = this.#task.shape;
    return Array.from(labels, (label, i) => -Math.log(Math.max(LEAST, scores[i * classes + label])));
  }

  #frequencyLoss(label: number): number {
    const loss = -Math.log(this.#counts[label] / this.#counts.reduce((sum, n) => sum + n, 0));
    this.#counts[label] += 1;
    return loss;
  }

  close(): void {
    this.#candidate.close();
    this.#base?.close();
  }
}

function load(task: HubTask, engine: Engine, weights: Uint8Array): Model {
  const model = engine.load(weights);
  const { dims, denseDims, classes } = model.shape;
  const { shape } = task;
  if (dims === shape.dims && denseDims === shape.denseDims && classes === shape.classes) return model;
  model.close();
  throw new SluiceError(
    'MODEL_MISMATCH',
    `a model of ${dims} buckets, ${denseDims} columns and ${classes} labels does not fit task ${task.name}`,
  );
}

function fits({ rows, label, weight, features }: LabelledRow, task: HubTask): boolean {
  const { dims, denseDims, classes } = task.shape;
  if (features !== task.features || rows.count !== 1 || rows.denseDims !== denseDims) return false;
  if (!Number.isInteger(label) || label < 0 || label >= classes || !(weight >= 0)) return false;
  return rows.indices.every((index) => index < dims);
}

export interface GateContext {
  readonly task: HubTask;
  readonly parts: Pick<HubParts, 'registry' | 'engine' | 'pool'>;
  readonly options: HubLoopOptions;
  readonly devices: () => number;
}

/** The weights of a bundle; null where it was made for other features or labels: no gateway of this task can run it. */
export async function weightsOf(
  digest: string,
  { task, parts }: { readonly task: HubTask; readonly parts: Pick<HubParts, 'registry'> },
): Promise<Uint8Array | null> {
  const { manifest, weights } = readBundle(await parts.registry.get(digest));
  const same = manifest.features === task.features && manifest.labels.join('\n') === task.labels.join('\n');
  return same ? weights : null;
}

/** The same, and null where they are lost or damaged for good: what cannot be read is nothing to compare with. */
export async function usableWeights(
  digest: string,
  context: Parameters<typeof weightsOf>[1],
): Promise<Uint8Array | null> {
  try {
    return await weightsOf(digest, context);
  } catch (thrown) {
    if (asSluiceError(thrown).retry) throw thrown;
    return null;
  }
}

/** Throws MODEL_MISMATCH, MODEL_CORRUPT, BUNDLE_*, REGISTRY_*. */
export async function openGate(rollout: Rollout, context: GateContext): Promise<Gate> {
  const { task, parts, options, devices } = context;
  const candidate = await weightsOf(rollout.candidate.digest, context);
  if (!candidate) throw new SluiceError('MODEL_MISMATCH', 'it was made for other features or labels');
  const base = rollout.base && (await usableWeights(rollout.base.digest, context));
  const { alpha, margin, perDevice, minCount } = options.gate;
  const test = { alpha, margin, tolerance: 0, perDevice, minCount, devices: devices() };
  return new Gate(task, parts.engine, { candidate, base }, test, rollout.position);
}

/** Takes some of what came since the last look. */
export async function feedGate(gate: Gate, { task, parts }: GateContext): Promise<void> {
  for (let page = 0; page < PAGES; page += 1) {
    const { rows, through } = await parts.pool.unseen(task, gate.position, PAGE);
    if (through === gate.position) return;
    await gate.take(rows, through);
    const { answer } = gate.test;
    if (answer === 'better' || answer === 'worse') return;
  }
}
