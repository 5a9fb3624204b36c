/**
 * SenML records to resolved ones (RFC 8428 section 4.6): base values applied, names whole, times absolute. Promises: a pack
 * and its resolved form resolve to the same. Refuses packs as a whole: DECODE_SHAPE (no array of records, no name, a name
 * that the RFC does not allow, several values in a record), DECODE_TYPE (a name, time, unit or base of another type),
 * DECODE_VERSION (a version above 10, records of two versions, a field that must be understood).
 */
import { SluiceError } from '../../errors.ts';
import { mustUnderstand } from './cbor.ts';
import type { SenmlRecord } from './record.ts';

/** A value with its name, unit and time. */
export interface Resolved {
  readonly name: string;
  /** '' where there is none. */
  readonly unit: string;
  /** ms since the epoch. */
  readonly at: number;
  /** A number, text, a boolean; data as base64url text; whatever came where it is of a wrong type. */
  readonly value: unknown;
}

/** The version of the RFC, and the highest that is understood. */
const VERSION = 10;
/** From here on times are absolute, in seconds; below they are relative to now. */
const ABSOLUTE_FROM = 2 ** 28;
const LAST_TIME = 8.64e15;
const MAX_NAME = 512;
const NAME = /^[A-Za-z0-9][-A-Za-z0-9:./_]*$/;

/** What a sum is found under: `#` is in no name, so it cannot be mistaken. */
export const SUM = '#s';

/** The values of a pack, a sum as a value of its own named `<name>#s`. `now`: ms, for relative times. */
export function resolve(pack: unknown, now: number): readonly Resolved[] {
  if (!Array.isArray(pack) || pack.length === 0)
    throw new SluiceError('DECODE_SHAPE', 'the payload is no array of records');
  const resolver = new Resolver(now);
  for (let i = 0; i < pack.length; i += 1) {
    const record: unknown = pack[i];
    if (typeof record !== 'object' || record === null || Array.isArray(record))
      throw new SluiceError('DECODE_SHAPE', `record #${i} is no object`);
    resolver.add(record, i);
  }
  return resolver.found;
}

class Resolver {
  readonly found: Resolved[] = [];
  readonly #now: number;
  #name = '';
  #time = 0;
  #unit = '';
  #value: number | null = null;
  #sum: number | null = null;
  #version = 0;
  /** Names repeat from record to record. */
  #checked = '';

  constructor(now: number) {
    this.#now = now;
  }

  add(record: SenmlRecord, i: number): void {
    for (const label in record) if (label.endsWith('_')) throw mustUnderstand();
    this.#base(record, i);
    const { n, u, v, vs, vb, vd, s, t } = record;
    let given = 0;
    for (const one of [v, vs, vb, vd]) if (one !== undefined) given += 1;
    if (given > 1) throw new SluiceError('DECODE_SHAPE', `record #${i} has several values`);
    // A record of base fields alone has none; a base value alone is the value of a record that has a name or a time.
    const hasValue = given === 1 || (this.#value !== null && (n !== undefined || t !== undefined));
    if (!hasValue && s === undefined && this.#sum === null) return;
    const name = this.#nameOf(n, i);
    const unit = u === undefined ? this.#unit : text(u, 'u', i);
    const at = this.#timeOf(t, i);
    if (hasValue) this.found.push({ name, unit, at, value: vs ?? vb ?? vd ?? sum(this.#value, v) });
    if (s !== undefined || (this.#sum !== null && n !== undefined))
      this.found.push({ name: name + SUM, unit, at, value: sum(this.#sum, s) });
  }

  #base({ bn, bt, bu, bv, bs, bver }: SenmlRecord, i: number): void {
    if (bn !== undefined) this.#name = text(bn, 'bn', i);
    if (bt !== undefined) this.#time = number(bt, 'bt', i);
    if (bu !== undefined) this.#unit = text(bu, 'bu', i);
    if (bv !== undefined) this.#value = number(bv, 'bv', i);
    if (bs !== undefined) this.#sum = number(bs, 'bs', i);
    if (bver === undefined) return;
    const version = number(bver, 'bver', i);
    if (!Number.isInteger(version) || version < 1 || version > VERSION)
      throw new SluiceError('DECODE_VERSION', `SenML of version ${version}; up to ${VERSION} is understood`);
    if (this.#version !== 0 && this.#version !== version)
      throw new SluiceError('DECODE_VERSION', `record #${i} is of another version than those before it`);
    this.#version = version;
  }

  #nameOf(n: unknown, i: number): string {
    const name = n === undefined ? this.#name : this.#name + text(n, 'n', i);
    if (name === this.#checked && name !== '') return name;
    if (name.length > MAX_NAME || !NAME.test(name))
      throw new SluiceError('DECODE_SHAPE', `the name of record #${i} is not one of RFC 8428 section 4.5.1`);
    this.#checked = name;
    return name;
  }

  #timeOf(t: unknown, i: number): number {
    const seconds = this.#time + (t === undefined ? 0 : number(t, 't', i));
    // To the microsecond: what a double holds of today's times, and no more.
    const ms = Math.round(seconds * 1e6) / 1e3;
    const at = seconds >= ABSOLUTE_FROM ? ms : this.#now + ms;
    if (!(Math.abs(at) <= LAST_TIME))
      throw new SluiceError('DECODE_TYPE', `the time of record #${i} is none`);
    return at;
  }
}

/** A missing one of two counts as zero; what is no number stays what it is. */
function sum(base: number | null, value: unknown): unknown {
  if (value === undefined) return base;
  return typeof value === 'number' && base !== null ? base + value : value;
}

function text(value: unknown, label: string, i: number): string {
  if (typeof value === 'string') return value;
  throw new SluiceError('DECODE_TYPE', `${label} of record #${i} is no text`);
}

function number(value: unknown, label: string, i: number): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new SluiceError('DECODE_TYPE', `${label} of record #${i} is no finite number`);
}
