/**
 * Text as it grows letter by letter, white space folded on the way. Promises: runs of blanks become one, line breaks win over
 * blanks, none stands at either end; nothing is allocated per letter, and what was allocated for
 * a giant is not kept. What has no room is dropped.
 */
import { readReference, reference } from './references.ts';

const NONE = 0;
export const BLANK = 1;
export const BREAK = 2;

/** Units that are kept between mails. */
const KEPT = 1 << 18;
let spare = new Uint16Array(1 << 14);
let narrow = Buffer.allocUnsafe(1 << 14);

/** Texts up to this are copied here: a call into native code costs more. */
const SHORT = 128;

const LESS = 0x3c;
const AMPERSAND = 0x26;

/** What shows as a blank. */
function isBlank(unit: number): boolean {
  return unit === 0x20 || unit === 0xa0 || (unit >= 0x09 && unit <= 0x0d);
}

/** What stands for itself: no blank, no reference, no tag. Other control characters are left to the slow way. */
function isOrdinary(unit: number): boolean {
  return unit > LESS ? unit !== 0xa0 : unit > 0x20 && unit !== AMPERSAND && unit !== LESS;
}

export class Sink {
  #units: Uint16Array;
  #length = 0;
  #gap = NONE;
  /** Set by white space; for whoever wants to know whether some came since. */
  sawBlank = false;
  /** All units or-ed: below 256 the text is one byte a letter. */
  #wide = 0;

  /** For at most `most` units. Of two sinks in use at once only one may take the spare memory. */
  constructor(most: number, takesSpare: boolean) {
    const capacity = most + 3;
    if (!takesSpare || capacity > KEPT) this.#units = new Uint16Array(capacity);
    else {
      if (spare.length < capacity) spare = new Uint16Array(Math.min(KEPT, capacity * 2));
      this.#units = spare;
    }
  }

  get length(): number {
    return this.#length;
  }

  /** A blank or a line break before whatever comes next. */
  gap(kind: number): void {
    if (kind > this.#gap) this.#gap = kind;
  }

  /**
   * Takes the text from `from` to the next `<` (or `to`), references decoded; returns where it stopped. `source` are the units of
   * `html`.
   */
  take(html: string, source: Uint16Array, from: number, to: number): number {
    const units = this.#units;
    let length = this.#length;
    let gap = this.#gap;
    let wide = this.#wide;
    // Room for a gap and a pair of surrogates.
    const full = units.length - 2;
    let at = from;
    while (at < to) {
      let unit = source[at];
      if (isOrdinary(unit) && length < full) {
        if (gap !== NONE) {
          if (length > 0) units[length++] = gap === BREAK ? 0x0a : 0x20;
          gap = NONE;
        }
        // One at least, and as far as there is room.
        const stop = Math.min(to, at + Math.max(1, full - length));
        do {
          units[length++] = unit;
          wide |= unit;
          at += 1;
          unit = source[at];
        } while (at < stop && isOrdinary(unit));
        continue;
      }
      if (unit === LESS) break;
      at += 1;
      if (unit === AMPERSAND && readReference(html, at - 1)) {
        at = reference.end;
        unit = reference.point;
        if (isDropped(unit)) continue;
      }
      if (unit <= 0xa0 && isBlank(unit)) {
        this.sawBlank = true;
        if (gap === NONE) gap = BLANK;
        continue;
      }
      if (length >= full) continue;
      if (gap !== NONE) {
        if (length > 0) units[length++] = gap === BREAK ? 0x0a : 0x20;
        gap = NONE;
      }
      if (unit > 0xffff) {
        units[length++] = 0xd7c0 + (unit >> 10);
        unit = 0xdc00 | (unit & 0x3ff);
      }
      units[length++] = unit;
      wide |= unit;
    }
    this.#length = length;
    this.#gap = gap;
    this.#wide = wide;
    return at;
  }

  /** A bracket that opens no tag. */
  putLess(): void {
    if (this.#length >= this.#units.length - 2) return;
    if (this.#gap !== NONE && this.#length > 0)
      this.#units[this.#length++] = this.#gap === BREAK ? 0x0a : 0x20;
    this.#gap = NONE;
    this.#units[this.#length++] = LESS;
  }

  /** The text from one length to another. */
  text(from: number, to: number): string {
    const size = to - from;
    if (size <= 0) return '';
    if (size <= SHORT && this.#wide <= 255) {
      for (let i = 0; i < size; i += 1) narrow[i] = this.#units[from + i];
      return narrow.toString('latin1', 0, size);
    }
    const units = this.#units.subarray(from, to);
    if (this.#wide > 255) return Buffer.from(units.buffer, units.byteOffset, size * 2).toString('utf16le');
    if (size > KEPT) return Buffer.from(units).toString('latin1');
    if (narrow.length < size) narrow = Buffer.allocUnsafe(KEPT);
    narrow.set(units);
    return narrow.toString('latin1', 0, size);
  }
}

/** References that stand for nothing that is seen: soft hyphens and joiners. */
function isDropped(point: number): boolean {
  return point === 0xad || point === 0x200c || point === 0x200d || point === 0x200b;
}
