/** Labelled rows for tests of the pool. */
import type { LabelledRow } from '../../src/contract.ts';

/** Row n of a site: its cells say its number, so that rows can be told apart. */
export function labelled(n: number, over: Partial<LabelledRow> = {}): LabelledRow {
  return {
    site: 'north',
    task: 'spam',
    seq: n,
    event: `e-${n}`,
    device: `d${n % 3}`,
    at: 1_000 + n,
    labelledAt: 2_000 + n,
    label: n % 2,
    weight: 0.5,
    origin: n % 4 === 0 ? 'robot' : 'desk',
    features: 'f-1',
    rows: {
      count: 1,
      indptr: Uint32Array.of(0, 3),
      indices: Uint32Array.of(n % 1_024, 7, 900),
      values: Float32Array.of(n, 0.25, -0.25),
      denseDims: 2,
      dense: Float32Array.of(Number.NaN, n / 3),
    },
    scores: Float32Array.of(0.25, 0.75),
    predicted: 1,
    model: 'blank+7',
    paired: n % 5 === 0 ? { live: 'a', liveLoss: 0.1, other: 'b', otherLoss: 0.2 } : null,
    ...over,
  };
}

export const shape = { dims: 1_024, denseDims: 2, classes: 2 };
export const wanted = { features: 'f-1', shape };
