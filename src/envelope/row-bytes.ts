/**
 * One feature row as bytes, small enough to send one with every label: about three bytes a cell for mail.
 * Promises: the row that comes back is the same bits in the same order, because the order of the cells decides
 * the rounding of a model's sums, and so its bits. Refuses (ROWS_INVALID) what is not exactly one row of the
 * given space; nothing is allocated before the lengths in the head have been proved against the bytes.
 *
 *     0 version u8 (1) · 1 bits of an index u8 · 2 bits of a palette place u8 · 3 zero u8
 *     4 cells u32 · 8 dense columns u32 · 12 palette size u32 (0: none)                      little-endian
 *     16 palette f32[size], or without one the values f32[cells]
 *        dense f32[columns], NaN: missing
 *        indices, so many bits each from the lowest bit on, padded to a whole byte with zeros
 *        palette places, the same way; none without a palette
 *
 * Fixed-width indices rather than sorted gaps: a permutation of n cells costs as many bits as sorting saves.
 * The values of a mail are a few weights of its namespaces, hence the palette. What is left is noise, which
 * deflate does not make smaller, so there is no compression, and no bomb.
 */
import type { Rows } from '../contract.ts';
import { SluiceError } from '../errors.ts';

const VERSION = 1;
const HEAD = 16;
/** Cells of one row; the largest mails have some 60,000. */
export const MAX_CELLS = 1_000_000;
/** The native core's bounds of a model's shape. */
const MAX_DIMS = 2 ** 28;
const MAX_COLUMNS = 65_536;
const MAX_PALETTE = 4_096;
/** The longest encoding of a row that is read. */
export const MAX_ROW_BYTES = HEAD + 8 * MAX_CELLS + 4 * MAX_COLUMNS;

/** What a row must fit into; null: only the bounds that hold for every model. */
export interface RowSpace {
  readonly dims: number;
  readonly denseDims: number;
}

const invalid = (what: string): SluiceError => new SluiceError('ROWS_INVALID', `the row ${what}`);

/** Bits that hold every number from 0 to `most`. */
const widthOf = (most: number): number => 32 - Math.clz32(most);
const packedBytes = (count: number, width: number): number => Math.ceil((count * width) / 8);

/** Row 0 of `rows` as bytes. Throws ROWS_INVALID where it has more cells or columns than can be read back. */
export function encodeRowBytes(rows: Rows): Buffer {
  const [from, to] = [rows.indptr[0], rows.indptr[1]];
  const cells = to - from;
  if (cells > MAX_CELLS || rows.denseDims > MAX_COLUMNS) throw invalid('is too large to be sent');
  const indices = rows.indices.subarray(from, to);
  const values = bitsOf(rows.values.subarray(from, to));
  const palette = paletteOf(values);
  const indexWidth = widthOf(indices.reduce((most, index) => Math.max(most, index), 0));
  const placeWidth = palette ? widthOf(palette.size - 1) : 0;
  const fixed = HEAD + 4 * ((palette?.size ?? cells) + rows.denseDims);
  const indexBytes = packedBytes(cells, indexWidth);
  const out = Buffer.alloc(fixed + indexBytes + packedBytes(cells, placeWidth));
  out.set([VERSION, indexWidth, placeWidth, 0]);
  out.writeUInt32LE(cells, 4);
  out.writeUInt32LE(rows.denseDims, 8);
  out.writeUInt32LE(palette?.size ?? 0, 12);
  let at = HEAD;
  for (const bits of palette ? palette.keys() : values) at = out.writeUInt32LE(bits, at);
  for (const bits of bitsOf(rows.dense.subarray(0, rows.denseDims))) at = out.writeUInt32LE(bits, at);
  pack(out, at, indices, indexWidth);
  if (palette)
    pack(
      out,
      at + indexBytes,
      Uint32Array.from(values, (bits) => palette.get(bits) ?? 0),
      placeWidth,
    );
  return out;
}

/** The same memory as numbers without a NaN of their own. */
const bitsOf = (floats: Float32Array): Uint32Array =>
  new Uint32Array(floats.buffer, floats.byteOffset, floats.length);

/** Distinct values and their places, in order of appearance; null where they would not make the row smaller. */
function paletteOf(values: Uint32Array): Map<number, number> | null {
  const palette = new Map<number, number>();
  const most = Math.min(MAX_PALETTE, values.length >> 1);
  for (const bits of values) {
    if (palette.has(bits)) continue;
    if (palette.size === most) return null;
    palette.set(bits, palette.size);
  }
  return palette.size > 0 ? palette : null;
}

function pack(out: Buffer, start: number, numbers: Uint32Array, width: number): void {
  let at = start;
  let held = 0; // bits not written yet, and how many: at most 7 + 28, so that they stay exact in a double
  let bits = 0;
  for (const number of numbers) {
    held += number * 2 ** bits;
    bits += width;
    while (bits >= 8) {
      out[at++] = held & 0xff;
      held = Math.floor(held / 256);
      bits -= 8;
    }
  }
  if (bits > 0) out[at] = held & 0xff;
}

/** The row that `encodeRowBytes` was given, standing alone. Throws ROWS_INVALID. */
export function decodeRowBytes(bytes: Uint8Array, space: RowSpace | null): Rows {
  const head = readHead(bytes, space);
  const { cells, denseDims, palette } = head;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const table = floats(view, HEAD, palette > 0 ? palette : cells);
  const dense = floats(view, HEAD + 4 * table.length, denseDims);
  const indexAt = HEAD + 4 * (table.length + denseDims);
  const indices = unpack(bytes, indexAt, cells, head.indexWidth);
  const most = space?.dims ?? MAX_DIMS;
  if (!indices.every((index) => index < most)) throw invalid(`has a bucket beyond its ${most}`);
  if (!table.every(Number.isFinite)) throw invalid('has a value that is not finite');
  const values =
    palette > 0
      ? chosen(table, unpack(bytes, indexAt + packedBytes(cells, head.indexWidth), cells, head.placeWidth))
      : table;
  return { count: 1, indptr: Uint32Array.of(0, cells), indices, values, denseDims, dense };
}

interface Head {
  readonly indexWidth: number;
  readonly placeWidth: number;
  readonly cells: number;
  readonly denseDims: number;
  readonly palette: number;
}

function readHead(bytes: Uint8Array, space: RowSpace | null): Head {
  if (bytes.byteLength < HEAD) throw invalid('is too short');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [version, indexWidth, placeWidth, zero] = bytes;
  const [cells, denseDims, palette] = [4, 8, 12].map((at) => view.getUint32(at, true));
  if (version !== VERSION) throw invalid(`has format ${version}, this version reads ${VERSION}`);
  if (zero !== 0 || indexWidth > 28 || placeWidth > 12) throw invalid('has an impossible head');
  if (cells > MAX_CELLS) throw invalid(`has ${cells} cells, at most ${MAX_CELLS} are read`);
  if (palette > MAX_PALETTE || (palette === 0 && placeWidth !== 0))
    throw invalid('has an impossible palette');
  if (space === null ? denseDims > MAX_COLUMNS : denseDims !== space.denseDims)
    throw invalid(
      `has ${denseDims} dense columns, ${space?.denseDims ?? `at most ${MAX_COLUMNS}`} belong there`,
    );
  const fixed = HEAD + 4 * ((palette > 0 ? palette : cells) + denseDims);
  if (bytes.byteLength !== fixed + packedBytes(cells, indexWidth) + packedBytes(cells, placeWidth))
    throw invalid('is not as long as its head says');
  return { indexWidth, placeWidth, cells, denseDims, palette };
}

/** Copied as bits, so that a NaN stays the NaN it was. */
function floats(view: DataView, at: number, count: number): Float32Array {
  const out = new Uint32Array(count);
  for (let i = 0; i < count; i++) out[i] = view.getUint32(at + 4 * i, true);
  return new Float32Array(out.buffer);
}

function unpack(bytes: Uint8Array, start: number, count: number, width: number): Uint32Array {
  return width <= 24 ? unpackNarrow(bytes, start, count, width) : unpackWide(bytes, start, count, width);
}

/** At most 7 + 24 bits are held: integers of 32 bits, several times as fast. */
function unpackNarrow(bytes: Uint8Array, start: number, count: number, width: number): Uint32Array {
  const out = new Uint32Array(count);
  const mask = 2 ** width - 1;
  let at = start;
  let held = 0;
  let bits = 0;
  for (let i = 0; i < count; i++) {
    for (; bits < width; bits += 8) held |= bytes[at++] << bits;
    out[i] = held & mask;
    held >>>= width;
    bits -= width;
  }
  return out;
}

function unpackWide(bytes: Uint8Array, start: number, count: number, width: number): Uint32Array {
  const out = new Uint32Array(count);
  const size = 2 ** width;
  let at = start;
  let held = 0;
  let bits = 0;
  for (let i = 0; i < count; i++) {
    while (bits < width) {
      held += bytes[at++] * 2 ** bits;
      bits += 8;
    }
    out[i] = held % size;
    held = Math.floor(held / size);
    bits -= width;
  }
  return out;
}

function chosen(table: Float32Array, places: Uint32Array): Float32Array {
  const out = new Float32Array(places.length);
  for (let i = 0; i < places.length; i++) {
    if (places[i] >= table.length) throw invalid('names a value outside its palette');
    out[i] = table[places[i]];
  }
  return out;
}
