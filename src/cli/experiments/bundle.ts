/**
 * The winner as a bundle file: the manifest filled with what really happened, signed where a key was given, written
 * whole or not at all. The same experiments give the same bytes where `created` is the same.
 */
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { BundleManifest, Measured } from '../../contract.ts';
import { digestOf, encodeBundle } from '../../model/bundle.ts';
import { digestRows, type RowStore } from '../../task/experiments/rows.ts';
import type { Job } from '../../task/experiments/trial.ts';
import { type FeatureVariant, featureOptions } from '../../task/experiments/variants.ts';
import { readBundleFile } from '../evaluate/frozen.ts';
import type { Asked } from './asked.ts';

export interface Made {
  readonly variant: FeatureVariant;
  readonly store: RowStore;
  /** What the model learned. */
  readonly job: Job;
  /** On events that no model had learned; null where none were kept for that. */
  readonly quality: Measured | null;
  /** ms. */
  readonly created: number;
}

/** What is known of the bundle that this one is to replace. Throws BUNDLE_*, INPUT_NOT_FOUND. */
export function readParent(path: string | null): {
  readonly digest: string | null;
  readonly version: number;
} {
  if (path === null) return { digest: null, version: 0 };
  const { digest, manifest } = readBundleFile(path);
  return { digest, version: manifest.version };
}

function countLabels({ labels }: RowStore, { train }: Job, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (let i = train.from; i < train.to; i += 1) counts[labels[i]] += 1;
  return counts;
}

export function manifestOf(asked: Asked, made: Made, parent: ReturnType<typeof readParent>): BundleManifest {
  const { variant, store, job, quality, created } = made;
  const { task, spec } = variant;
  const { from, to } = job.train;
  // Rules are in the weights, where their statistics are.
  const { dims, denseDims, classes } = task.shape;
  // The key that features are hashed with is the fleet's secret.
  const { key: _, ...options } = featureOptions(spec);
  // A date in the future (mails lie) would keep what gateways learned meanwhile from being replayed.
  const newest = Math.min(store.at[to - 1], created);
  return {
    format: 1,
    task: task.name,
    version: parent.version + 1,
    labels: task.labels,
    positive: task.labels[task.positive],
    kind: job.experiment.kind,
    options: job.experiment.options,
    shape: { dims, denseDims, classes },
    features: task.features,
    featureOptions: options,
    event: task.event,
    training: {
      rows: to - from,
      digest: digestRows(store, from, to),
      through: {},
      until: newest > 0 ? Math.floor(newest) : 0,
      counts: countLabels(store, job, task.labels.length),
      seed: asked.seed,
      passes: job.experiment.passes,
    },
    quality,
    parent: parent.digest,
    created,
    expires: created + asked.lifetime,
  };
}

export interface Written {
  readonly path: string;
  readonly digest: string;
  readonly bytes: number;
  /** Short name of the key that signed it, or null. */
  readonly signer: string | null;
}

/** Packs, signs and writes. A file that was there is replaced at once, when the new one is whole on disk. */
export async function writeBundle(
  asked: Asked,
  manifest: BundleManifest,
  weights: Uint8Array,
): Promise<Written> {
  const bytes = encodeBundle(manifest, weights, asked.key);
  const partial = `${asked.out}.${randomBytes(6).toString('hex')}.partial`;
  try {
    const file = await open(partial, 'wx', 0o644);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, asked.out);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  return {
    path: asked.out,
    digest: digestOf(bytes),
    bytes: bytes.length,
    signer: asked.key === null ? null : asked.key.public.id,
  };
}
