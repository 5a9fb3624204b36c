/**
 * Protocol Buffers as they lie on the wire (protobuf.dev, "Encoding"), read in place. Promises: nothing is allocated by
 * what the bytes claim; every read is within its message; unknown fields are skipped. Refuses with DECODE_WIRE what is cut
 * off, a varint of more than ten bytes, and the groups that no Sparkplug payload has.
 *
 *   message = (tag value)*     tag = varint (field number << 3 | wire type)
 *   type 0: varint   1: 8 bytes   2: varint length, bytes   5: 4 bytes      little-endian throughout
 */
import { SluiceError } from '../../errors.ts';

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

const TWO_32 = 4_294_967_296;

export class WireReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  /** Where the next field begins, and where the message ends. */
  at: number;
  end: number;
  /** Of the last varint: the upper 32 bits, as it may be of 64. */
  high = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
    this.end = bytes.length;
  }

  /** The lower 32 bits, unsigned; the upper ones in `high`. */
  varint(): number {
    const bytes = this.#bytes;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= this.end) throw broken('ends within a number');
      const byte = bytes[this.at++];
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.high = high >>> 0;
        return low >>> 0;
      }
    }
    throw broken('has a number of more than ten bytes');
  }

  /** An unsigned number of 64 bits, rounded above 2^53. */
  uint64(): number {
    const low = this.varint();
    return this.high * TWO_32 + low;
  }

  float(): number {
    const from = this.#skip(4);
    return this.#view.getFloat32(from, true);
  }

  double(): number {
    const from = this.#skip(8);
    return this.#view.getFloat64(from, true);
  }

  /** The length of what follows, which lies whole within the message. */
  length(): number {
    const length = this.varint();
    if (this.high !== 0 || length > this.end - this.at) throw broken('ends within a field');
    return length;
  }

  /** Text; what is no UTF-8 in it becomes U+FFFD. */
  text(): string {
    const length = this.length();
    const from = this.#skip(length);
    return this.#bytes.toString('utf8', from, from + length);
  }

  /** Passes over the value of a field. */
  skip(type: number): void {
    if (type === VARINT) this.varint();
    else if (type === FIXED64) this.#skip(8);
    else if (type === BYTES) this.#skip(this.length());
    else if (type === FIXED32) this.#skip(4);
    else throw broken(`has a field of the wire type ${type}`);
  }

  #skip(length: number): number {
    const from = this.at;
    if (length > this.end - from) throw broken('ends within a field');
    this.at = from + length;
    return from;
  }
}

export function broken(why: string): SluiceError {
  return new SluiceError('DECODE_WIRE', `the payload ${why}`);
}
