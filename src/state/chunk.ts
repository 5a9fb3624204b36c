/**
 * One value of the join store: up to a few hundred scored events of one task and model, their rows in CSR.
 * Two checksums: `head` covers what an index or a start needs (names, times), `cells` the numbers, so that a
 * lookup that only verifies a name, and the rebuild of the index, never touch the rows.
 *
 *     0 head crc u32 · 4 cells crc u32 · 8 format u32 · 12 count u32 · 16 nnz u32 · 20 denseDims u32
 *     24 classes u32 · 28 aliases u32 · 32 text bytes u32 · 36 text units u32 · 40 head bytes u32 · 44 0
 *     48 put at f64 · 56 task, features, model lengths u32 ×3 · 68 0
 *     72 at f64[count] · id length u32[count] · device length u32[count] · alias row u32[aliases]
 *        alias length u32[aliases] · text (task features model, ids, devices, aliases; UTF-8) · padding
 *     cells: indptr u32[count+1] · indices u32[nnz] · values f32[nnz] · dense f32[count·denseDims]
 *            scores f32[count·classes] · predicted i32[count]
 *
 * Lengths are in UTF-16 units of the decoded text. Little-endian.
 */
import { crc32 } from 'node:zlib';
import type { Event, JoinBatch, JoinedRow, Rows } from '../contract.ts';
import { SluiceError } from '../errors.ts';

const FORMAT = 1;
const HEAD = 72;
/** Small enough that reading one row of a chunk costs little, large enough that the overhead per value vanishes. */
const CHUNK_BYTES = 256 * 1024;
const CHUNK_EVENTS = 4_096;
/** Names beyond this many per event are not indexed. */
const MAX_ALIASES = 64;

const padded = (bytes: number) => (bytes + 7) & ~7;

/** The names of an event that are indexed beside its id. */
export const aliasesOf = (event: Event): readonly string[] =>
  event.aliases.length > MAX_ALIASES ? event.aliases.slice(0, MAX_ALIASES) : event.aliases;

/** Cuts a batch into spans that make one chunk each. A single huge event is a chunk of its own. */
export function* spans(batch: JoinBatch): Generator<readonly [from: number, to: number]> {
  const { rows, events, classes } = batch;
  const fixed = 40 + 4 * (rows.denseDims + classes);
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < rows.count; i++) {
    const row =
      fixed + 8 * (rows.indptr[i + 1] - rows.indptr[i]) + events[i].id.length + events[i].device.length;
    if (i > from && (bytes + row > CHUNK_BYTES || i - from >= CHUNK_EVENTS)) {
      yield [from, i];
      from = i;
      bytes = 0;
    }
    bytes += row;
  }
  if (rows.count > from) yield [from, rows.count];
}

interface Names {
  readonly text: string;
  readonly aliasRows: number[];
  readonly aliasLengths: number[];
}

function gather(batch: JoinBatch, from: number, to: number): Names {
  let ids = '';
  let devices = '';
  let aliases = '';
  const aliasRows: number[] = [];
  const aliasLengths: number[] = [];
  for (let i = from; i < to; i++) {
    const event = batch.events[i];
    ids += event.id;
    devices += event.device;
    if (event.aliases.length === 0) continue;
    for (const alias of aliasesOf(event)) {
      aliases += alias;
      aliasRows.push(i - from);
      aliasLengths.push(alias.length);
    }
  }
  const text = batch.task + batch.features + batch.model + ids + devices + aliases;
  return { text, aliasRows, aliasLengths };
}

const u32 = (chunk: Buffer, at: number, count: number) =>
  new Uint32Array(chunk.buffer, chunk.byteOffset + at, count);
const f32 = (chunk: Buffer, at: number, count: number) =>
  new Float32Array(chunk.buffer, chunk.byteOffset + at, count);

/** Rows [from, to) of a batch as one value, a buffer of its own. */
export function encodeChunk(batch: JoinBatch, from: number, to: number, now: number): Buffer {
  const { rows, classes } = batch;
  const count = to - from;
  const names = gather(batch, from, to);
  const textBytes = Buffer.byteLength(names.text, 'utf8');
  const [first, last] = [rows.indptr[from], rows.indptr[to]];
  const nnz = last - first;
  const textAt = HEAD + 16 * count + 8 * names.aliasRows.length;
  const headBytes = padded(textAt + textBytes);
  const cells = 4 * (count + 1 + 2 * nnz + count * (rows.denseDims + classes + 1));
  const chunk = Buffer.allocUnsafeSlow(headBytes + cells);
  chunk.fill(0, 0, HEAD).fill(0, textAt + textBytes, headBytes);
  const aliases = names.aliasRows.length;
  const sizes = [rows.denseDims, classes, aliases, textBytes, names.text.length, headBytes];
  u32(chunk, 8, 9).set([FORMAT, count, nnz, ...sizes]);
  chunk.writeDoubleLE(now, 48);
  u32(chunk, 56, 3).set([batch.task.length, batch.features.length, batch.model.length]);
  const at = new Float64Array(chunk.buffer, HEAD, count);
  const idLengths = u32(chunk, HEAD + 8 * count, count);
  const deviceLengths = u32(chunk, HEAD + 12 * count, count);
  for (let i = 0; i < count; i++) {
    const event = batch.events[from + i];
    at[i] = event.at;
    idLengths[i] = event.id.length;
    deviceLengths[i] = event.device.length;
  }
  u32(chunk, HEAD + 16 * count, aliases).set(names.aliasRows);
  u32(chunk, HEAD + 16 * count + 4 * aliases, aliases).set(names.aliasLengths);
  chunk.write(names.text, textAt, 'utf8');
  encodeCells(chunk, headBytes, batch, from, to);
  return seal(chunk, headBytes);
}

function encodeCells(chunk: Buffer, start: number, batch: JoinBatch, from: number, to: number): void {
  const { rows, classes } = batch;
  const count = to - from;
  const [first, last] = [rows.indptr[from], rows.indptr[to]];
  let at = start;
  const indptr = u32(chunk, at, count + 1);
  for (let i = 0; i <= count; i++) indptr[i] = rows.indptr[from + i] - first;
  at += 4 * (count + 1);
  u32(chunk, at, last - first).set(rows.indices.subarray(first, last));
  at += 4 * (last - first);
  f32(chunk, at, last - first).set(rows.values.subarray(first, last));
  at += 4 * (last - first);
  f32(chunk, at, count * rows.denseDims).set(rows.dense.subarray(from * rows.denseDims, to * rows.denseDims));
  at += 4 * count * rows.denseDims;
  f32(chunk, at, count * classes).set(batch.scores.subarray(from * classes, to * classes));
  at += 4 * count * classes;
  new Int32Array(chunk.buffer, chunk.byteOffset + at, count).set(batch.predicted.subarray(from, to));
}

/** The numbers of a chunk in place, and what all its rows share. */
interface Cells extends Omit<Rows, 'count'> {
  readonly classes: number;
  readonly scores: Float32Array;
  readonly predicted: Int32Array;
  readonly features: string;
  readonly model: string;
}

/** Writes both checksums. */
function seal(chunk: Buffer, headBytes: number): Buffer {
  chunk.writeUInt32LE(crc32(chunk.subarray(headBytes)), 4);
  chunk.writeUInt32LE(crc32(chunk.subarray(4, headBytes)), 0);
  return chunk;
}

/** Running sums: part i of the text is [starts[i], starts[i + 1]). */
function starts(at: number, lengths: Uint32Array): Uint32Array {
  const out = new Uint32Array(lengths.length + 1);
  out[0] = at;
  for (let i = 0; i < lengths.length; i++) out[i + 1] = out[i] + lengths[i];
  return out;
}

/** A chunk that is looked into. Valid as long as its bytes are; what it returns is copied. */
export class Chunk {
  readonly count: number;
  readonly task: string;
  readonly putAt: number;
  readonly #bytes: Buffer;
  readonly #text: string;
  readonly #idsAt: number;
  readonly #devicesAt: number;
  readonly #aliases: number;
  readonly #headBytes: number;
  /** Where each id and each device starts in the text; made when first needed. */
  #idStarts: Uint32Array | null = null;
  #deviceStarts: Uint32Array | null = null;
  #cells: Cells | null = null;
  /** Whether the cells keep their checksum; null until someone wants a row. */
  #sound: boolean | null = null;

  /** Checks the head; throws STORE_CORRUPT. */
  constructor(bytes: Buffer) {
    const damaged = () => new SluiceError('STORE_CORRUPT', 'a batch of the join store is damaged');
    if (bytes.length < HEAD || bytes.readUInt32LE(8) !== FORMAT) throw damaged();
    this.#headBytes = bytes.readUInt32LE(40);
    if (this.#headBytes > bytes.length || this.#headBytes < HEAD) throw damaged();
    if (crc32(bytes.subarray(4, this.#headBytes)) !== bytes.readUInt32LE(0)) throw damaged();
    // Typed arrays need alignment; a value inside a page need not have it.
    this.#bytes = bytes.byteOffset % 8 === 0 ? bytes : Buffer.from(new Uint8Array(bytes).buffer);
    this.count = bytes.readUInt32LE(12);
    this.#aliases = bytes.readUInt32LE(28);
    this.putAt = bytes.readDoubleLE(48);
    const textAt = HEAD + 16 * this.count + 8 * this.#aliases;
    this.#text = this.#bytes.toString('utf8', textAt, textAt + bytes.readUInt32LE(32));
    const [task, features, model] = u32(this.#bytes, 56, 3);
    this.task = this.#text.slice(0, task);
    this.#idsAt = task + features + model;
    this.#devicesAt = this.#idsAt + this.#sum(this.#idLengths(), this.count);
  }

  #idLengths(): Uint32Array {
    return u32(this.#bytes, HEAD + 8 * this.count, this.count);
  }

  #deviceLengths(): Uint32Array {
    return u32(this.#bytes, HEAD + 12 * this.count, this.count);
  }

  #sum(lengths: Uint32Array, upTo: number): number {
    let sum = 0;
    for (let i = 0; i < upTo; i++) sum += lengths[i];
    return sum;
  }

  at(row: number): number {
    return this.#bytes.readDoubleLE(HEAD + 8 * row);
  }

  id(row: number): string {
    this.#idStarts ??= starts(this.#idsAt, this.#idLengths());
    return this.#text.slice(this.#idStarts[row], this.#idStarts[row + 1]);
  }

  device(row: number): string {
    this.#deviceStarts ??= starts(this.#devicesAt, this.#deviceLengths());
    return this.#text.slice(this.#deviceStarts[row], this.#deviceStarts[row + 1]);
  }

  get bytes(): number {
    return this.#bytes.length;
  }

  /** Every row's device and time. */
  devices(each: (row: number, device: string, at: number) => void): void {
    const lengths = this.#deviceLengths();
    let start = this.#devicesAt;
    for (let row = 0; row < this.count; row++) {
      each(row, this.#text.slice(start, start + lengths[row]), this.at(row));
      start += lengths[row];
    }
  }

  /** Every name in order of its row: ids, then aliases. For the rebuild of the index. */
  *names(): Generator<readonly [row: number, name: string]> {
    const ids = this.#idLengths();
    let at = this.#idsAt;
    for (let i = 0; i < this.count; i++) {
      yield [i, this.#text.slice(at, at + ids[i])];
      at += ids[i];
    }
    yield* this.#aliasNames();
  }

  *#aliasNames(): Generator<readonly [row: number, name: string]> {
    const start = HEAD + 16 * this.count;
    const rows = u32(this.#bytes, start, this.#aliases);
    const lengths = u32(this.#bytes, start + 4 * this.#aliases, this.#aliases);
    let at = this.#devicesAt + this.#sum(this.#deviceLengths(), this.count);
    for (let i = 0; i < this.#aliases; i++) {
      yield [rows[i], this.#text.slice(at, at + lengths[i])];
      at += lengths[i];
    }
  }

  /** Whether this row goes by that name, as its id or as an alias. */
  goesBy(row: number, name: string): boolean {
    if (row >= this.count || (name.startsWith('\0') && this.erased(row))) return false;
    if (this.id(row) === name) return true;
    for (const [of, alias] of this.#aliasNames()) if (of === row && alias === name) return true;
    return false;
  }

  /** Whether `without` took this row out. */
  erased(row: number): boolean {
    return Number.isNaN(this.at(row)) && /^\0+$/.test(this.id(row)) && /^\0*$/.test(this.device(row));
  }

  /** One row, standing alone. Throws STORE_CORRUPT where the cells are damaged. */
  row(row: number): JoinedRow {
    this.#cells ??= this.#openCells();
    const { indptr, indices, values, denseDims, dense, classes, scores, predicted, features, model } =
      this.#cells;
    const [first, last] = [indptr[row], indptr[row + 1]];
    return {
      id: this.id(row),
      device: this.device(row),
      at: this.at(row),
      features,
      model,
      scores: scores.slice(row * classes, (row + 1) * classes),
      predicted: predicted[row],
      rows: {
        count: 1,
        indptr: Uint32Array.of(0, last - first),
        indices: indices.slice(first, last),
        values: values.slice(first, last),
        denseDims,
        dense: dense.slice(row * denseDims, (row + 1) * denseDims),
      },
    };
  }

  /**
   * The same chunk with nothing in the place of these rows: zeros for names (so that no other moves), values and scores,
   * missing for dense cells and time. Throws STORE_CORRUPT where the cells are damaged.
   */
  without(rows: ReadonlySet<number>): Buffer {
    this.#cells ??= this.#openCells();
    const text = this.#textWithout(rows);
    const textAt = HEAD + 16 * this.count + 8 * this.#aliases;
    const textBytes = Buffer.byteLength(text, 'utf8');
    const headBytes = padded(textAt + textBytes);
    const cells = this.#bytes.subarray(this.#headBytes);
    const out = Buffer.allocUnsafeSlow(headBytes + cells.length).fill(0, textAt, headBytes);
    this.#bytes.copy(out, 0, 0, textAt);
    out.writeUInt32LE(textBytes, 32);
    out.writeUInt32LE(headBytes, 40);
    out.write(text, textAt, 'utf8');
    cells.copy(out, headBytes);
    const erased = new Chunk(seal(out, headBytes));
    for (const row of rows) erased.#blank(row);
    return seal(out, headBytes);
  }

  /** The text with NULs for the names of these rows. */
  #textWithout(rows: ReadonlySet<number>): string {
    const names: [row: number, length: number][] = [
      ...Array.from(this.#idLengths(), (length, row): [number, number] => [row, length]),
      ...Array.from(this.#deviceLengths(), (length, row): [number, number] => [row, length]),
      ...[...this.#aliasNames()].map(([row, name]): [number, number] => [row, name.length]),
    ];
    let text = this.#text.slice(0, this.#idsAt);
    let at = this.#idsAt;
    for (const [row, length] of names) {
      text += rows.has(row) ? '\0'.repeat(length) : this.#text.slice(at, at + length);
      at += length;
    }
    return text;
  }

  /** In place. */
  #blank(row: number): void {
    const cells = this.#openCells();
    const { indptr, indices, values, denseDims, dense, classes, scores, predicted } = cells;
    indices.fill(0, indptr[row], indptr[row + 1]);
    values.fill(0, indptr[row], indptr[row + 1]);
    dense.fill(Number.NaN, row * denseDims, (row + 1) * denseDims);
    scores.fill(0, row * classes, (row + 1) * classes);
    predicted[row] = -1;
    this.#bytes.writeDoubleLE(Number.NaN, HEAD + 8 * row);
  }

  #openCells(): Cells {
    const bytes = this.#bytes;
    const start = this.#headBytes;
    this.#sound ??= crc32(bytes.subarray(start)) === bytes.readUInt32LE(4);
    if (!this.#sound)
      throw new SluiceError('STORE_CORRUPT', 'the rows of a batch of the join store are damaged');
    const { count } = this;
    const [nnz, denseDims, classes] = u32(bytes, 16, 3);
    const indicesAt = start + 4 * (count + 1);
    const denseAt = indicesAt + 8 * nnz;
    const scoresAt = denseAt + 4 * count * denseDims;
    const predictedAt = scoresAt + 4 * count * classes;
    const [task, features, model] = u32(bytes, 56, 3);
    return {
      indptr: u32(bytes, start, count + 1),
      indices: u32(bytes, indicesAt, nnz),
      values: f32(bytes, indicesAt + 4 * nnz, nnz),
      denseDims,
      dense: f32(bytes, denseAt, count * denseDims),
      classes,
      scores: f32(bytes, scoresAt, count * classes),
      predicted: new Int32Array(bytes.buffer, bytes.byteOffset + predictedAt, count),
      features: this.#text.slice(task, task + features),
      model: this.#text.slice(task + features, task + features + model),
    };
  }
}
