/**
 * SenML in CBOR (RFC 8428 section 6, RFC 8949) to the records that JSON would give. Promises: read in place, nothing is
 * allocated by what lengths claim, values that no record needs are passed over without recursion; integers and floats of
 * all sizes and decimal fractions (tag 4) are numbers, rounded to doubles. Refuses with DECODE_WIRE what is cut off or
 * malformed, with DECODE_DEPTH what nests too deeply, with DECODE_SHAPE what is no array of maps.
 *
 *   item = head (argument) content      head = major type << 5 | size of the argument
 *   0 unsigned  1 negative  2 bytes  3 text  4 array  5 map  6 tag  7 float and simple      31: until a break (0xff)
 */
import { SluiceError } from '../../errors.ts';
import { LABELS, type SenmlRecord } from './record.ts';

const TWO_32 = 4_294_967_296;
/** Stands for an array or map that ends with a break. */
const OPEN = -1;
const BREAK = 0xff;
/** "This is CBOR", RFC 8949 section 3.4.6. */
const SELF_DESCRIBED = 55_799;
const DECIMAL = 4;

/** The label of each key: -6 to 8. */
const FIRST_KEY = -6;

export function readCbor(bytes: Buffer, maxDepth: number): SenmlRecord[] {
  return new CborReader(bytes, maxDepth).pack();
}

class CborReader {
  readonly #bytes: Buffer;
  readonly #maxDepth: number;
  #at = 0;
  /** Of the last head. */
  #major = 0;
  #info = 0;
  #argument = 0;

  constructor(bytes: Buffer, maxDepth: number) {
    this.#bytes = bytes;
    this.#maxDepth = maxDepth;
  }

  pack(): SenmlRecord[] {
    this.#head();
    if (this.#major === 6 && this.#argument === SELF_DESCRIBED) this.#head();
    if (this.#major !== 4) throw new SluiceError('DECODE_SHAPE', 'the payload is no array of records');
    const records: SenmlRecord[] = [];
    let left = this.#argument;
    while (this.#more(left)) {
      records.push(this.#record());
      if (left !== OPEN) left -= 1;
    }
    if (this.#at < this.#bytes.length) throw malformed('goes on after its end');
    return records;
  }

  /** Whether an array or map goes on; passes over the break that ends it. */
  #more(left: number): boolean {
    if (left !== OPEN) return left > 0;
    if (this.#at >= this.#bytes.length) throw malformed('ends too early');
    if (this.#bytes[this.#at] !== BREAK) return true;
    this.#at += 1;
    return false;
  }

  #record(): SenmlRecord {
    this.#head();
    if (this.#major !== 5) throw new SluiceError('DECODE_SHAPE', 'a record is no map');
    const record: SenmlRecord = {};
    let left = this.#argument;
    while (this.#more(left)) {
      const label = this.#label();
      if (label === undefined) this.#skip();
      else record[label] = this.#value();
      if (left !== OPEN) left -= 1;
    }
    return record;
  }

  /** Undefined for a field that may be passed over. */
  #label(): keyof SenmlRecord | undefined {
    this.#head();
    if (this.#major === 0 || this.#major === 1) {
      const key = this.#major === 0 ? this.#argument : -1 - this.#argument;
      return LABELS[key - FIRST_KEY];
    }
    if (this.#major !== 3) throw malformed('has a label that is neither number nor text');
    const text = this.#text();
    if (text.endsWith('_')) throw mustUnderstand();
    return (LABELS as readonly string[]).includes(text) ? (text as keyof SenmlRecord) : undefined;
  }

  /** As JSON would give it: a number, text, a boolean, null; bytes in base64url; undefined for anything else. */
  #value(): unknown {
    const from = this.#at;
    this.#head();
    switch (this.#major) {
      case 0:
        return this.#argument;
      case 1:
        return -1 - this.#argument;
      case 2:
        return this.#slice().toString('base64url');
      case 3:
        return this.#text();
      case 7:
        return this.#simple();
      default:
        if (this.#major === 6 && this.#argument === DECIMAL) return this.#decimal();
        this.#at = from;
        this.#skip();
        return undefined;
    }
  }

  #simple(): unknown {
    const end = this.#at;
    if (this.#info === 25) return half(this.#bytes.readUInt16BE(end - 2));
    if (this.#info === 26) return this.#bytes.readFloatBE(end - 4);
    if (this.#info === 27) return this.#bytes.readDoubleBE(end - 8);
    if (this.#info === 20) return false;
    if (this.#info === 21) return true;
    return this.#info === 22 ? null : undefined;
  }

  /** [exponent, mantissa]: through text, so that it is the double that is nearest. */
  #decimal(): number | undefined {
    this.#head();
    if (this.#major !== 4 || this.#argument !== 2) throw malformed('has a decimal fraction that is none');
    const exponent = this.#value();
    const mantissa = this.#value();
    const are = Number.isSafeInteger(exponent) && Number.isSafeInteger(mantissa);
    return are ? Number(`${mantissa}e${exponent}`) : undefined;
  }

  /** Passes over one item, whatever it holds. */
  #skip(): void {
    // What is left of each array or map around; a tag has one item.
    const left: number[] = [1];
    while (left.length > 0) {
      const top = left.length - 1;
      if (!this.#more(left[top])) {
        left.pop();
        continue;
      }
      if (left[top] !== OPEN) left[top] -= 1;
      this.#head();
      const argument = this.#argument;
      if (this.#major === 2 || this.#major === 3) this.#slice();
      if (this.#major < 4 || this.#major === 7) continue;
      if (left.length > this.#maxDepth)
        throw new SluiceError('DECODE_DEPTH', `nested deeper than ${this.#maxDepth}`);
      if (this.#major === 6) left.push(1);
      else left.push(this.#major === 5 && argument !== OPEN ? argument * 2 : argument);
    }
  }

  #text(): string {
    return this.#slice().toString('utf8');
  }

  /** The content of a string whose head was read. */
  #slice(): Buffer {
    const from = this.#at;
    if (this.#argument === OPEN) throw malformed('has a string of no certain length');
    if (this.#argument > this.#bytes.length - from) throw malformed('ends within a string');
    this.#at = from + this.#argument;
    return this.#bytes.subarray(from, this.#at);
  }

  #head(): void {
    const bytes = this.#bytes;
    if (this.#at >= bytes.length) throw malformed('ends too early');
    const first = bytes[this.#at++];
    this.#major = first >> 5;
    const info = first & 31;
    this.#info = info;
    this.#argument = info;
    if (info < 24) return;
    if (info === 31 && (this.#major === 4 || this.#major === 5 || this.#major === 2 || this.#major === 3)) {
      this.#argument = OPEN;
      return;
    }
    if (info > 27) throw malformed('has an item that cannot be');
    const size = 1 << (info - 24);
    if (size > bytes.length - this.#at) throw malformed('ends too early');
    if (size === 1) this.#argument = bytes[this.#at];
    else if (size === 2) this.#argument = bytes.readUInt16BE(this.#at);
    else if (size === 4) this.#argument = bytes.readUInt32BE(this.#at);
    else this.#argument = bytes.readUInt32BE(this.#at) * TWO_32 + bytes.readUInt32BE(this.#at + 4);
    this.#at += size;
  }
}

/** IEEE 754 binary16, RFC 8949 appendix D. */
function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1_023;
  let value: number;
  if (exponent === 0) value = fraction * 2 ** -24;
  else if (exponent < 31) value = (fraction + 1_024) * 2 ** (exponent - 25);
  else value = fraction === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
  return bits & 0x8000 ? -value : value;
}

function malformed(why: string): SluiceError {
  return new SluiceError('DECODE_WIRE', `the payload ${why}`);
}

/** RFC 8428 section 4.4. */
export function mustUnderstand(): SluiceError {
  return new SluiceError(
    'DECODE_VERSION',
    'a record has a field ending in "_", which must be understood and is not',
  );
}
