/**
 * What a link says about its sender, as short marks to be hashed: scheme, host with its parents, path pieces, and what
 * honest links seldom have. Promises: bounded in number and length whatever the address; never throws: what is no address is a
 * mark of its own; nothing is allocated a mark.
 */
import { letter, mix, spell, wordStart } from './hash.ts';
import { Units } from './pieces.ts';

/** Takes a mark: its hash, and for `describe` its first word and where in `text` the rest stands. */
export type MarkTaker = (hash: number, first: string, text: string, from: number, to: number) => void;

const MAX_SCHEME = 21;
/** Of the authority, and of the path. */
const MAX_PART = 300;
const MAX_LABELS = 6;
const MAX_PIECES = 8;
const MAX_RELATIVE = 60;

/** First word of a mark, and what hashing it gave. */
interface First {
  readonly text: string;
  readonly hash: number;
}
const first = (text: string): First => ({ text, hash: spell(wordStart, text) });
const RELATIVE = first('relative ');
const SCHEME = first('scheme ');
const PORT = first('port ');
const HOST = first('host ');
const PATH = first('path ');
const USER = first('user in address');
const NUMBER = first('host is a number');
const ESCAPED = first('escaped');
const QUERY = first('query');
const OTHER = first('shows another host');
const NOTHING = first('shows nothing');

const COLON = 0x3a;
const SLASH = 0x2f;
const QUESTION = 0x3f;
const FRAGMENT = 0x23;
const DOT = 0x2e;
const AT = 0x40;
const PERCENT = 0x25;
/** The link at hand. One is read at a time. */
const link = new Units();
let hasPercent = false;
let hasQuestion = false;

const CLAIMED = /(?:https?:\/\/|www\.)([^/\s?#]{1,200})/i;
/** What CLAIMED matches has at least so many letters. */
const MIN_CLAIM = 5;

/** All marks of a link, in order. */
export function readLink(shown: string, target: string, take: MarkTaker): void {
  const text = load(target);
  const { units, length } = link;
  const mark = ({ text: name, hash }: First, from = 0, to = 0): void =>
    take(mix(spellUnits(hash, from, to)), name, text, from, to);
  const colon = schemeEnd();
  if (colon < 0) {
    mark(RELATIVE, 0, Math.min(length, MAX_RELATIVE));
    return;
  }
  mark(SCHEME, 0, colon);
  const hasAuthority = colon + 2 < length && units[colon + 1] === SLASH && units[colon + 2] === SLASH;
  const from = hasAuthority ? colon + 3 : colon + 1;
  const authority = partEnd(from, true);
  let at = authority - 1;
  while (at >= from && units[at] !== AT) at -= 1;
  if (at >= from && !(colon === 6 && text.startsWith('mailto'))) mark(USER);
  const host = Math.max(from, at + 1);
  const end = portAt(host, authority);
  if (end < authority) mark(PORT, end + 1, authority);
  if (isNumeric(host, end)) mark(NUMBER);
  let label = host;
  for (let more = labelsIn(host, end) - MAX_LABELS; more > 0; more -= 1) label = indexOf(DOT, label, end) + 1;
  for (;;) {
    mark(HOST, label, end);
    const dot = indexOf(DOT, label, end);
    if (dot === end) break;
    label = dot + 1;
  }
  const path = partEnd(authority, false);
  let piece = authority;
  for (let count = 0; count < MAX_PIECES && piece <= path; count += 1) {
    const to = indexOf(SLASH, piece, path);
    if (to > piece) mark(PATH, piece, to);
    piece = to + 1;
  }
  if (hasPercent) mark(ESCAPED);
  if (hasQuestion) mark(QUERY);
  // A plain link shows what it is.
  const isPlain = shown === target && host === from && end === authority && text.startsWith('http');
  if (!isPlain && claimsAnother(shown, text, host, end)) mark(OTHER);
  if (shown === '') mark(NOTHING);
}

/** The marks in words. */
export function linkMarks(shown: string, target: string): string[] {
  const marks: string[] = [];
  readLink(shown, target, (_, name, text, from, to) => marks.push(name + text.slice(from, to)));
  return marks;
}

/** Takes an address as the link at hand, in lower case, and returns it so. */
function load(target: string): string {
  link.load(target);
  const { units, length } = link;
  let all = 0;
  let capitals = 0;
  hasPercent = false;
  hasQuestion = false;
  for (let i = 0; i < length; i += 1) {
    const unit = units[i];
    all |= unit;
    if (unit >= 0x61 && unit <= 0x7a) continue;
    if (unit >= 0x41 && unit <= 0x5a) {
      units[i] = unit | 0x20;
      capitals += 1;
    } else if (unit === PERCENT) hasPercent = true;
    else if (unit === QUESTION) hasQuestion = true;
  }
  if (all < 0x80) return capitals === 0 ? target : target.toLowerCase();
  const text = target.toLowerCase();
  link.load(text);
  return text;
}

/** The units of the link at hand in [from, to) after those that made `hash`. */
function spellUnits(hash: number, from: number, to: number): number {
  const { units } = link;
  let h = hash;
  for (let i = from; i < to; i += 1) h = letter(h, units[i]);
  return h;
}

/** Index of a unit in [from, to) of the link at hand, `to` where there is none. */
function indexOf(unit: number, from: number, to: number): number {
  const { units } = link;
  let i = from;
  while (i < to && units[i] !== unit) i += 1;
  return i;
}

/** Index of the colon after the scheme, -1 where there is none. */
function schemeEnd(): number {
  const { units, length } = link;
  const most = Math.min(length, MAX_SCHEME + 1);
  for (let i = 0; i < most; i += 1) {
    const unit = units[i];
    if (unit === COLON) return i > 0 ? i : -1;
    const isLetter = unit >= 0x61 && unit <= 0x7a;
    const isOther = (unit >= 0x30 && unit <= 0x39) || unit === 0x2b || unit === DOT || unit === 0x2d;
    if (!isLetter && !(isOther && i > 0)) return -1;
  }
  return -1;
}

/** Where the authority (it ends at a slash too) or the path that begins at `from` ends. */
function partEnd(from: number, isAuthority: boolean): number {
  const { units, length } = link;
  const most = Math.min(length, from + MAX_PART);
  for (let i = from; i < most; i += 1) {
    const unit = units[i];
    if (unit === QUESTION || unit === FRAGMENT || (isAuthority && unit === SLASH)) return i;
  }
  return most;
}

/** Index of the colon before the port; the host's end where there is none. */
function portAt(host: number, end: number): number {
  const { units } = link;
  let i = end;
  while (i > host && units[i - 1] >= 0x30 && units[i - 1] <= 0x39) i -= 1;
  return i > host && units[i - 1] === COLON ? i - 1 : end;
}

function labelsIn(from: number, to: number): number {
  const { units } = link;
  let count = 1;
  for (let i = from; i < to; i += 1) if (units[i] === DOT) count += 1;
  return count;
}

/** Whether a host is an address: digits and dots only, or hexadecimal. */
function isNumeric(from: number, to: number): boolean {
  const { units } = link;
  if (to >= from + 2 && units[from] === 0x30 && units[from + 1] === 0x78) return true;
  let i = from;
  while (i < to && ((units[i] >= 0x30 && units[i] <= 0x39) || units[i] === DOT)) i += 1;
  return i === to && to > from;
}

/** Whether what is shown names a host of another domain than that of text[host, end). */
function claimsAnother(shown: string, text: string, host: number, end: number): boolean {
  if (shown.length < MIN_CLAIM) return false;
  const claimed = CLAIMED.exec(shown)?.[1].toLowerCase();
  if (claimed === undefined) return false;
  // Its last two labels.
  const last = claimed.lastIndexOf('.');
  const domain = claimed.slice(last > 0 ? claimed.lastIndexOf('.', last - 1) + 1 : 0);
  const begin = end - domain.length;
  const isWithin = begin === host || (begin > host && text.charCodeAt(begin - 1) === 0x2e);
  return !isWithin || !text.endsWith(domain, end);
}
