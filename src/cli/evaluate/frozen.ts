/**
 * `evaluate --bundle FILE`: the model of a bundle on data, as it is. The file's structure, digests and signature are
 * checked (who signed it is shown, not judged: nothing is installed), and so is that it fits the task:
 * labels and features the same (BUNDLE_MISMATCH). Refuses (USAGE) options that only make sense where something is learned.
 */
import { readFileSync } from 'node:fs';
import type { Bundle, Engine, Model } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { MAX_BUNDLE_BYTES, mismatch, readBundle } from '../../model/bundle.ts';
import type { Protocol } from '../../task/evaluation.ts';
import type { Task, TaskSpec } from '../../task/task.ts';
import { type Given, usage } from './asked.ts';

/** Nothing trains, everything is tested. */
export const FROZEN: Protocol = { kind: 'holdout', trainFraction: 0 };

/** Throws INPUT_NOT_FOUND, BUNDLE_*. */
export function readBundleFile(path: string): Bundle {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new SluiceError('INPUT_NOT_FOUND', `${path}: ${(error as Error).message}`, { cause: error });
  }
  return readBundle(bytes, { maxBytes: MAX_BUNDLE_BYTES });
}

/** The bundle that was asked for, or null. */
export function openFrozen(given: Given): Bundle | null {
  if (given.bundle === undefined) return null;
  const idle: readonly (readonly [string, boolean])[] = [
    ['--train', given.train.length > 0],
    ['--train-fraction', given.trainFraction !== undefined],
    ['--shuffle', given.shuffle === true],
    ['--test-from', given.testFrom !== undefined],
    ['--feedback', given.feedback !== 'immediate'],
    ['--model', given.model !== undefined],
    // How fields are treated is the task's, as how they are read; the bundle knows it by its version.
    ['--set', given.set.some((setting) => !setting.startsWith('fields.'))],
  ];
  const useless = idle.filter(([, used]) => used).map(([name]) => name);
  if (useless.length > 0)
    throw usage(`${useless.join(', ')}: --bundle tests a model as it is and learns nothing`);
  return readBundleFile(given.bundle);
}

/** The task as the bundle was trained for it; the key that features are hashed with stays the configuration's. */
export function asTrained({ manifest }: Bundle, spec: TaskSpec): TaskSpec {
  const { key } = (spec.features?.options ?? {}) as { readonly key?: string };
  return {
    ...spec,
    labels: manifest.labels,
    positive: spec.positive ?? manifest.positive,
    features: { options: { ...manifest.featureOptions, ...(key === undefined ? {} : { key }) } },
    model: { kind: manifest.kind, options: manifest.options },
  };
}

/** Throws BUNDLE_MISMATCH, MODEL_*. */
export function loadFrozen({ manifest, weights }: Bundle, task: Task, engine: Engine): Model {
  const reason = mismatch(manifest, { ...task, task: task.name });
  if (reason !== null) throw new SluiceError('BUNDLE_MISMATCH', reason);
  return task.loadModel(engine, weights, manifest.kind);
}
