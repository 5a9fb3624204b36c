/**
 * The index of the join store: hash of a name -> (chunk, row), and hash of a device -> its rows by time.
 *
 * The newest names live in a MemorySegment: append-only typed arrays and an open-addressing table over them
 * (linear probing, load at most one half), about 4 MiB whatever is stored. When full it is sealed: sorted, cut
 * into blocks by the top bits of the hash, and written beside the chunks. A lookup in a sealed segment is one
 * read of a block of some 12 KiB and a binary search in it; nothing of sealed segments is kept in memory but
 * their bounds. Hashes decide nothing: every hit is a candidate that the caller verifies by its real name.
 *
 * Block: crc u32 · count u32 · key high u32[] · key low u32[] (for devices: at f64[], hash u32[]) · chunk
 * offset u16[] · row u16[]. Chunk offsets count from the segment's first chunk.
 */
import { crc32 } from 'node:zlib';
import { SluiceError } from '../errors.ts';

/** Names per segment; also the most chunks one can span, so that offset and row fit u16. */
export const CAPACITY = 65_536;
const SLOTS = CAPACITY * 2;
const NAME_BITS = 6;
const DEVICE_BITS = 4;

/** Where a row lies; ordered by arrival. */
export interface Place {
  readonly chunk: number;
  readonly row: number;
}

export interface TimedPlace extends Place {
  readonly at: number;
}

/** A sealed part of the index: its block number (0.. for names, 256.. for devices) and its bytes. */
export interface Block {
  readonly number: number;
  readonly bytes: Buffer;
}

const DEVICES_FROM = 256;
export const nameBlock = (high: number): number => high >>> (32 - NAME_BITS);
export const deviceBlock = (device: number): number => DEVICES_FROM + (device >>> (32 - DEVICE_BITS));

/** Times sort; what is no time sorts as 0. */
const finite = (at: number): number => (Number.isFinite(at) ? at : 0);

/** The order that sorts `keys` stably: two counting passes of 16 bits. */
function order(keys: Uint32Array, count: number): Uint32Array {
  let from = new Uint32Array(count);
  let to = new Uint32Array(count);
  for (let i = 0; i < count; i++) from[i] = i;
  for (const shift of [0, 16]) {
    const starts = new Uint32Array(65_537);
    for (let i = 0; i < count; i++) starts[((keys[i] >>> shift) & 0xffff) + 1]++;
    for (let b = 1; b <= 65_536; b++) starts[b] += starts[b - 1];
    for (let i = 0; i < count; i++) to[starts[(keys[from[i]] >>> shift) & 0xffff]++] = from[i];
    [from, to] = [to, from];
  }
  return from;
}

/** Within runs of equal keys, orders by `less`; runs are short or already in order, mostly. */
function orderRuns(sorted: Uint32Array, keys: Uint32Array, by: (a: number, b: number) => number): void {
  for (let start = 0, end = 0; start < sorted.length; start = end) {
    let inOrder = true;
    for (end = start + 1; end < sorted.length && keys[sorted[end]] === keys[sorted[start]]; end++)
      if (by(sorted[end - 1], sorted[end]) > 0) inOrder = false;
    if (!inOrder) sorted.subarray(start, end).sort(by);
  }
}

export class MemorySegment {
  /** The number of its first chunk. */
  readonly base: number;
  #names = 0;
  #rows = 0;
  readonly #slots = new Int32Array(SLOTS).fill(-1);
  readonly #high = new Uint32Array(CAPACITY);
  readonly #low = new Uint32Array(CAPACITY);
  readonly #offset = new Uint16Array(CAPACITY);
  readonly #row = new Uint16Array(CAPACITY);
  readonly #device = new Uint32Array(CAPACITY);
  readonly #at = new Float64Array(CAPACITY);
  readonly #deviceOffset = new Uint16Array(CAPACITY);
  readonly #deviceRow = new Uint16Array(CAPACITY);

  constructor(base: number) {
    this.base = base;
  }

  get names(): number {
    return this.#names;
  }

  /** Whether a chunk with so many names still fits. */
  fits(chunk: number, names: number): boolean {
    return this.#names + names <= CAPACITY && chunk - this.base < CAPACITY;
  }

  addName(high: number, low: number, chunk: number, row: number): void {
    const i = this.#names++;
    this.#high[i] = high;
    this.#low[i] = low;
    this.#offset[i] = chunk - this.base;
    this.#row[i] = row;
    let slot = low & (SLOTS - 1);
    while (this.#slots[slot] !== -1) slot = (slot + 1) & (SLOTS - 1);
    this.#slots[slot] = i;
  }

  addRow(device: number, at: number, chunk: number, row: number): void {
    const i = this.#rows++;
    this.#device[i] = device;
    this.#at[i] = finite(at);
    this.#deviceOffset[i] = chunk - this.base;
    this.#deviceRow[i] = row;
  }

  /** Candidates, newest first (entries are added in order of arrival). */
  find(high: number, low: number): Place[] {
    const found: Place[] = [];
    for (let slot = low & (SLOTS - 1); this.#slots[slot] !== -1; slot = (slot + 1) & (SLOTS - 1)) {
      const i = this.#slots[slot];
      if (this.#high[i] === high && this.#low[i] === low)
        found.push({ chunk: this.base + this.#offset[i], row: this.#row[i] });
    }
    return found.reverse();
  }

  /** Candidates of a device with from <= at <= to, oldest first: looked for once, given in pages. */
  span(device: number, from: number, to: number): (skip: number, max: number) => TimedPlace[] {
    const count = this.#rows;
    const found: number[] = [];
    for (let i = 0; i < count; i++)
      if (this.#device[i] === device && this.#at[i] >= from && this.#at[i] <= to) found.push(i);
    const sorted = Uint32Array.from(found).sort((a, b) => this.#at[a] - this.#at[b] || a - b);
    return (skip, max) =>
      Array.from(sorted.subarray(skip, skip + max), (i) => ({
        at: this.#at[i],
        chunk: this.base + this.#deviceOffset[i],
        row: this.#deviceRow[i],
      }));
  }

  seal(): Block[] {
    const names = order(this.#high, this.#names);
    orderRuns(names, this.#high, (a, b) => this.#low[a] - this.#low[b] || a - b);
    const rows = order(this.#device, this.#rows);
    orderRuns(rows, this.#device, (a, b) => this.#at[a] - this.#at[b] || a - b);
    return [
      ...cut(
        names,
        (i) => nameBlock(this.#high[i]),
        (part) => this.#nameBytes(part),
      ),
      ...cut(
        rows,
        (i) => deviceBlock(this.#device[i]),
        (part) => this.#deviceBytes(part),
      ),
    ];
  }

  #nameBytes(part: Uint32Array): Buffer {
    const n = part.length;
    const bytes = Buffer.from(new ArrayBuffer(8 + 12 * n));
    fill(new Uint32Array(bytes.buffer, 8, n), part, this.#high);
    fill(new Uint32Array(bytes.buffer, 8 + 4 * n, n), part, this.#low);
    fill(new Uint16Array(bytes.buffer, 8 + 8 * n, n), part, this.#offset);
    fill(new Uint16Array(bytes.buffer, 8 + 10 * n, n), part, this.#row);
    return sealBlock(bytes, n);
  }

  #deviceBytes(part: Uint32Array): Buffer {
    const n = part.length;
    const bytes = Buffer.from(new ArrayBuffer(8 + 16 * n));
    fill(new Float64Array(bytes.buffer, 8, n), part, this.#at);
    fill(new Uint32Array(bytes.buffer, 8 + 8 * n, n), part, this.#device);
    fill(new Uint16Array(bytes.buffer, 8 + 12 * n, n), part, this.#deviceOffset);
    fill(new Uint16Array(bytes.buffer, 8 + 14 * n, n), part, this.#deviceRow);
    return sealBlock(bytes, n);
  }
}

type Numbers = Uint16Array | Uint32Array | Float64Array;

function fill(to: Numbers, part: Uint32Array, from: Numbers): void {
  for (let i = 0; i < part.length; i++) to[i] = from[part[i]];
}

function sealBlock(bytes: Buffer, count: number): Buffer {
  bytes.writeUInt32LE(count, 4);
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

function* cut(
  sorted: Uint32Array,
  blockOf: (i: number) => number,
  encode: (part: Uint32Array) => Buffer,
): Generator<Block> {
  for (let start = 0, end = 0; start < sorted.length; start = end) {
    const number = blockOf(sorted[start]);
    while (end < sorted.length && blockOf(sorted[end]) === number) end++;
    yield { number, bytes: encode(sorted.subarray(start, end)) };
  }
}

function opened(block: Buffer, perEntry: number): { bytes: Buffer; n: number } {
  const n = block.length >= 8 ? block.readUInt32LE(4) : -1;
  if (block.length !== 8 + perEntry * n || crc32(block.subarray(4)) !== block.readUInt32LE(0))
    throw new SluiceError('STORE_CORRUPT', 'a block of the join index is damaged');
  return { bytes: block.byteOffset % 8 === 0 ? block : Buffer.from(new Uint8Array(block).buffer), n };
}

/** The first i in [0, n) for which `reached` holds (it must stay true), or n. */
function bisect(n: number, reached: (i: number) => boolean): number {
  let low = 0;
  let high = n;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (reached(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Candidates in a sealed name block, newest first. Throws STORE_CORRUPT. */
export function findInBlock(block: Buffer, base: number, high: number, low: number): Place[] {
  const { bytes, n } = opened(block, 12);
  const at = bytes.byteOffset + 8;
  const highs = new Uint32Array(bytes.buffer, at, n);
  const lows = new Uint32Array(bytes.buffer, at + 4 * n, n);
  const offsets = new Uint16Array(bytes.buffer, at + 8 * n, n);
  const rows = new Uint16Array(bytes.buffer, at + 10 * n, n);
  const start = bisect(n, (i) => highs[i] > high || (highs[i] === high && lows[i] >= low));
  const found: Place[] = [];
  for (let i = start; i < n && highs[i] === high && lows[i] === low; i++)
    found.push({ chunk: base + offsets[i], row: rows[i] });
  return found.reverse();
}

/** Candidates of a device in a sealed block with from <= at <= to, oldest first: `max` after `skip`. */
export function spanInBlock(
  block: Buffer,
  base: number,
  device: number,
  from: number,
  to: number,
  skip: number,
  max: number,
): TimedPlace[] {
  const { bytes, n } = opened(block, 16);
  const start = bytes.byteOffset + 8;
  const times = new Float64Array(bytes.buffer, start, n);
  const devices = new Uint32Array(bytes.buffer, start + 8 * n, n);
  const offsets = new Uint16Array(bytes.buffer, start + 12 * n, n);
  const rows = new Uint16Array(bytes.buffer, start + 14 * n, n);
  const first = bisect(n, (i) => devices[i] > device || (devices[i] === device && times[i] >= from));
  const found: TimedPlace[] = [];
  const end = Math.min(n, first + skip + max);
  for (let i = first + skip; i < end && devices[i] === device && times[i] <= to; i++)
    found.push({ at: times[i], chunk: base + offsets[i], row: rows[i] });
  return found;
}
