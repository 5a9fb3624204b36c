/**
 * Text as a reader sees it, where it was written so that a filter reads something else. Promises: text without disguise comes back
 * as it is, at the price of one scan; linear in time whatever the text; what was undone is counted, so that the
 * disguise itself tells too. Undone are characters without width, letters of other alphabets that look Latin, letters in the
 * styles of mathematics, in circles and in full width, and strokes laid over letters. Nothing is undone that honest
 * texts are made of: words of Greek and Cyrillic stay, and so do accents.
 *
 * Characters without width: Unicode 16, Default_Ignorable_Code_Point, of the basic plane. Styles: those that NFKC makes
 * letters of (UAX 15). Twins: a part of the confusables of UTS 39, those that are the same glyph in common fonts.
 */

import { readTokens } from './grams.ts';
import { Pieces } from './pieces.ts';

/** What was undone, in characters or words. */
export interface Disguise {
  /** Characters without width between two letters. */
  invisible: number;
  /** Letters in a style of their own. */
  styled: number;
  /** Strokes and the like over letters. */
  struck: number;
  /** Words with letters that only look Latin. */
  foreign: number;
}

export const noDisguise = (): Disguise => ({ invisible: 0, styled: 0, struck: 0, foreign: 0 });

const WITHOUT_WIDTH =
  '\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0';
/** Letters that NFKC knows plainer: raised and lowered, letter-like, in circles, ligatures, full width, mathematical. */
const STYLE =
  '\u02b0-\u02b8\u02e0-\u02e4\u1d2c-\u1d6a\u2071\u207f\u2090-\u209c\u2102\u210a-\u2113\u2115\u2119-\u211d\u2124\u2128' +
  '\u212c-\u2131\u2133\u2134\u2139\u249c-\u24e9\ufb00-\ufb06\uff10-\uff19\uff21-\uff3a\uff41-\uff5a';
const STROKES = '\u0300-\u036f\u20d0-\u20f0';

/** Nearly every text has none of these. The last are the first halves of mathematical and enclosed letters. */
const ANY = new RegExp(`[${WITHOUT_WIDTH}${STYLE}${STROKES}\u0370-\u052f\ud835\ud83c]`);
const INVISIBLE = new RegExp(`[${WITHOUT_WIDTH}]+`, 'g');
const STYLED = new RegExp(`(?:[${STYLE}]|\ud835[\udc00-\udfff]|\ud83c[\udd10-\udd89])+`, 'g');
const STRUCK = new RegExp(`([A-Za-z])[${STROKES}]+`, 'g');

/** Letters of Greek and Cyrillic, each before the Latin one that it looks like. */
const PAIRS =
  'αaεeιiκkνvοoρpτtυuχxγyωwηnΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧX' +
  'аaсcеeоoрpхxуyѕsіiјjкkмmтtвbнhпnԁdԛqԝwһhӏlүyАAВBСCЕEНHІIЈJКKМMОOРPЅSТTХXУYҮYԌGԚQԜW';
const FIRST = 0x370;
const LAST = 0x52f;
/** Latin letter by unit - FIRST; 0 where none looks alike. */
const TWIN = new Uint8Array(LAST - FIRST + 1);
for (let i = 0; i < PAIRS.length; i += 2) TWIN[PAIRS.charCodeAt(i) - FIRST] = PAIRS.charCodeAt(i + 1);

const isLatin = (unit: number): boolean => (unit | 0x20) >= 0x61 && (unit | 0x20) <= 0x7a;
const isForeign = (unit: number): boolean => unit >= FIRST && unit <= LAST;

/** Strings of Latin-1 are kept as bytes, for which V8 answers the first at once and the second as fast as it reads. */
const WIDE = /[\u0100-\uffff]/;
const SOFT_HYPHEN = '\xad';

/** The text without disguise; what was undone is added to `found`. */
export function unmask(text: string, found: Disguise): string {
  const suspect = WIDE.test(text) ? ANY.test(text) : text.includes(SOFT_HYPHEN);
  return suspect ? undo(text, found) : text;
}

function undo(given: string, found: Disguise): string {
  let text = given.replace(INVISIBLE, (run, at: number) => {
    if (isLatin(given.charCodeAt(at - 1)) && isLatin(given.charCodeAt(at + run.length))) found.invisible += 1;
    return '';
  });
  text = text.replace(STYLED, (run) => {
    const plain = run.normalize('NFKC');
    for (let i = 0; i < plain.length; i += 1) if (isLatin(plain.charCodeAt(i))) found.styled += 1;
    return plain;
  });
  text = text.replace(STRUCK, (all, letter: string) => {
    // An accent that is a letter of its own with what it stands on is spelling.
    const composed = all.normalize('NFC');
    if (composed.length === 1) return composed;
    found.struck += 1;
    return letter;
  });
  return unmix(text, found);
}

/** Where honest text of another alphabet stands, at least so many of its letters look like no Latin one. */
const OWN_LETTERS = 1 / 10;

/** Letters that look Latin become so in words with Latin letters, and in all words where nothing speaks for their alphabet. */
function unmix(text: string, found: Disguise): string {
  let twins = 0;
  let own = 0;
  let latin = 0;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (isLatin(unit)) latin += 1;
    else if (isForeign(unit)) {
      if (TWIN[unit - FIRST] !== 0) twins += 1;
      else own += 1;
    }
  }
  if (twins === 0 || latin === 0) return text;
  const everywhere = own < twins * OWN_LETTERS;
  let done = '';
  let kept = 0;
  for (let at = 0; at < text.length; at += 1) {
    const word = wordAt(text, at);
    if (word.twins > 0 && word.own === 0 && (everywhere || word.latin > 0)) {
      done += text.slice(kept, at) + latinised(text, at, word.end);
      kept = word.end;
      found.foreign += 1;
    }
    at = word.end;
  }
  return kept === 0 ? text : done + text.slice(kept);
}

/** The letters from `at` on: where they end, and how many are of which kind. */
function wordAt(text: string, at: number): { end: number; latin: number; twins: number; own: number } {
  const word = { end: at, latin: 0, twins: 0, own: 0 };
  for (; word.end < text.length; word.end += 1) {
    const unit = text.charCodeAt(word.end);
    if (isLatin(unit)) word.latin += 1;
    else if (!isForeign(unit)) break;
    else if (TWIN[unit - FIRST] !== 0) word.twins += 1;
    else word.own += 1;
  }
  return word;
}

function latinised(text: string, from: number, to: number): string {
  let word = '';
  for (let i = from; i < to; i += 1) {
    const unit = text.charCodeAt(i);
    word += isForeign(unit) ? String.fromCharCode(TWIN[unit - FIRST]) : text[i];
  }
  return word;
}

/** Sizes of what was undone as features: by powers of two. */
export function disguiseMarks(found: Disguise): string[] {
  const marks: string[] = [];
  if ((found.invisible | found.styled | found.struck | found.foreign) === 0) return marks;
  for (const [kind, count] of Object.entries(found))
    if (count > 0) marks.push(`${kind} ${32 - Math.clz32(count)}`);
  return marks;
}

const SPACE = 0x20;
const MARK = 0x21;
const DASH = 0x2d;
const LESS = 0x3c;
const MORE = 0x3e;

/**
 * Which tokens of a raw mail its reader does not see: those within HTML comments, and those that its hidden texts have
 * too. Takes the tokens in order.
 */
export class Unseen {
  readonly #hidden = new Set<number>();
  readonly #tokens = new Pieces();
  #body = 0;
  #end = 0;
  #comment = false;

  /** Begins a mail of which bytes [body, end) may have comments; `hidden` as in MailBody. */
  load(hidden: readonly string[], body: number, end: number): void {
    this.#body = body;
    this.#end = end;
    this.#comment = false;
    if (this.#hidden.size > 0) this.#hidden.clear();
    for (const text of hidden) {
      const bytes = Buffer.from(text);
      readTokens(bytes, 0, bytes.length, this.#tokens);
      for (let i = 0; i < this.#tokens.count; i += 1) this.#hidden.add(this.#tokens.hashes[i]);
    }
  }

  /** Whether the token that begins at `from` is one. */
  has(hash: number, bytes: Uint8Array, from: number): boolean {
    if (!this.#comment && bytes[from] === LESS && bytes[from + 1] === MARK && from >= this.#body)
      this.#comment = from + 4 <= this.#end && bytes[from + 2] === DASH && bytes[from + 3] === DASH;
    if (!this.#comment) return this.#hidden.size > 0 && this.#hidden.has(hash);
    for (let at = from; at < this.#end && bytes[at] > SPACE; at += 1)
      if (bytes[at] === MORE && at >= from + 2 && bytes[at - 1] === DASH && bytes[at - 2] === DASH)
        this.#comment = false;
    return true;
  }
}
