/**
 * What is remembered of devices, as bytes and back. Promises: after `restore` the same readings give the same rows;
 * bytes of other features, of another version, cut or changed are refused whole (WINDOWS_STATE) and nothing is
 * remembered then; nothing is allocated by what the bytes merely claim. Beside the rings stand the positions up to
 * which each partition was applied, so that what came after them can be read again.
 *
 *   "SLWN" | u32 version | u32 head length | head, JSON | devices | first 16 bytes of the SHA-256 of all that
 *   device = u16 length | [stream, name], JSON | f64 time let go of | u32 late in a row and heard | u32 numbers | f64 ...
 */
import { createHash } from 'node:crypto';
import { endianness } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FeatureMemory, JoinedRow } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import type { DeviceWindows, Ring } from './windows.ts';

const MAGIC = 0x4e574c53; // "SLWN", little-endian
const FORMAT = 1;
const DIGEST = 16;
/** Nobody waits longer than this for a save. */
const SLICE_MS = 2;
/** Sources and partitions that are told apart. */
const MOST_STREAMS = 10_000;

interface Head {
  readonly features: string;
  readonly hand: number;
  readonly positions: Readonly<Record<string, number>>;
}

export class DeviceMemory implements FeatureMemory {
  readonly #windows: DeviceWindows;
  readonly #features: string;
  readonly #valuesOf: (dense: Float32Array) => Float64Array;
  /** By stream the offset applied last, -1 where its messages have none. */
  readonly #positions = new Map<string, number>();
  // Of the message that is being read.
  #stream = '';
  #offset = -1;
  #replaying = false;

  /** `valuesOf`: what the dense part of a row says of the fields that are remembered. */
  constructor(windows: DeviceWindows, features: string, valuesOf: (dense: Float32Array) => Float64Array) {
    this.#windows = windows;
    this.#features = features;
    this.#valuesOf = valuesOf;
  }

  get devices(): number {
    return this.#windows.devices;
  }

  get bytes(): number {
    return this.#windows.bytes;
  }

  take(): ReturnType<FeatureMemory['take']> {
    return this.#windows.take();
  }

  recall(find: (device: string, after: number, limit: number) => readonly JoinedRow[]): void {
    this.#windows.recall((device, after) => {
      const most = this.#windows.capacity;
      const rows = find(device, after, most + 1);
      // More than a ring holds, and the oldest of them: what lies between those and now is not known.
      if (rows.length > most) return [];
      return rows.map(({ id, at, rows: { dense } }) => ({ id, at, values: this.#valuesOf(dense) }));
    });
  }

  enter(source: string, position: string, replay = false): void {
    const cut = position.lastIndexOf('/');
    const offset = cut > 0 ? Number(position.slice(cut + 1)) : Number.NaN;
    const known = Number.isSafeInteger(offset);
    const name = `${source}\t${known ? position.slice(0, cut) : ''}`;
    const fits = this.#positions.has(name) || this.#positions.size < MOST_STREAMS;
    // Beyond any number of partitions that a gateway reads they share one.
    this.#stream = fits ? name : '';
    this.#offset = known ? offset : -1;
    this.#windows.enter(this.#stream);
    const before = this.#positions.get(this.#stream) ?? -1;
    // Somebody else had the partition meanwhile, and not all of that is read back: old and new readings do not join.
    if (replay && !this.#replaying && offset > before + 1) this.#windows.forgetStream();
    this.#replaying = replay;
  }

  applied(): void {
    const before = this.#positions.get(this.#stream) ?? -1;
    this.#positions.set(this.#stream, Math.max(before, this.#offset));
  }

  position(source: string, partition: string): number {
    return this.#positions.get(`${source}\t${partition}`) ?? -1;
  }

  async save(): Promise<Uint8Array> {
    const { hand } = this.#windows;
    const head: Head = { features: this.#features, hand, positions: Object.fromEntries(this.#positions) };
    const text = Buffer.from(JSON.stringify(head));
    const start = Buffer.alloc(12);
    start.writeUInt32LE(MAGIC, 0);
    start.writeUInt32LE(FORMAT, 4);
    start.writeUInt32LE(text.length, 8);
    const parts: Uint8Array[] = [start, text];
    const hash = createHash('sha256').update(start).update(text);
    let began = performance.now();
    for (const ring of this.#windows.rings()) {
      const part = ringBytes(ring);
      parts.push(part);
      hash.update(part);
      if (performance.now() - began < SLICE_MS) continue;
      await nextTurn();
      began = performance.now();
    }
    return Buffer.concat([...parts, hash.digest().subarray(0, DIGEST)]);
  }

  restore(bytes: Uint8Array): void {
    this.#windows.forget();
    this.#positions.clear();
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { head, at } = openHead(whole, this.#features);
    const reader = new Reader(whole.subarray(at, whole.length - DIGEST));
    try {
      while (!reader.ended) this.#windows.addRing(reader.ring());
    } catch (error) {
      this.#windows.forget();
      throw error;
    }
    this.#windows.hand = head.hand;
    this.#windows.enter('');
    for (const [partition, offset] of Object.entries(head.positions).slice(0, MOST_STREAMS))
      this.#positions.set(partition, Number(offset));
  }
}

function damaged(what: string, cause?: unknown): SluiceError {
  return new SluiceError('WINDOWS_STATE', what, { cause });
}

const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest().subarray(0, DIGEST);

function openHead(whole: Buffer, features: string): { readonly head: Head; readonly at: number } {
  if (whole.length < 12 + DIGEST || whole.readUInt32LE(0) !== MAGIC)
    throw damaged('these are no windows of devices');
  if (whole.readUInt32LE(4) !== FORMAT) throw damaged(`their format is ${whole.readUInt32LE(4)}`);
  const end = whole.length - DIGEST;
  if (!digest(whole.subarray(0, end)).equals(whole.subarray(end))) throw damaged('the bytes were changed');
  const at = 12 + whole.readUInt32LE(8);
  if (at > end) throw damaged('the bytes end too early');
  let head: Head;
  try {
    head = JSON.parse(whole.toString('utf8', 12, at)) as Head;
  } catch (error) {
    throw damaged('the head cannot be read', error);
  }
  if (head.features !== features)
    throw damaged(`they were made with features ${head.features}, the task now has ${features}`);
  return { head, at };
}

/** Numbers as the file has them, or as the machine does; in place. One by one they would hold up the gateway each minute. */
const littleEndian = (bytes: Buffer): Buffer => (endianness() === 'BE' ? bytes.swap64() : bytes);

function ringBytes({ stream, device, gone, lates, heard, numbers }: Ring): Buffer {
  const name = Buffer.from(JSON.stringify([stream, device]));
  const out = Buffer.allocUnsafe(2 + name.length + 16 + numbers.length * 8);
  let at = out.writeUInt16LE(name.length, 0);
  at += name.copy(out, at);
  at = out.writeDoubleLE(gone, at);
  at = out.writeUInt32LE(lates * 2 + Number(heard), at);
  at = out.writeUInt32LE(numbers.length, at);
  littleEndian(Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength)).copy(out, at);
  return out;
}

function namesIn(bytes: Buffer): readonly string[] {
  try {
    const names: unknown = JSON.parse(bytes.toString('utf8'));
    if (Array.isArray(names) && names.length === 2) return names.map(String);
  } catch {
    // Said below.
  }
  throw damaged('the name of a device cannot be read');
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length;
  }

  ring(): Ring {
    const [stream, device] = namesIn(this.#take(this.#take(2).readUInt16LE(0)));
    const gone = this.#take(8).readDoubleLE(0);
    const state = this.#take(4).readUInt32LE(0);
    const bytes = this.#take(8 * this.#take(4).readUInt32LE(0));
    const numbers = new Float64Array(bytes.length / 8);
    new Uint8Array(numbers.buffer).set(littleEndian(Buffer.from(bytes)));
    return { stream, device, gone, lates: state >>> 1, heard: state % 2 === 1, numbers };
  }

  #take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw damaged('the bytes end too early');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}
