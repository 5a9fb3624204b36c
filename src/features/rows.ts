/**
 * The row arena: feature rows of one batch in CSR form beside a dense block. Promises: within a row
 * every bucket stands once, in the order of its first appearance, with equal buckets summed, so the
 * same calls give the same bits; nothing is allocated per event once the arena has grown; after an
 * error `abandonRow` leaves the rows before it untouched. Refuses (MODEL_INPUT) buckets outside the
 * space, sparse values that are not finite, and rows opened or closed out of turn.
 */
import type { Rows, RowWriter } from '../contract.ts';
import { SluiceError } from '../errors.ts';

const FIRST_ROWS = 64;
const FIRST_CELLS = 4_096;
/** Power of two; the scratch table is kept at most half full. */
const FIRST_SLOTS = 8_192;
/** After so many resets, what was not needed to within SHRINK_FACTOR is given back. */
const SHRINK_AFTER = 64;
const SHRINK_FACTOR = 4;

export class RowArena implements RowWriter {
  /** Number of sparse buckets; an index must be below it. */
  readonly dims: number;
  readonly denseDims: number;
  readonly #shared: boolean;
  #indptr: Uint32Array;
  #indices: Uint32Array;
  #values: Float32Array;
  #dense: Float32Array;
  #count = 0;
  /** Cells written, the open row's included. */
  #cells = 0;
  #open = false;
  // Open addressing, three numbers a slot: epoch, bucket, position. It is taken only where its epoch is the row's.
  #slots = new Uint32Array(FIRST_SLOTS * 3);
  #slotMask = FIRST_SLOTS - 1;
  #epoch = 0;
  /** Whether the table has the open row's cells. */
  #indexed = true;
  // The most that was needed since the last decision to shrink.
  #resets = 0;
  #peakRows = 0;
  #peakCells = 0;
  #peakRowCells = 0;

  /** `memory` shared: what `view` gives may be read by other threads. */
  constructor(dims: number, denseDims: number, memory: 'own' | 'shared' = 'own') {
    this.dims = dims;
    this.denseDims = denseDims;
    this.#shared = memory === 'shared';
    this.#indptr = this.#words(FIRST_ROWS + 1);
    this.#indices = this.#words(FIRST_CELLS);
    this.#values = this.#floats(FIRST_CELLS);
    this.#dense = this.#floats(FIRST_ROWS * denseDims);
  }

  /** Finished rows. */
  get count(): number {
    return this.#count;
  }

  /** Sparse cells written, the open row's included. */
  get cells(): number {
    return this.#cells;
  }

  /** Bytes held by the arena's arrays. */
  get bytes(): number {
    return (
      this.#indptr.byteLength +
      this.#indices.byteLength +
      this.#values.byteLength +
      this.#dense.byteLength +
      this.#slots.byteLength
    );
  }

  /**
   * The finished rows, over the arena's own arrays: valid until the next `beginRow` or `reset`, and
   * nothing may be written while a model holds them.
   */
  view(): Rows {
    return {
      count: this.#count,
      indptr: this.#indptr,
      indices: this.#indices,
      values: this.#values,
      denseDims: this.denseDims,
      dense: this.#dense,
    };
  }

  /** Forgets all rows; every SHRINK_AFTER calls lets go of what one huge batch had made it grow to. */
  reset(): void {
    this.#peakRows = Math.max(this.#peakRows, this.#count);
    this.#peakCells = Math.max(this.#peakCells, this.#cells);
    this.#count = 0;
    this.#cells = 0;
    this.#open = false;
    this.#resets += 1;
    if (this.#resets >= SHRINK_AFTER) this.#shrink();
  }

  /** Opens a row; its dense cells start as missing (NaN). */
  beginRow(): void {
    if (this.#open) throw new SluiceError('MODEL_INPUT', 'a row was opened inside another row');
    this.#open = true;
    const rows = this.#count + 1;
    if (rows + 1 > this.#indptr.length) this.#growRows(rows * 2);
    this.#dense.fill(Number.NaN, this.#count * this.denseDims, rows * this.denseDims);
    this.#indexed = true;
    this.#epoch = (this.#epoch + 1) >>> 0;
    if (this.#epoch === 0) {
      this.#slots.fill(0);
      this.#epoch = 1;
    }
  }

  sparse(index: number, value: number): void {
    if (!this.#open) throw new SluiceError('MODEL_INPUT', 'a cell was written outside a row');
    this.#check(index, value);
    if (!this.#indexed) this.#index();
    const slots = this.#slots;
    let slot = Math.imul(index, 0x9e3779b1) >>> 8;
    for (; ; slot += 1) {
      const at = (slot & this.#slotMask) * 3;
      if (slots[at] !== this.#epoch) {
        this.#append(at, index, value);
        return;
      }
      if (slots[at + 1] === index) {
        this.#values[slots[at + 2]] += value;
        return;
      }
    }
  }

  block(indices: Uint32Array, values: Float32Array, count: number): void {
    if (!this.#open) throw new SluiceError('MODEL_INPUT', 'a cell was written outside a row');
    if (!(count >= 0 && count <= Math.min(indices.length, values.length)))
      throw new SluiceError('MODEL_INPUT', `there are no ${count} cells`);
    for (let i = 0; i < count; i += 1)
      if (indices[i] >= this.dims || !(values[i] - values[i] === 0)) this.#check(indices[i], values[i]);
    const from = this.#cells;
    if (from > this.#indptr[this.#count]) {
      // They may meet what is there.
      for (let i = 0; i < count; i += 1) this.sparse(indices[i], values[i]);
      return;
    }
    if (from + count > this.#indices.length) this.#resizeCells((from + count) * 2);
    this.#indices.set(indices.subarray(0, count), from);
    this.#values.set(values.subarray(0, count), from);
    this.#cells = from + count;
    this.#indexed = false;
  }

  dense(position: number, value: number): void {
    if (!this.#open) throw new SluiceError('MODEL_INPUT', 'a cell was written outside a row');
    if (!(position >= 0 && position < this.denseDims) || !Number.isInteger(position))
      throw new SluiceError('MODEL_INPUT', `column ${position} is outside the ${this.denseDims} dense ones`);
    this.#dense[this.#count * this.denseDims + position] = value;
  }

  /** Closes the row. */
  endRow(): void {
    if (!this.#open) throw new SluiceError('MODEL_INPUT', 'a row was closed that was not open');
    this.#peakRowCells = Math.max(this.#peakRowCells, this.#cells - this.#indptr[this.#count]);
    this.#open = false;
    this.#count += 1;
    this.#indptr[this.#count] = this.#cells;
  }

  /** Drops the open row, if there is one; for use after a featurizer threw. */
  abandonRow(): void {
    this.#open = false;
    this.#cells = this.#indptr[this.#count];
  }

  /** Copies row i of other rows behind the own ones; they are of the same space. */
  append(rows: Rows, i: number): void {
    if (this.#open) throw new SluiceError('MODEL_INPUT', 'a row was appended inside another row');
    if (rows.denseDims !== this.denseDims || !(i >= 0 && i < rows.count))
      throw new SluiceError('MODEL_INPUT', `there is no row ${i} of ${this.denseDims} dense columns`);
    const from = rows.indptr[i];
    const to = rows.indptr[i + 1];
    const end = this.#cells + to - from;
    if (this.#count + 2 > this.#indptr.length) this.#growRows((this.#count + 1) * 2);
    if (end > this.#indices.length) this.#resizeCells(Math.max(end, this.#indices.length * 2));
    this.#indices.set(rows.indices.subarray(from, to), this.#cells);
    this.#values.set(rows.values.subarray(from, to), this.#cells);
    if (this.denseDims > 0)
      this.#dense.set(
        rows.dense.subarray(i * this.denseDims, (i + 1) * this.denseDims),
        this.#count * this.denseDims,
      );
    this.#cells = end;
    this.#count += 1;
    this.#indptr[this.#count] = end;
  }

  /** Forgets the rows from `count` on, and the open one. */
  truncate(count: number): void {
    this.#count = Math.min(this.#count, count);
    this.abandonRow();
  }

  #check(index: number, value: number): void {
    if (!(index >= 0 && index < this.dims) || !Number.isInteger(index))
      throw new SluiceError('MODEL_INPUT', `bucket ${index} is outside the space of ${this.dims}`);
    if (!(value - value === 0)) throw new SluiceError('MODEL_INPUT', 'a sparse value is not finite');
  }

  /** Puts the cells of a block into the table, for a cell behind them may meet one. */
  #index(): void {
    let slots = this.#slotMask + 1;
    while (slots < (this.#cells - this.#indptr[this.#count]) * 2) slots *= 2;
    this.#rehash(slots);
    this.#indexed = true;
  }

  #append(at: number, index: number, value: number): void {
    const position = this.#cells;
    if (position === this.#indices.length) this.#resizeCells(position * 2);
    this.#indices[position] = index;
    this.#values[position] = value;
    this.#cells = position + 1;
    this.#slots[at] = this.#epoch;
    this.#slots[at + 1] = index;
    this.#slots[at + 2] = position;
    if ((this.#cells - this.#indptr[this.#count]) * 2 > this.#slotMask)
      this.#rehash((this.#slotMask + 1) * 2);
  }

  /** A table of `size` slots, holding the open row. */
  #rehash(size: number): void {
    if (size === this.#slotMask + 1) this.#slots.fill(0);
    else this.#slots = new Uint32Array(size * 3);
    this.#slotMask = size - 1;
    this.#epoch = 1;
    if (!this.#open) return;
    for (let position = this.#indptr[this.#count]; position < this.#cells; position += 1) {
      const index = this.#indices[position];
      let slot = Math.imul(index, 0x9e3779b1) >>> 8;
      while (this.#slots[(slot & this.#slotMask) * 3] === 1) slot += 1;
      this.#slots.set([1, index, position], (slot & this.#slotMask) * 3);
    }
  }

  #growRows(rows: number): void {
    const indptr = this.#words(rows + 1);
    indptr.set(this.#indptr);
    this.#indptr = indptr;
    const dense = this.#floats(rows * this.denseDims);
    dense.set(this.#dense);
    this.#dense = dense;
  }

  #resizeCells(cells: number): void {
    const indices = this.#words(cells);
    const values = this.#floats(cells);
    indices.set(this.#indices.subarray(0, this.#cells));
    values.set(this.#values.subarray(0, this.#cells));
    this.#indices = indices;
    this.#values = values;
  }

  /** Called on an empty arena only. */
  #shrink(): void {
    const cells = Math.max(FIRST_CELLS, this.#peakCells * 2);
    if (this.#indices.length > cells * SHRINK_FACTOR) this.#resizeCells(cells);
    const rows = Math.max(FIRST_ROWS, this.#peakRows * 2);
    if (this.#indptr.length > rows * SHRINK_FACTOR) {
      this.#indptr = this.#words(rows + 1);
      this.#dense = this.#floats(rows * this.denseDims);
    }
    let slots = FIRST_SLOTS;
    while (slots < this.#peakRowCells * 2) slots *= 2;
    if (this.#slotMask + 1 > slots * SHRINK_FACTOR) this.#rehash(slots);
    this.#resets = 0;
    this.#peakRows = 0;
    this.#peakCells = 0;
    this.#peakRowCells = 0;
  }

  #words(length: number): Uint32Array {
    return this.#shared ? new Uint32Array(new SharedArrayBuffer(length * 4)) : new Uint32Array(length);
  }

  #floats(length: number): Float32Array {
    return this.#shared ? new Float32Array(new SharedArrayBuffer(length * 4)) : new Float32Array(length);
  }
}

/** A copy of row i that stands alone: safe to keep, arrays exactly as long as used. */
export function sliceRow(rows: Rows, i: number): Rows {
  if (!(i >= 0 && i < rows.count)) throw new SluiceError('MODEL_INPUT', `there is no row ${i}`);
  const from = rows.indptr[i];
  const to = rows.indptr[i + 1];
  return {
    count: 1,
    indptr: Uint32Array.of(0, to - from),
    indices: rows.indices.slice(from, to),
    values: rows.values.slice(from, to),
    denseDims: rows.denseDims,
    dense: rows.dense.slice(i * rows.denseDims, (i + 1) * rows.denseDims),
  };
}

/** All rows of all parts, in order, in new arrays. Refuses parts of unequal dense width (MODEL_INPUT). */
export function concat(parts: readonly Rows[]): Rows {
  const denseDims = parts[0]?.denseDims ?? 0;
  let count = 0;
  let cells = 0;
  for (const part of parts) {
    if (part.denseDims !== denseDims)
      throw new SluiceError('MODEL_INPUT', `rows of ${part.denseDims} and ${denseDims} dense columns`);
    count += part.count;
    cells += part.indptr[part.count] - part.indptr[0];
  }
  const indptr = new Uint32Array(count + 1);
  const indices = new Uint32Array(cells);
  const values = new Float32Array(cells);
  const dense = new Float32Array(count * denseDims);
  let row = 0;
  let cell = 0;
  for (const part of parts) {
    const first = part.indptr[0];
    const last = part.indptr[part.count];
    indices.set(part.indices.subarray(first, last), cell);
    values.set(part.values.subarray(first, last), cell);
    dense.set(part.dense.subarray(0, part.count * denseDims), row * denseDims);
    for (let i = 1; i <= part.count; i += 1) indptr[row + i] = cell + part.indptr[i] - first;
    row += part.count;
    cell += last - first;
  }
  return { count, indptr, indices, values, denseDims, dense };
}
