/**
 * From rows to a signed candidate in the registry. Promises: the manifest says truly what was trained on (by site the
 * newest label that was known, the digest of the rows, the counts) and what the winner was worth on rows that it
 * had not learned. Refuses (TRAINING_FAILED, with the reason) too few rows and rows of one label only.
 */
import type { BundleManifest, BundleRef, Trial } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { chunkCount } from '../../model/desired.ts';
import type { HubLoopOptions } from './options.ts';
import type { HubParts, HubTask, TrainingRows } from './seams.ts';

export interface TrainingWant {
  readonly task: HubTask;
  readonly parts: Pick<HubParts, 'pool' | 'trainer' | 'registry' | 'sealing'>;
  readonly options: HubLoopOptions;
  /** What runs: its digest, and its weights where they fit the task. */
  readonly live: {
    readonly digest: string;
    readonly weights: Uint8Array | null;
    /** The newest label that it learned, ms. */
    readonly until: number;
  } | null;
  readonly reason: string;
  /** Since when the world is another one, ms; null: it is not. */
  readonly since: number | null;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

export interface Candidate {
  readonly ref: BundleRef;
  /** Rows of the pool behind this were not known to the training. */
  readonly position: number;
  readonly winner: Trial;
  readonly rows: number;
  readonly tried: number;
  readonly signer: string;
}

export async function makeCandidate(want: TrainingWant): Promise<Candidate> {
  const { task, parts, options, live, now, signal } = want;
  const training = await parts.pool.training(task);
  checkEnough(task, countLabels(task, training.set.labels), options.retrain.minRows);
  const { budget, gate } = options;
  // What was taken back or forgotten since must not live on in a model that goes on from one that learned it.
  const clean = live !== null && (training.withdrawnAt ?? 0) <= live.until;
  const { winner, model, leaderboard } = await parts.trainer.train(
    {
      set: training.set,
      shape: task.shape,
      labels: task.labels,
      budget,
      first: task.first,
      validation: validationOf(training, gate.validation, want.since),
      start: clean ? live.weights : null,
      ...(live ? { startUntil: live.until } : {}),
      seed: task.seed,
    },
    signal,
  );
  if (signal.aborted) throw new SluiceError('TRAINING_FAILED', 'the training was stopped');
  const version = await parts.registry.nextVersion(task.name);
  const at = now();
  const counts = countLabels(task, learned(training, winner, live?.until));
  const about = {
    version,
    winner,
    counts,
    parent: live?.digest ?? null,
    created: at,
    expires: at + options.expires,
  };
  const { bytes, signer } = parts.sealing.seal(manifestOf(task, training, about), model);
  const { digest, size } = await parts.registry.put(bytes, want.reason, at);
  const ref = { digest, version, size, chunks: chunkCount(size) };
  const rows = training.set.rows.count;
  return { ref, position: training.position, winner, rows, tried: leaderboard.length, signer };
}

/** Of the rows from after a drift, so large a part validates. */
const FRESH = 0.4;
const LEAST_VALIDATION = 40;

/**
 * The part of the rows that validates. After a drift it must lie behind it, and leave rows from behind it to learn: a
 * configuration that is best on the old world is of no use.
 */
function validationOf({ set: { at } }: TrainingRows, usual: number, since: number | null): number {
  if (since === null) return usual;
  const fresh = at.reduce((n, time) => n + (time >= since ? 1 : 0), 0);
  const rows = Math.max(LEAST_VALIDATION, Math.floor(FRESH * fresh));
  return Math.min(usual, rows / Math.max(1, at.length));
}

function countLabels(task: HubTask, labels: Int32Array): number[] {
  const counts = task.labels.map(() => 0);
  for (const label of labels) counts[label] += 1;
  return counts;
}

/** The labels that the winner learned last: the newest ones, or those from behind the model that it goes on from. */
function learned({ set }: TrainingRows, { experiment }: Trial, until = Number.NEGATIVE_INFINITY): Int32Array {
  if (experiment.continued) return set.labels.filter((_, i) => set.at[i] > until);
  return experiment.newest > 0 ? set.labels.slice(-experiment.newest) : set.labels;
}

function checkEnough(task: HubTask, counts: readonly number[], minRows: number): void {
  const rows = counts.reduce((sum, n) => sum + n, 0);
  if (rows < minRows)
    throw new SluiceError(
      'TRAINING_FAILED',
      `there are ${rows} labelled rows to train on, ${minRows} are needed`,
    );
  if (counts.filter((n) => n > 0).length < 2)
    throw new SluiceError('TRAINING_FAILED', `all rows of task ${task.name} have one label`);
}

interface About {
  readonly version: number;
  readonly winner: Trial;
  readonly counts: readonly number[];
  readonly parent: string | null;
  readonly created: number;
  readonly expires: number;
}

function manifestOf(task: HubTask, training: TrainingRows, about: About): BundleManifest {
  const { winner, counts, version, parent, created, expires } = about;
  const { kind, options, passes } = winner.experiment;
  // Rules are in the weights, where their statistics are.
  const { dims, denseDims, classes } = task.shape;
  return {
    format: 1,
    task: task.name,
    version,
    labels: task.labels,
    positive: task.labels[task.positive],
    kind,
    options,
    shape: { dims, denseDims, classes },
    features: task.features,
    featureOptions: task.featureOptions,
    event: task.event,
    training: {
      rows: training.set.rows.count,
      digest: training.digest,
      through: training.through,
      until: Math.max(0, Math.floor(training.until)),
      counts,
      seed: task.seed,
      passes,
    },
    quality: winner.validation,
    parent,
    created: Math.floor(created),
    expires: Math.floor(expires),
  };
}
