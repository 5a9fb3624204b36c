/** Some rows of many, in the order asked for. */
import type { RowSet, Rows } from '../../contract.ts';

/** Copies the rows at these places; a place may come twice. */
export function pickRows(rows: Rows, places: ArrayLike<number>): Rows {
  const count = places.length;
  const indptr = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++)
    indptr[i + 1] = indptr[i] + rows.indptr[places[i] + 1] - rows.indptr[places[i]];
  const indices = new Uint32Array(indptr[count]);
  const values = new Float32Array(indptr[count]);
  const { denseDims } = rows;
  const dense = new Float32Array(count * denseDims);
  for (let i = 0; i < count; i++) {
    const [from, to] = [rows.indptr[places[i]], rows.indptr[places[i] + 1]];
    indices.set(rows.indices.subarray(from, to), indptr[i]);
    values.set(rows.values.subarray(from, to), indptr[i]);
    dense.set(rows.dense.subarray(places[i] * denseDims, (places[i] + 1) * denseDims), i * denseDims);
  }
  return { count, indptr, indices, values, denseDims, dense };
}

/** The part of a set at these places, which must rise where `at` shall not fall. */
export function pickSet(set: RowSet, places: ArrayLike<number>): RowSet {
  const from = <T extends Int32Array | Float32Array | Float64Array>(into: T, values: T): T => {
    for (let i = 0; i < places.length; i++) into[i] = values[places[i]];
    return into;
  };
  return {
    features: set.features,
    rows: pickRows(set.rows, places),
    labels: from(new Int32Array(places.length), set.labels),
    weights: from(new Float32Array(places.length), set.weights),
    at: from(new Float64Array(places.length), set.at),
  };
}
