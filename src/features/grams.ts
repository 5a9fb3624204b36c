/**
 * Pieces of a mail that need no notion of a word: tokens between blanks of the raw bytes, and n-grams of decoded
 * characters. Promises: linear, nothing allocated per piece; the same pieces for the same input everywhere. They see what
 * the words do not: letter case, marks, mark-up, headers as they were written; and words taken apart or
 * misspelt on purpose, endings, and languages whose words are not parted by blanks.
 */
import { letter, mix, wordStart } from './hash.ts';
import { lower } from './tokens.ts';

/** What is longer is cut: only encoded data and long addresses are. */
const MAX_TOKEN = 60;
const SPACE = 0x20;

/** Takes a piece: its hash, and where it stands. */
export type PieceTaker = (hash: number, from: number, to: number) => void;

const BASE64 = new Uint8Array(256);
for (const sign of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
  BASE64[sign.charCodeAt(0)] = 1;
/** Shorter runs are taken whatever they hold. */
const MIN_BASE64 = 50;

/** Whether a run is a line of a base64 part: blind data, best seen decoded. */
function isBase64(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from < MIN_BASE64) return false;
  let at = from;
  while (at < to && BASE64[bytes[at]] === 1) at += 1;
  while (at < to && bytes[at] === 0x3d) at += 1;
  return at === to;
}

/**
 * All runs of bytes above 0x20 in bytes[from, to), lines of base64 left out; of a run the first MAX_TOKEN bytes count,
 * which are what is named.
 */
export function eachToken(bytes: Uint8Array, from: number, to: number, take: PieceTaker): void {
  let at = from;
  while (at < to) {
    while (at < to && bytes[at] <= SPACE) at += 1;
    if (at === to) return;
    const start = at;
    let hash = wordStart;
    const most = Math.min(to, start + MAX_TOKEN);
    for (; at < most && bytes[at] > SPACE; at += 1) hash = letter(hash, bytes[at]);
    const named = at;
    while (at < to && bytes[at] > SPACE) at += 1;
    if (!isBase64(bytes, start, at)) take(mix(hash), start, named);
  }
}

/** Characters of one n-gram. */
export const GRAM = 5;
/** What stands before the first and after the last character. */
const EDGE = 1;

/** Digits become one, white space becomes a blank, letters lower case. */
function fold(unit: number): number {
  if (unit < 0x80) return FOLD[unit];
  if (unit === 0xa0 || unit === 0x2028 || unit === 0x2029 || unit === 0x3000) return SPACE;
  return lower(unit);
}
const FOLD = Uint8Array.from({ length: 0x80 }, (_, unit) =>
  unit <= SPACE ? SPACE : unit >= 0x30 && unit <= 0x39 ? 0x30 : lower(unit),
);

/**
 * All GRAM-grams of the UTF-16 units of text[0, limit), folded, runs of white space as one blank, an edge before and behind.
 * `from` and `to` are of the text: the piece lies within. Each is mixed from 80 bits without an intermediate loss but the last.
 */
export function eachGram(text: string, limit: number, seed: number, take: PieceTaker): void {
  const end = Math.min(text.length, limit);
  let young = EDGE;
  let middle = 0;
  let old = 0;
  let length = 1;
  let blank = false;
  for (let i = 0; i <= end; i += 1) {
    const unit = i === end ? EDGE : fold(text.charCodeAt(i));
    if (unit === SPACE && blank) continue;
    blank = unit === SPACE;
    old = middle >>> 16;
    middle = (middle << 16) | (young >>> 16);
    young = (young << 16) | unit;
    length += 1;
    if (length < GRAM) continue;
    const hash = Math.imul(young, 0x9e3779b1) ^ Math.imul(middle, 0x85ebca77) ^ Math.imul(old, 0xc2b2ae3d);
    take(mix(hash ^ seed), Math.max(0, i - GRAM + 1), Math.min(end, i + 1));
  }
}
