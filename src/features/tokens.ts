/**
 * Words of a text and their pairs. Promises: linear, nothing allocated per word; the same words for the same text
 * everywhere. A word is a run of letters, digits and the marks that carry meaning inside one (`$ ' - . @ % _`), lower case by
 * simple mapping of ASCII and Latin letters; every character of a script without blanks between words (CJK) is a word of its own.
 *
 * Pairs are of neighbours only. Sparse pairs over windows of three to five words (Siefkes, Assis, Chhabra and
 * Yerazunis, PKDD 2004) were tried: up to four times the buckets, and no better.
 */
import { mix, pair, wordStart } from './hash.ts';
import type { Space } from './space.ts';

/** Longer words (encoded data, mostly) are cut into pieces of this length. */
const MAX_WORD = 40;

const SEPARATOR = 0;
const INSIDE = 1;
const ALONE = 2;

/** Class of a UTF-16 unit below 256. */
const CLASS = new Uint8Array(256);
for (let unit = 0; unit < 256; unit += 1) {
  const text = String.fromCharCode(unit);
  if (/[A-Za-z0-9$'\-.@%_]/.test(text) || unit >= 0xc0 || unit === 0xa3 || unit === 0xa5)
    CLASS[unit] = INSIDE;
  else if (text === '!' || text === '?' || text === '#' || text === '*') CLASS[unit] = ALONE;
}

function classOf(unit: number): number {
  if (unit < 256) return CLASS[unit];
  // General punctuation and symbols, then kana to Hangul and the CJK planes.
  if (unit >= 0x2000 && unit < 0x2c00) return SEPARATOR;
  if ((unit >= 0x2e80 && unit < 0xa000) || (unit >= 0xac00 && unit < 0xd7a4) || unit >= 0xf900) return ALONE;
  return INSIDE;
}

/** Simple lower case: ASCII, Latin-1, Greek and Cyrillic capitals. */
export function lower(unit: number): number {
  if (unit < 0x41) return unit;
  if (unit <= 0x5a || (unit >= 0xc0 && unit <= 0xde && unit !== 0xd7)) return unit + 0x20;
  if ((unit >= 0x391 && unit <= 0x3a9) || (unit >= 0x410 && unit <= 0x42f)) return unit + 0x20;
  return unit;
}

/** Takes a word: its hash, and where it stands. */
type WordTaker = (hash: number, from: number, to: number) => void;

/** All words of text[0, limit). */
export function eachWord(text: string, limit: number, take: WordTaker): void {
  const end = Math.min(text.length, limit);
  let hash = wordStart;
  let from = -1;
  for (let i = 0; i < end; i += 1) {
    const unit = text.charCodeAt(i);
    const kind = classOf(unit);
    if (kind === INSIDE && (from < 0 || i - from < MAX_WORD)) {
      if (from < 0) from = i;
      hash = Math.imul(hash ^ lower(unit), 0x01000193);
      continue;
    }
    if (from >= 0) {
      take(mix(hash), from, i);
      hash = wordStart;
      from = -1;
    }
    if (kind === SEPARATOR) continue;
    if (kind === INSIDE) {
      from = i;
      hash = Math.imul(hash ^ lower(unit), 0x01000193);
    } else take(mix(Math.imul(wordStart ^ unit, 0x01000193)), i, i + 1);
  }
  if (from >= 0) take(mix(hash), from, end);
}

/**
 * Words of the text into `words`, each two neighbours into `pairs`; `seed` parts one field from another, and `field` is
 * its name for `describe`.
 */
export function addWords(
  text: string,
  limit: number,
  seed: number,
  words: Space,
  pairs: Space | null,
  field: string,
): void {
  const prefix = words.names !== null && field !== '' ? `${field}: ` : '';
  let before = 0;
  let beforeFrom = -1;
  let beforeTo = -1;
  eachWord(text, limit, (hash, from, to) => {
    const own = hash ^ seed;
    words.add(mix(own));
    if (words.names !== null) words.note(mix(own), `${prefix}${text.slice(from, to).toLowerCase()}`);
    if (pairs !== null && beforeFrom >= 0) {
      const both = pair(before, own);
      pairs.add(both);
      if (pairs.names !== null) {
        const first = text.slice(beforeFrom, beforeTo).toLowerCase();
        pairs.note(both, `${prefix}${first} ${text.slice(from, to).toLowerCase()}`);
      }
    }
    before = own;
    beforeFrom = from;
    beforeTo = to;
  });
}
