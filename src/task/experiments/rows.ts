/**
 * Labelled rows as experiments read them: in order of time, a block at a time, from memory or from a file
 * (rowfile.ts), so that a set may be larger than memory. Promises: a block is valid until the next one is asked for;
 * blocks never hold rows outside the span that was asked for. Refuses (TRAINING_FAILED) sets whose arrays
 * contradict each other, whose labels do not exist, or whose time runs backwards.
 */
import { createHash } from 'node:crypto';
import type { ModelShape, RowSet, Rows } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';

/** Rows of one call of a model. */
export const BLOCK_ROWS = 512;

/** A part of a set. */
export interface Block {
  /** Index of its first row in the set. */
  readonly first: number;
  readonly rows: Rows;
  readonly labels: Int32Array;
  readonly weights: Float32Array;
}

export interface RowStore {
  readonly features: string;
  readonly count: number;
  readonly denseDims: number;
  readonly labels: Int32Array;
  readonly weights: Float32Array;
  readonly at: Float64Array;
  /** The rows [from, to) in order. */
  blocks(from: number, to: number): Iterable<Block>;
  close(): void;
}

export const failed = (detail: string, cause?: unknown): SluiceError =>
  new SluiceError('TRAINING_FAILED', detail, { cause });

/** Rows [from, to) over the same arrays. */
export function spanOf(rows: Rows, from: number, to: number): Rows {
  const { indptr, indices, values, denseDims, dense } = rows;
  return {
    count: to - from,
    indptr: indptr.subarray(from, to + 1),
    indices,
    values,
    denseDims,
    dense: dense.subarray(from * denseDims, to * denseDims),
  };
}

/** A set in memory; nothing is copied. */
export function memoryStore({ features, rows, labels, weights, at }: RowSet): RowStore {
  return {
    features,
    count: rows.count,
    denseDims: rows.denseDims,
    labels,
    weights,
    at,
    *blocks(from, to) {
      for (let first = from; first < to; first += BLOCK_ROWS) {
        const end = Math.min(to, first + BLOCK_ROWS);
        yield {
          first,
          rows: spanOf(rows, first, end),
          labels: labels.subarray(first, end),
          weights: weights.subarray(first, end),
        };
      }
    },
    close() {},
  };
}

/** Throws TRAINING_FAILED where a set cannot be learned from as it is. */
export function checkSet({ rows, labels, weights, at }: RowSet, shape: ModelShape): void {
  const { count, denseDims } = rows;
  if (labels.length < count || weights.length < count || at.length < count)
    throw failed(
      `${count} rows came with ${labels.length} labels, ${weights.length} weights, ${at.length} times`,
    );
  if (denseDims !== shape.denseDims)
    throw failed(`rows of ${denseDims} dense columns for a model of ${shape.denseDims}`);
  for (let i = 0; i < count; i += 1) {
    if (!(labels[i] >= 0 && labels[i] < shape.classes))
      throw failed(`row ${i} has label ${labels[i]}, there are ${shape.classes}`);
    if (!(weights[i] >= 0 && weights[i] < Number.POSITIVE_INFINITY))
      throw failed(`row ${i} has weight ${weights[i]}`);
    if (i > 0 && !(at[i] >= at[i - 1])) throw failed(`row ${i} is older than the one before it`);
  }
}

/** The first row of a store that is newer than `at`. */
export function firstAfter(store: Pick<RowStore, 'at' | 'count'>, at: number): number {
  let [low, high] = [0, store.count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (store.at[middle] > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/**
 * SHA-256 (hex) over the rows [from, to): features, lengths, labels, weights, times, and the cells. It does
 * not depend on how the rows are cut into blocks.
 */
export function digestRows(store: RowStore, from: number, to: number): string {
  const [meta, indices, values, dense] = [0, 1, 2, 3].map(() => createHash('sha256'));
  meta.update(JSON.stringify([store.features, to - from, store.denseDims]));
  for (const { rows } of store.blocks(from, to)) {
    const [begin, end] = [rows.indptr[0], rows.indptr[rows.count]];
    meta.update(
      bytesOf(Uint32Array.from({ length: rows.count }, (_, i) => rows.indptr[i + 1] - rows.indptr[i])),
    );
    indices.update(bytesOf(rows.indices.subarray(begin, end)));
    values.update(bytesOf(rows.values.subarray(begin, end)));
    dense.update(bytesOf(rows.dense.subarray(0, rows.count * rows.denseDims)));
  }
  for (const array of [store.labels, store.weights, store.at]) meta.update(bytesOf(array.subarray(from, to)));
  const whole = createHash('sha256');
  for (const part of [meta, indices, values, dense]) whole.update(part.digest());
  return whole.digest('hex');
}
