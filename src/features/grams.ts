/**
 * Pieces of a mail that need no notion of a word: tokens between blanks of the raw bytes, and n-grams of decoded
 * characters. Promises: linear, nothing allocated per piece; the same pieces for the same input everywhere. They see what
 * the words do not: letter case, marks, mark-up, headers as they were written; and words taken apart or
 * misspelt on purpose, endings, and languages whose words are not parted by blanks.
 */
import { letter, mix, wordStart } from './hash.ts';
import type { Pieces, Units } from './pieces.ts';
import { lower } from './tokens.ts';

/** What is longer is cut: only encoded data and long addresses are. */
const MAX_TOKEN = 60;
const SPACE = 0x20;

const BASE64 = new Uint8Array(256);
for (const sign of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
  BASE64[sign.charCodeAt(0)] = 1;
/** Shorter runs are taken whatever they hold. */
const MIN_BASE64 = 50;

/** Whether a long run is a line of a base64 part: blind data, best seen decoded. */
function isBase64(bytes: Uint8Array, from: number, to: number): boolean {
  let at = from;
  while (at < to && BASE64[bytes[at]] === 1) at += 1;
  while (at < to && bytes[at] === 0x3d) at += 1;
  return at === to;
}

/**
 * The hashes of all runs of bytes above 0x20 in bytes[from, to), lines of base64 left out, into `tokens`; of a run the first
 * MAX_TOKEN bytes count, which are where it stands.
 */
export function readTokens(
  bytes: Uint8Array,
  from: number,
  to: number,
  tokens: Pieces,
  placed = false,
): void {
  tokens.reset((to - from + 1) >> 1, placed);
  const { hashes, places } = tokens;
  let count = 0;
  let at = from;
  while (at < to) {
    if (bytes[at] <= SPACE) {
      at += 1;
      continue;
    }
    const start = at;
    let hash = wordStart;
    const most = Math.min(to, start + MAX_TOKEN);
    for (; at < most && bytes[at] > SPACE; at += 1) hash = letter(hash, bytes[at]);
    const named = at;
    if (at === most) while (at < to && bytes[at] > SPACE) at += 1;
    if (at - start >= MIN_BASE64 && isBase64(bytes, start, at)) continue;
    if (places !== null) {
      places[count * 2] = start;
      places[count * 2 + 1] = named;
    }
    hashes[count++] = mix(hash);
  }
  tokens.count = count;
}

/** Characters of one n-gram. */
export const GRAM = 5;
/** What stands before the first and after the last character. */
const EDGE = 1;

/** What becomes of a UTF-16 unit: digits one of them, white space a blank, letters lower case. A text touches little of it. */
const FOLD = Uint16Array.from({ length: 65_536 }, (_, unit) => {
  if (unit <= SPACE || unit === 0xa0 || unit === 0x2028 || unit === 0x2029 || unit === 0x3000) return SPACE;
  return unit >= 0x30 && unit <= 0x39 ? 0x30 : lower(unit);
});

/**
 * The hashes of all GRAM-grams of text[0, limit) into `grams`: units folded, runs of white space as one blank, an edge before
 * and behind. They stand within the text. Each is mixed from 80 bits without an intermediate loss but the last.
 */
export function readGrams(text: Units, limit: number, seed: number, grams: Pieces, placed = false): void {
  const { units } = text;
  const end = Math.min(text.length, limit);
  grams.reset(end + 2, placed);
  const { hashes, places } = grams;
  let young = EDGE;
  let middle = 0;
  let old = 0;
  let length = 1;
  let count = 0;
  let before = EDGE;
  for (let i = 0; i <= end; i += 1) {
    const unit = i === end ? EDGE : FOLD[units[i]];
    if (unit === SPACE && before === SPACE) continue;
    before = unit;
    old = middle >>> 16;
    middle = (middle << 16) | (young >>> 16);
    young = (young << 16) | unit;
    length += 1;
    if (length < GRAM) continue;
    const hash = Math.imul(young, 0x9e3779b1) ^ Math.imul(middle, 0x85ebca77) ^ Math.imul(old, 0xc2b2ae3d);
    if (places !== null) {
      places[count * 2] = Math.max(0, i - GRAM + 1);
      places[count * 2 + 1] = Math.min(end, i + 1);
    }
    hashes[count++] = mix(hash ^ seed);
  }
  grams.count = count;
}
