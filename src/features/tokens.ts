/**
 * Words of a text and their pairs. Promises: linear, nothing allocated per word; the same words for the same text
 * everywhere. A word is a run of letters, digits and the marks that carry meaning inside one (`$ ' - . @ % _`), lower case by
 * simple mapping of ASCII and Latin letters; every character of a script without blanks between words (CJK) is a word of its own.
 *
 * Pairs are of neighbours only. Sparse pairs over windows of three to five words (Siefkes, Assis, Chhabra and
 * Yerazunis, PKDD 2004) were tried: up to four times the buckets, and no better.
 */
import { letter, mix, pair, wordStart } from './hash.ts';
import type { Pieces, Units } from './pieces.ts';

/** Longer words (encoded data, mostly) are cut into pieces of this length. */
const MAX_WORD = 40;

const SEPARATOR = 0;
const ALONE = 1;
/** Below U+00C0. */
const INSIDE = /[A-Za-z0-9$'\-.@%_\xa3\xa5]/;

/** What a UTF-16 unit is: parts words, is one, or else its lower case within one. A text touches little of it. */
const UNIT = Uint16Array.from({ length: 65_536 }, (_, unit) => kindOf(unit));

function kindOf(unit: number): number {
  // General punctuation and symbols, then kana to Hangul and the CJK planes.
  if (unit >= 0x2000 && unit < 0x2c00) return SEPARATOR;
  if ((unit >= 0x2e80 && unit < 0xa000) || (unit >= 0xac00 && unit < 0xd7a4) || unit >= 0xf900) return ALONE;
  if (unit >= 0xc0 || INSIDE.test(String.fromCharCode(unit))) return lower(unit);
  return unit === 0x21 || unit === 0x3f || unit === 0x23 || unit === 0x2a /* !?#* */ ? ALONE : SEPARATOR;
}

/** Simple lower case: ASCII, Latin-1, Greek and Cyrillic capitals. */
export function lower(unit: number): number {
  if (unit < 0x41) return unit;
  if (unit <= 0x5a || (unit >= 0xc0 && unit <= 0xde && unit !== 0xd7)) return unit + 0x20;
  if ((unit >= 0x391 && unit <= 0x3a9) || (unit >= 0x410 && unit <= 0x42f)) return unit + 0x20;
  return unit;
}

/**
 * The hashes of all words of text[from, to) into `words`; where they stand too, if they are to be `placed`. Returns all the
 * units or-ed: above 0x7f some are not ASCII.
 */
export function readWords(text: Units, from: number, to: number, words: Pieces, placed = false): number {
  const { units } = text;
  const end = Math.min(text.length, to);
  words.reset(end - from, placed);
  const { hashes, places } = words;
  let all = 0;
  let count = 0;
  let at = from;
  while (at < end) {
    const start = at;
    let unit = units[at++];
    let kind = UNIT[unit];
    all |= unit;
    if (kind === SEPARATOR) continue;
    let hash = wordStart;
    if (kind === ALONE) hash = letter(hash, unit);
    else {
      const most = Math.min(end, start + MAX_WORD);
      hash = letter(hash, kind);
      for (; at < most; at += 1) {
        unit = units[at];
        kind = UNIT[unit];
        if (kind <= ALONE) break;
        all |= unit;
        hash = letter(hash, kind);
      }
    }
    if (places !== null) {
      places[count * 2] = start;
      places[count * 2 + 1] = at;
    }
    hashes[count++] = mix(hash);
  }
  words.count = count;
  return all;
}

/** Makes the words those of one field by its `seed`, and fills `pairs` with the hashes of their neighbours, one fewer. */
export function seedWords(words: Pieces, seed: number, pairs: Pieces | null): void {
  const { hashes, count } = words;
  if (pairs !== null) {
    pairs.reset(count, false);
    pairs.count = Math.max(0, count - 1);
    const both = pairs.hashes;
    for (let i = 1; i < count; i += 1) both[i - 1] = pair(hashes[i - 1] ^ seed, hashes[i] ^ seed);
  }
  for (let i = 0; i < count; i += 1) hashes[i] = mix(hashes[i] ^ seed);
}
