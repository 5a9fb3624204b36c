/** Seeded rows for the model tests: uneven, with repeated buckets, missing dense values and skipped labels. */
import type { ModelShape, Rows } from '../../src/contract.ts';

/** A small seeded generator (mulberry32), numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export interface Labelled {
  readonly rows: Rows;
  readonly labels: Int32Array;
  readonly weights: Float32Array;
}

export function randomRows(seed: number, count: number, shape: ModelShape, longest = 60): Labelled {
  const random = seeded(seed);
  const indptr = [0];
  const indices: number[] = [];
  const values: number[] = [];
  for (let row = 0; row < count; row += 1) {
    const size = shape.dims === 0 ? 0 : Math.floor(random() * longest);
    for (let p = 0; p < size; p += 1) {
      indices.push(Math.floor(random() * shape.dims));
      values.push(random() - 0.3);
    }
    indptr.push(indices.length);
  }
  const dense = Float32Array.from({ length: count * shape.denseDims }, () =>
    random() < 0.1 ? Number.NaN : random() * 10,
  );
  return {
    rows: {
      count,
      indptr: Uint32Array.from(indptr),
      indices: Uint32Array.from(indices),
      values: Float32Array.from(values),
      denseDims: shape.denseDims,
      dense,
    },
    labels: Int32Array.from({ length: count }, () => Math.floor(random() * (shape.classes + 1)) - 1),
    weights: Float32Array.from({ length: count }, () => random() * 2),
  };
}

/** Row i alone. */
export function rowOf(batch: Labelled, i: number): Labelled {
  const { rows } = batch;
  const from = rows.indptr[i];
  const to = rows.indptr[i + 1];
  return {
    rows: {
      count: 1,
      indptr: Uint32Array.of(0, to - from),
      indices: rows.indices.slice(from, to),
      values: rows.values.slice(from, to),
      denseDims: rows.denseDims,
      dense: rows.dense.slice(i * rows.denseDims, (i + 1) * rows.denseDims),
    },
    labels: batch.labels.slice(i, i + 1),
    weights: batch.weights.slice(i, i + 1),
  };
}

/** The same rows with every array a view on shared memory, at an offset. */
export function shared(rows: Rows): Rows {
  const floats = (from: Float32Array): Float32Array => {
    const view = new Float32Array(new SharedArrayBuffer(from.byteLength + 16), 16, from.length);
    view.set(from);
    return view;
  };
  const words = (from: Uint32Array): Uint32Array => {
    const view = new Uint32Array(new SharedArrayBuffer(from.byteLength + 16), 16, from.length);
    view.set(from);
    return view;
  };
  return {
    ...rows,
    indptr: words(rows.indptr),
    indices: words(rows.indices),
    values: floats(rows.values),
    dense: floats(rows.dense),
  };
}

/** Bytes of any view, for comparisons bit by bit. */
export function bytesOf(view: ArrayBufferView): Buffer {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}
