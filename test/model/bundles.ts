/** A small model's manifest and weights, for the tests of bundles, registry and verbs. */
import type { BundleManifest, Desired } from '../../src/contract.ts';
import { seededRandom } from '../../src/task/random.ts';

export const DAY = 86_400_000;
/** A fixed moment: 2026-01-01. */
export const NOW = 1_767_225_600_000;

export function manifestOf(change: Partial<BundleManifest> = {}): BundleManifest {
  return {
    format: 1,
    task: 'machine',
    version: 3,
    labels: ['ok', 'fault'],
    positive: 'fault',
    kind: 'linear',
    options: { rate: 0.4, l2: 0, eps: 1e-6, normalise: 1 },
    shape: { dims: 0, denseDims: 4, classes: 2 },
    features: 'sensor/1/abc [ok,fault]',
    featureOptions: { windows: [8, 32], lag: true },
    event: 'sensor',
    training: {
      rows: 1_204,
      digest: 'a'.repeat(64),
      through: { 'north-gate': 812, 'south-gate': 431 },
      until: NOW - DAY,
      counts: [1_100, 104],
      seed: 7,
      passes: 2,
    },
    quality: { tested: 400, accuracy: 0.971, logLoss: 0.081, interval: [0.069, 0.093] },
    parent: null,
    created: NOW,
    expires: NOW + 90 * DAY,
    ...change,
  };
}

/** Compressible unless `noisy`. */
export function weightsOf(bytes: number, seed = 1, noisy = false): Uint8Array {
  const random = seededRandom(seed, 'weights');
  return Uint8Array.from({ length: bytes }, (_, i) =>
    noisy || i % 5 === 0 ? Math.floor(random() * 256) : 0,
  );
}

export function desiredOf(change: Partial<Desired> = {}): Desired {
  return {
    group: 'default',
    task: 'machine',
    serial: 7,
    digest: 'b'.repeat(64),
    version: 3,
    size: 300_000,
    chunks: 2,
    candidate: null,
    compare: null,
    at: NOW,
    ...change,
  };
}
