import { expect, it } from 'vitest';
import { sliceRows } from '../../src/task/experiments/slices.ts';

const labels = (...runs: readonly (readonly [label: number, count: number])[]) =>
  runs.flatMap(([label, count]) => new Array<number>(count).fill(label));

it('the newest rows choose, as many as are wanted, where they know every label', () => {
  const mixed = Array.from({ length: 1_000 }, (_, i) => i % 3);
  expect(sliceRows(mixed, 1_000, 200)).toEqual({ train: 800, end: 1_000 });
  expect(sliceRows(mixed, 900, 180)).toEqual({ train: 720, end: 900 });
});

it('a quiet stretch at the end does not choose alone: the part grows until it knows the other label', () => {
  const quiet = labels([0, 300], [1, 300], [0, 400]);
  expect(sliceRows(quiet, 1_000, 200)).toEqual({ train: 570, end: 1_000 });
});

it('training keeps a third, whatever the labels, and what is wanted is never made less', () => {
  expect(sliceRows(labels([1, 300], [0, 700]), 1_000, 200)).toEqual({ train: 800, end: 1_000 });
  expect(sliceRows(labels([1, 340], [0, 660]), 1_000, 200)).toEqual({ train: 334, end: 1_000 });
  expect(sliceRows(labels([1, 100], [0, 900]), 1_000, 900)).toEqual({ train: 100, end: 1_000 });
});

it('a label that is rare everywhere is wanted as far as half of it', () => {
  const rare = labels([0, 500], [1, 2], [0, 400], [1, 2], [0, 96]);
  expect(sliceRows(rare, 1_000, 50)).toEqual({ train: 902, end: 1_000 });
});

it.each([
  [0, 1],
  [1, 1],
  [5, 5],
  [5, 0],
])('%i rows of which %i are wanted are TRAINING_FAILED', (rows, wanted) => {
  expect(() => sliceRows(new Int32Array(rows), rows, wanted)).toThrow(
    expect.objectContaining({ code: 'TRAINING_FAILED' }),
  );
});
