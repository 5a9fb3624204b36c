/**
 * Words of a text and their sparse pairs. Promises: linear, nothing allocated per word; the same words for the same text
 * everywhere. A word is a run of letters, digits and the marks that carry meaning inside one (`$ ' - . @ % _`), lower case by
 * simple mapping of ASCII and Latin letters; every character of a script without blanks between words (CJK) is a word of its own.
 *
 * Pairs are the orthogonal sparse bigrams of Siefkes, Assis, Chhabra and Yerazunis (PKDD 2004): each word
 * with each of the WINDOW - 1 words before it, the distance being part of the feature.
 */
import { mix, pair, wordStart } from './hash.ts';
import type { Space } from './space.ts';

const WINDOW = 5;
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
function lower(unit: number): number {
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

/** Adds words and sparse pairs to spaces. One lives as long as its featurizer. */
export class WordPairs {
  readonly #recent = new Int32Array(WINDOW);
  readonly #recentFrom = new Int32Array(WINDOW);
  readonly #recentTo = new Int32Array(WINDOW);

  /** Words of the text into `words`, pairs into `pairs` (may be the same); `seed` parts one field from another. */
  add(text: string, limit: number, seed: number, words: Space, pairs: Space | null, prefix: string): void {
    let count = 0;
    const recent = this.#recent;
    eachWord(text, limit, (hash, from, to) => {
      const own = hash ^ seed;
      words.add(mix(own));
      if (words.names !== null) words.note(mix(own), `${prefix}${text.slice(from, to).toLowerCase()}`);
      if (pairs !== null) this.#pairs(own, count, text, from, to, pairs, prefix);
      const slot = count % WINDOW;
      recent[slot] = own;
      this.#recentFrom[slot] = from;
      this.#recentTo[slot] = to;
      count += 1;
    });
  }

  #pairs(
    own: number,
    count: number,
    text: string,
    from: number,
    to: number,
    pairs: Space,
    prefix: string,
  ): void {
    const reach = Math.min(count, WINDOW - 1);
    for (let distance = 1; distance <= reach; distance += 1) {
      const slot = (count - distance) % WINDOW;
      const hash = pair(this.#recent[slot], own + distance);
      pairs.add(hash);
      if (pairs.names === null) continue;
      const first = text.slice(this.#recentFrom[slot], this.#recentTo[slot]).toLowerCase();
      const second = text.slice(from, to).toLowerCase();
      pairs.note(hash, `${prefix}${first} ${'_ '.repeat(distance - 1)}${second}`);
    }
  }
}
