/** Seeded sets of rows for tests of training: two dense columns that decide the label, and what a test plants. */
import type { RowSet, TrainRequest } from '../../src/contract.ts';
import { seeded } from '../model/fixtures.ts';

export const shape = { dims: 64, denseDims: 2, classes: 2 };

/** How row `i` of `count` gets its label from its two columns. */
export type Rule = (x: number, y: number, i: number) => boolean;

export function rowSet(count: number, rule: Rule = (x, y) => x + y > 0, seed = 1): RowSet {
  const random = seeded(seed);
  const dense = Float32Array.from({ length: count * 2 }, () => random() * 2 - 1);
  const labels = Int32Array.from({ length: count }, (_, i) =>
    Number(rule(dense[i * 2], dense[i * 2 + 1], i)),
  );
  return {
    features: 'test-1',
    rows: {
      count,
      indptr: Uint32Array.from({ length: count + 1 }, (_, i) => i),
      indices: Uint32Array.from({ length: count }, () => Math.floor(random() * 64)),
      values: new Float32Array(count).fill(0.1),
      denseDims: 2,
      dense,
    },
    labels,
    weights: new Float32Array(count).fill(1),
    at: Float64Array.from({ length: count }, (_, i) => 1_000 * i),
  };
}

export const first = {
  kind: 'linear',
  options: { rate: 0.4, l2: 0, eps: 1e-6, normalise: 1 },
  passes: 1,
  newest: 0,
};

export const request = (set: RowSet, given: Partial<TrainRequest> = {}): TrainRequest => ({
  set,
  shape,
  labels: ['ok', 'fault'],
  budget: 1,
  first,
  validation: 0.2,
  start: null,
  seed: 1,
  ...given,
});
