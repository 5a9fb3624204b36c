/**
 * Encoded words of headers (RFC 2047, with the languages of RFC 2231 section 5). Promises: linear in the length of the
 * text; what is no encoded word stays as it stands; what is decoded is never longer than it was, and no more words
 * are decoded than the caller allows.
 */
import { decodeText, hexDigit, isStateful } from './charset.ts';

/** Encoded words of one mail: the longest lists of recipients have a few hundred. */
export const MAX_WORDS = 10_000;

/** Bytes of the words that are decoded but not yet text; grows to the longest, and is used again. */
let pending = Buffer.allocUnsafe(4_096);
let length = 0;
/** A larger one is not kept. */
const KEPT = 65_536;

/**
 * `=?charset?B|Q?text?=` to text. Blanks between two encoded words vanish; neighbours of one charset are joined as bytes
 * first, because many mailers cut characters in two (not so where escapes switch between sets: each word begins anew).
 * Words beyond the budget are left as they stand.
 */
export function decodeWords(text: string, budget: { words: number } = { words: MAX_WORDS }): string {
  let out = '';
  let charset = '';
  let done = 0;
  let isFirst = true;
  length = 0;
  for (let at = text.indexOf('=?'); at >= 0 && budget.words > 0; at = text.indexOf('=?', at)) {
    const first = text.indexOf('?', at + 2);
    const last = first < 0 ? -1 : endOf(text, at, first);
    if (last < 0) {
      at += 2;
      continue;
    }
    budget.words -= 1;
    const isNext = !isFirst && isBlank(text, done, at);
    isFirst = false;
    const said = charsetOf(text.slice(at + 2, first));
    if (!isNext || said !== charset || isStateful(charset)) out += flush(charset);
    if (!isNext) out += text.slice(done, at);
    charset = said;
    append(text, first + 3, last, (text.charCodeAt(first + 1) | 0x20) === 0x62);
    done = last + 2;
    at = done;
  }
  out += flush(charset);
  if (pending.length > KEPT) pending = Buffer.allocUnsafe(KEPT);
  return out + text.slice(done);
}

/** Longest name of a charset with its language. */
const MAX_CHARSET = 80;

/**
 * Index of the `?=` that ends the word at `at`, whose charset ends at `first`; -1 where none stands there. In Q text `?`
 * may not stand (RFC 2047 4.2), so the next one ends the word or it is none.
 */
function endOf(text: string, at: number, first: number): number {
  if (first - at > MAX_CHARSET || text.charCodeAt(first + 2) !== 0x3f) return -1;
  const kind = text.charCodeAt(first + 1) | 0x20;
  if (kind !== 0x62 && kind !== 0x71) return -1;
  const last = text.indexOf('?', first + 3);
  return last >= 0 && text.charCodeAt(last + 1) === 0x3d ? last : -1;
}

/** A language may follow the charset after a star. */
function charsetOf(said: string): string {
  const star = said.indexOf('*');
  return (star < 0 ? said : said.slice(0, star)).toLowerCase();
}

function isBlank(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit !== 0x20 && (unit < 0x09 || unit > 0x0d)) return false;
  }
  return true;
}

const BREAKS = /[\r\n]/;

function flush(charset: string): string {
  if (length === 0) return '';
  const text = decodeText(pending.subarray(0, length), charset);
  length = 0;
  // A header is one line: breaks that were smuggled in by encoding them are none.
  return BREAKS.test(text) ? text.replace(/[\r\n]/g, ' ') : text;
}

/** Adds the bytes of a word whose text stands between `from` and `to`. */
function append(text: string, from: number, to: number, isBase64: boolean): void {
  const room = length + 3 * (to - from);
  if (room > pending.length) {
    const larger = Buffer.allocUnsafe(2 * room);
    pending.copy(larger, 0, 0, length);
    pending = larger;
  }
  if (isBase64) length += pending.write(text.slice(from, to), length, 'base64');
  else appendQ(text, from, to);
}

function appendQ(text: string, from: number, to: number): void {
  const bytes = pending;
  for (let i = from; i < to; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) {
      // Not allowed, but the header may have been UTF-8 as it stood.
      length += bytes.write(text.slice(i, to), length, 'utf8');
      return;
    }
    const high = unit === 0x3d && i + 2 < to ? hexDigit(text.charCodeAt(i + 1)) : -1;
    const low = high < 0 ? -1 : hexDigit(text.charCodeAt(i + 2));
    if (low >= 0) {
      bytes[length++] = (high << 4) | low;
      i += 2;
    } else bytes[length++] = unit === 0x5f ? 0x20 : unit;
  }
}
