/**
 * Rows in a file, for processes that train and for sets larger than memory. Written once, block by block, then read
 * as often as needed; only labels, weights and times are held. A file lives as long as its run and is read on
 * the machine that wrote it, so numbers are in the machine's own order. Refuses (TRAINING_FAILED) what it did not write.
 *
 *   block*   indices u32[cells]  values f32[cells]  dense f32[rows * denseDims]
 *   footer   lengths u32[rows]  labels i32[rows]  weights f32[rows]  at f64[rows]  block rows u32[blocks]  features
 *   end      rows, denseDims, blocks, bytes of features, footer's offset, mark: f64[6]
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { RowSet, Rows } from '../../contract.ts';
import { BLOCK_ROWS, type Block, failed, type RowStore, spanOf } from './rows.ts';

/** `rows v1` in numbers. */
const MARK = 7_209_533_001;
const END_BYTES = 48;
/** A block ends when it has so many cells: 8 MiB. */
const BLOCK_CELLS = 1 << 20;

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Numbers one after the other, in arrays that double. */
class Growing<T extends Uint32Array | Int32Array | Float32Array | Float64Array> {
  #items: T;
  #count = 0;
  readonly #make: (length: number) => T;

  constructor(make: (length: number) => T) {
    this.#make = make;
    this.#items = make(1_024);
  }

  push(value: number): void {
    if (this.#count === this.#items.length) {
      const wider = this.#make(this.#count * 2);
      wider.set(this.#items);
      this.#items = wider;
    }
    this.#items[this.#count++] = value;
  }

  get all(): T {
    return this.#items.subarray(0, this.#count) as T;
  }
}

export class RowFileWriter {
  readonly #file: FileHandle;
  readonly #features: string;
  readonly #denseDims: number;
  readonly #lengths = new Growing((n) => new Uint32Array(n));
  readonly #labels = new Growing((n) => new Int32Array(n));
  readonly #weights = new Growing((n) => new Float32Array(n));
  readonly #at = new Growing((n) => new Float64Array(n));
  readonly #blocks = new Growing((n) => new Uint32Array(n));
  #bytes = 0;

  constructor(file: FileHandle, features: string, denseDims: number) {
    this.#file = file;
    this.#features = features;
    this.#denseDims = denseDims;
  }

  static async create(path: string, features: string, denseDims: number): Promise<RowFileWriter> {
    return new RowFileWriter(await open(path, 'w', 0o600), features, denseDims);
  }

  /** Bytes of rows written. */
  get bytes(): number {
    return this.#bytes;
  }

  get rows(): number {
    return this.#labels.all.length;
  }

  /** Adds rows; the arrays are free again when it resolves. */
  async add(
    rows: Rows,
    labels: ArrayLike<number>,
    weights: ArrayLike<number> | null,
    at: ArrayLike<number>,
  ): Promise<void> {
    for (let from = 0; from < rows.count; ) {
      let to = from + 1;
      const first = rows.indptr[from];
      while (to < rows.count && to - from < BLOCK_ROWS && rows.indptr[to + 1] - first <= BLOCK_CELLS) to += 1;
      await this.#block(spanOf(rows, from, to));
      for (let i = from; i < to; i += 1) {
        this.#lengths.push(rows.indptr[i + 1] - rows.indptr[i]);
        this.#labels.push(labels[i]);
        this.#weights.push(weights === null ? 1 : weights[i]);
        this.#at.push(at[i]);
      }
      from = to;
    }
  }

  async #block(rows: Rows): Promise<void> {
    const [first, last] = [rows.indptr[0], rows.indptr[rows.count]];
    this.#blocks.push(rows.count);
    await this.#write(rows.indices.subarray(first, last));
    await this.#write(rows.values.subarray(first, last));
    await this.#write(rows.dense.subarray(0, rows.count * this.#denseDims));
  }

  async #write(array: ArrayBufferView): Promise<void> {
    const bytes = bytesOf(array);
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#bytes + done);
      done += bytesWritten;
    }
    this.#bytes += bytes.length;
  }

  /** Ends the file. Call it, or `abandon`, once. */
  async finish(): Promise<void> {
    const footer = this.#bytes;
    const features = Buffer.from(this.#features);
    const columns = [this.#lengths, this.#labels, this.#weights, this.#at, this.#blocks];
    for (const column of columns) await this.#write(column.all);
    await this.#write(features);
    await this.#write(
      Float64Array.of(this.rows, this.#denseDims, this.#blocks.all.length, features.length, footer, MARK),
    );
    await this.#file.close();
  }

  async abandon(): Promise<void> {
    await this.#file.close();
  }
}

/** Writes a whole set. */
export async function writeRowFile(
  path: string,
  { features, rows, labels, weights, at }: RowSet,
): Promise<void> {
  const writer = await RowFileWriter.create(path, features, rows.denseDims);
  try {
    await writer.add(rows, labels, weights, at);
  } catch (error) {
    await writer.abandon();
    throw error;
  }
  await writer.finish();
}

function read(file: number, into: ArrayBufferView, position: number): void {
  const bytes = bytesOf(into);
  for (let done = 0; done < bytes.length; ) {
    const n = readSync(file, bytes, done, bytes.length - done, position + done);
    if (n === 0) throw failed('the file of rows is shorter than it says');
    done += n;
  }
}

/** Opens what a RowFileWriter finished; `size` is the file's. Throws TRAINING_FAILED. */
export function openRowFile(path: string, size: number): RowStore {
  const file = openSync(path, 'r');
  try {
    return new FileStore(file, size);
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

class FileStore implements RowStore {
  readonly features: string;
  readonly count: number;
  readonly denseDims: number;
  readonly labels: Int32Array;
  readonly weights: Float32Array;
  readonly at: Float64Array;
  readonly #file: number;
  readonly #lengths: Uint32Array;
  readonly #blockRows: Uint32Array;
  #buffer = new ArrayBuffer(0);

  constructor(file: number, size: number) {
    this.#file = file;
    const end = new Float64Array(6);
    if (size < END_BYTES) throw failed('the file of rows was not finished');
    read(file, end, size - END_BYTES);
    const [count, denseDims, blocks, features, footer, mark] = end;
    if (mark !== MARK || footer + count * 20 + blocks * 4 + features + END_BYTES !== size)
      throw failed('the file of rows was not finished');
    this.count = count;
    this.denseDims = denseDims;
    this.#lengths = new Uint32Array(count);
    this.labels = new Int32Array(count);
    this.weights = new Float32Array(count);
    this.at = new Float64Array(count);
    this.#blockRows = new Uint32Array(blocks);
    const name = Buffer.alloc(features);
    let position = footer;
    for (const column of [this.#lengths, this.labels, this.weights, this.at, this.#blockRows, name]) {
      read(file, column, position);
      position += column.byteLength;
    }
    this.features = name.toString();
  }

  /** A block read whole, then cut: the cells of a row lie behind those of the rows before it. */
  *blocks(from: number, to: number): Generator<Block> {
    let first = 0;
    let position = 0;
    for (const rows of this.#blockRows) {
      const end = first + rows;
      if (first >= to) return;
      let cells = 0;
      for (let i = first; i < end; i += 1) cells += this.#lengths[i];
      if (end > from) {
        const whole = this.#read(first, rows, cells, position);
        const [begin, last] = [Math.max(from, first), Math.min(to, end)];
        yield {
          first: begin,
          rows: spanOf(whole, begin - first, last - first),
          labels: this.labels.subarray(begin, last),
          weights: this.weights.subarray(begin, last),
        };
      }
      position += cells * 8 + rows * this.denseDims * 4;
      first = end;
    }
  }

  #read(first: number, count: number, cells: number, position: number): Rows {
    const dense = count * this.denseDims;
    const bytes = cells * 8 + dense * 4;
    if (this.#buffer.byteLength < bytes) this.#buffer = new ArrayBuffer(bytes + (bytes >> 2));
    read(this.#file, new Uint8Array(this.#buffer, 0, bytes), position);
    const indptr = new Uint32Array(count + 1);
    for (let i = 0; i < count; i += 1) indptr[i + 1] = indptr[i] + this.#lengths[first + i];
    return {
      count,
      indptr,
      indices: new Uint32Array(this.#buffer, 0, cells),
      values: new Float32Array(this.#buffer, cells * 4, cells),
      denseDims: this.denseDims,
      dense: new Float32Array(this.#buffer, cells * 8, dense),
    };
  }

  close(): void {
    closeSync(this.#file);
  }
}
