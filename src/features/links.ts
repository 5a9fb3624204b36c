/**
 * What a link says about its sender, as short marks to be hashed: scheme, host with its parents, path pieces, and what
 * honest links seldom have. Promises: bounded in number and length whatever the address; never throws: what is no address is a
 * mark of its own; nothing is allocated a mark.
 */
import { mix, spell, wordStart } from './hash.ts';

/** Takes a mark: its hash, and for `describe` its first word and where in `text` the rest stands. */
export type MarkTaker = (hash: number, first: string, text: string, from: number, to: number) => void;

const MAX_SCHEME = 21;
/** Of the authority, and of the path. */
const MAX_PART = 300;
const MAX_LABELS = 6;
const MAX_PIECES = 8;
const MAX_RELATIVE = 60;

/** First word of a mark, and what hashing it gave. */
const first = (text: string) => ({ text, hash: spell(wordStart, text) });
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
const CLAIMED = /(?:https?:\/\/|www\.)([^/\s?#]{1,200})/i;
/** What CLAIMED matches has at least so many letters. */
const MIN_CLAIM = 5;

/** All marks of a link, in order. */
export function readLink(shown: string, target: string, take: MarkTaker): void {
  const text = target.toLowerCase();
  const mark = ({ text: name, hash }: { text: string; hash: number }, from = 0, to = 0): void =>
    take(mix(spell(hash, text, from, to)), name, text, from, to);
  const colon = schemeEnd(text);
  if (colon < 0) {
    mark(RELATIVE, 0, Math.min(text.length, MAX_RELATIVE));
    return;
  }
  mark(SCHEME, 0, colon);
  const from =
    text.charCodeAt(colon + 1) === SLASH && text.charCodeAt(colon + 2) === SLASH ? colon + 3 : colon + 1;
  const authority = partEnd(text, from, true);
  const at = lastIndex(text, '@', from, authority);
  if (at >= 0 && !(colon === 6 && text.startsWith('mailto'))) mark(USER);
  const host = at < 0 ? from : at + 1;
  const end = portAt(text, host, authority);
  if (end < authority) mark(PORT, end + 1, authority);
  if (isNumeric(text, host, end)) mark(NUMBER);
  let label = host;
  for (let more = labelsIn(text, host, end) - MAX_LABELS; more > 0; more -= 1)
    label = text.indexOf('.', label) + 1;
  for (; ; label = text.indexOf('.', label) + 1) {
    mark(HOST, label, end);
    const dot = text.indexOf('.', label);
    if (dot < 0 || dot >= end) break;
  }
  const path = partEnd(text, authority, false);
  let piece = authority;
  for (let count = 0; count < MAX_PIECES && piece <= path; count += 1) {
    const slash = text.indexOf('/', piece);
    const to = slash < 0 || slash > path ? path : slash;
    if (to > piece) mark(PATH, piece, to);
    piece = to + 1;
  }
  if (text.includes('%')) mark(ESCAPED);
  if (text.includes('?')) mark(QUERY);
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

/** Index of the colon after the scheme, -1 where there is none. */
function schemeEnd(text: string): number {
  const most = Math.min(text.length, MAX_SCHEME + 1);
  for (let i = 0; i < most; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit === COLON) return i > 0 ? i : -1;
    const isLetter = unit >= 0x61 && unit <= 0x7a;
    const isOther = (unit >= 0x30 && unit <= 0x39) || unit === 0x2b || unit === 0x2e || unit === 0x2d;
    if (!isLetter && !(isOther && i > 0)) return -1;
  }
  return -1;
}

/** Where the authority (it ends at a slash too) or the path that begins at `from` ends. */
function partEnd(text: string, from: number, isAuthority: boolean): number {
  const most = Math.min(text.length, from + MAX_PART);
  for (let i = from; i < most; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit === QUESTION || unit === FRAGMENT || (isAuthority && unit === SLASH)) return i;
  }
  return most;
}

function lastIndex(text: string, sign: string, from: number, to: number): number {
  const found = text.lastIndexOf(sign, to - 1);
  return found >= from && found < to ? found : -1;
}

/** Index of the colon before the port; the host's end where there is none. */
function portAt(text: string, host: number, end: number): number {
  let i = end;
  while (i > host && text.charCodeAt(i - 1) >= 0x30 && text.charCodeAt(i - 1) <= 0x39) i -= 1;
  return i > host && text.charCodeAt(i - 1) === COLON ? i - 1 : end;
}

function labelsIn(text: string, from: number, to: number): number {
  let count = 1;
  for (let i = from; i < to; i += 1) if (text.charCodeAt(i) === 0x2e) count += 1;
  return count;
}

/** Whether a host is an address: digits and dots only, or hexadecimal. */
function isNumeric(text: string, from: number, to: number): boolean {
  if (text.startsWith('0x', from) && to >= from + 2) return true;
  let i = from;
  while (
    i < to &&
    ((text.charCodeAt(i) >= 0x30 && text.charCodeAt(i) <= 0x39) || text.charCodeAt(i) === 0x2e)
  )
    i += 1;
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
