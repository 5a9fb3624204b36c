/**
 * The bytes of small records: journal entries, outbox chunks, dead letters, counters. (Join chunks have a
 * layout of their own in chunk.ts, because they must be readable in part.)
 *
 *     0      4        5
 *     | crc32 | format | fields in the order written …            little-endian
 *
 * The checksum covers everything after it. A record whose checksum or format does not fit is refused with
 * STORE_CORRUPT; nothing in it is believed. Strings are UTF-8 with a u32 length, arrays carry a u32 count.
 */
import { endianness } from 'node:os';
import { crc32 } from 'node:zlib';
import type { JoinedRow, Message, Outgoing } from '../contract.ts';
import { SluiceError } from '../errors.ts';

const FORMAT = 1;
const HEAD = 5;

if (endianness() !== 'LE') throw new SluiceError('INTERNAL', 'the store needs a little-endian machine');

const corrupt = (what: string) =>
  new SluiceError('STORE_CORRUPT', `a record of the store is damaged: ${what}`);

/** Text as it comes back from UTF-8: a lone surrogate cannot be stored and becomes U+FFFD. */
export function wellFormed(text: string): string {
  return /[\ud800-\udfff]/.test(text) ? Buffer.from(text, 'utf8').toString('utf8') : text;
}

/** Grows as needed; `seal` gives an exact copy with checksum, so that a writer can be used again. */
export class ByteWriter {
  #buffer = Buffer.allocUnsafeSlow(1024);
  #at = HEAD;

  /** Where so many bytes may be written. Call it before naming `#buffer`: growing replaces the buffer. */
  #room(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    if (this.#at > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#at, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, at));
      this.#buffer = larger;
    }
    return at;
  }

  get length(): number {
    return this.#at;
  }

  u8(value: number): this {
    const at = this.#room(1);
    this.#buffer[at] = value;
    return this;
  }

  u32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeUInt32LE(value, at);
    return this;
  }

  i32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeInt32LE(value, at);
    return this;
  }

  f64(value: number): this {
    const at = this.#room(8);
    this.#buffer.writeDoubleLE(value, at);
    return this;
  }

  text(value: string): this {
    const bytes = Buffer.byteLength(value, 'utf8');
    this.u32(bytes);
    const at = this.#room(bytes);
    this.#buffer.write(value, at, 'utf8');
    return this;
  }

  bytes(value: Uint8Array): this {
    this.u32(value.byteLength);
    const at = this.#room(value.byteLength);
    this.#buffer.set(value, at);
    return this;
  }

  array(value: Uint32Array | Float32Array): this {
    return this.bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }

  seal(): Buffer {
    const out = Buffer.allocUnsafeSlow(this.#at);
    this.#buffer.copy(out, 0, 0, this.#at);
    out[4] = FORMAT;
    out.writeUInt32LE(crc32(out.subarray(4)), 0);
    this.#at = HEAD;
    return out;
  }
}

/** Reads what ByteWriter sealed. Everything it returns is a copy, safe to keep. */
export class ByteReader {
  readonly #buffer: Buffer;
  #at = HEAD;

  /** Throws STORE_CORRUPT. */
  constructor(value: Buffer) {
    if (value.length < HEAD) throw corrupt('too short');
    if (crc32(value.subarray(4)) !== value.readUInt32LE(0)) throw corrupt('checksum');
    if (value[4] !== FORMAT) throw corrupt(`format ${value[4]}`);
    this.#buffer = value;
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#buffer.length) throw corrupt('shorter than its lengths say');
    this.#at = at + bytes;
    return at;
  }

  u8(): number {
    return this.#buffer[this.#take(1)];
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.#take(4));
  }

  i32(): number {
    return this.#buffer.readInt32LE(this.#take(4));
  }

  f64(): number {
    return this.#buffer.readDoubleLE(this.#take(8));
  }

  text(): string {
    const bytes = this.u32();
    const at = this.#take(bytes);
    return this.#buffer.toString('utf8', at, at + bytes);
  }

  bytes(): Uint8Array {
    const bytes = this.u32();
    const at = this.#take(bytes);
    return new Uint8Array(this.#buffer.subarray(at, at + bytes));
  }

  /** Steps over a text or a byte string. */
  skip(): void {
    this.#take(this.u32());
  }

  u32s(): Uint32Array {
    return new Uint32Array(this.bytes().buffer);
  }

  f32s(): Float32Array {
    return new Float32Array(this.bytes().buffer);
  }
}

export function writeJoined(out: ByteWriter, row: JoinedRow): void {
  const { rows } = row;
  out.text(row.id).text(row.device).f64(row.at).text(row.features).text(row.model).i32(row.predicted);
  out.array(row.scores).u32(rows.denseDims);
  out.array(rows.indices.subarray(rows.indptr[0], rows.indptr[1]));
  out.array(rows.values.subarray(rows.indptr[0], rows.indptr[1]));
  out.array(rows.dense.subarray(0, rows.denseDims));
}

export function readJoined(from: ByteReader): JoinedRow {
  const head = { id: from.text(), device: from.text(), at: from.f64(), features: from.text() };
  const tail = { model: from.text(), predicted: from.i32(), scores: from.f32s() };
  const denseDims = from.u32();
  const indices = from.u32s();
  const indptr = Uint32Array.of(0, indices.length);
  const rows = { count: 1, indptr, indices, values: from.f32s(), denseDims, dense: from.f32s() };
  return { ...head, ...tail, rows };
}

function writeHeaders(out: ByteWriter, headers: Readonly<Record<string, string>> | undefined): void {
  const pairs = Object.entries(headers ?? {});
  out.u32(pairs.length);
  for (const [name, value] of pairs) out.text(name).text(value);
}

/** A header may be called `__proto__`: defineProperty makes it a plain key. */
function readHeaders(from: ByteReader): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let left = from.u32(); left > 0; left--) {
    const name = from.text();
    const value = from.text();
    Object.defineProperty(headers, name, { value, enumerable: true, writable: true, configurable: true });
  }
  return headers;
}

const HAS_KEY = 1;
const IS_TEXT = 2;
const HAS_RETAIN = 4;
const RETAIN = 8;
const HAS_HEADERS = 16;
const HAS_LABEL = 32;

export function writeOutgoing(out: ByteWriter, message: Outgoing): void {
  const { key, payload, headers, retain } = message;
  out.u8(
    (key !== null ? HAS_KEY : 0) |
      (typeof payload === 'string' ? IS_TEXT : 0) |
      (retain !== undefined ? HAS_RETAIN : 0) |
      (retain ? RETAIN : 0) |
      (headers ? HAS_HEADERS : 0),
  );
  out.text(message.topic);
  if (key !== null) out.text(key);
  if (headers) writeHeaders(out, headers);
  if (typeof payload === 'string') out.text(payload);
  else out.bytes(payload);
}

export function readOutgoing(from: ByteReader): Outgoing {
  const flags = from.u8();
  const topic = from.text();
  const key = flags & HAS_KEY ? from.text() : null;
  const headers = flags & HAS_HEADERS ? { headers: readHeaders(from) } : {};
  const payload = flags & IS_TEXT ? from.text() : from.bytes();
  const retain = flags & HAS_RETAIN ? { retain: (flags & RETAIN) !== 0 } : {};
  return { topic, key, payload, ...headers, ...retain };
}

/** Steps over what readOutgoing would read. */
export function skipOutgoing(from: ByteReader): void {
  const flags = from.u8();
  from.skip();
  if (flags & HAS_KEY) from.skip();
  if (flags & HAS_HEADERS) for (let left = 2 * from.u32(); left > 0; left--) from.skip();
  from.skip();
}

export function writeMessage(out: ByteWriter, message: Message): void {
  const { key, label } = message;
  out.u8((key !== null ? HAS_KEY : 0) | (label !== undefined ? HAS_LABEL : 0));
  out.text(message.source).text(message.topic).f64(message.at).text(message.position);
  if (key !== null) out.text(key);
  if (label !== undefined) out.text(label);
  writeHeaders(out, message.headers);
  out.bytes(message.payload);
}

export function readMessage(from: ByteReader): Message {
  const flags = from.u8();
  const head = { source: from.text(), topic: from.text(), at: from.f64(), position: from.text() };
  const key = flags & HAS_KEY ? from.text() : null;
  const label = flags & HAS_LABEL ? { label: from.text() } : {};
  return { ...head, key, ...label, headers: readHeaders(from), payload: from.bytes() };
}
