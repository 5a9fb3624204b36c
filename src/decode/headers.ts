/**
 * Header fields of a mail: where the section ends and unfolding (RFC 5322 2.2.3, 3.6.8). Promises: linear
 * in the size of the section whatever stands in it; what cannot be decoded is given as it stands. Refuses (DECODE_HEADERS) sections beyond the limits.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { SluiceError } from '../errors.ts';
import { decodeText, detached, windows1252 } from './charset.ts';
import { decodeWords } from './words.ts';

export type HeaderField = readonly [name: string, value: string];

/** A header section and where the body after it begins. */
export interface HeaderSection {
  readonly fields: HeaderField[];
  readonly body: number;
}

/** What may be spent on headers, over all parts of one mail together. */
export interface HeaderBudget {
  bytes: number;
  fields: number;
  /** Encoded words that are decoded; those beyond are left as they stand. */
  words: number;
}

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;

/**
 * Letters of a field name. RFC 5322 (3.6.8) allows every printable but the colon; braces, double quotes, `<` and square
 * brackets are left out here, so that JSON or XML is not taken for a header.
 */
const NAME = new Uint8Array(256);
for (let unit = 0x21; unit < 0x7f; unit += 1)
  NAME[unit] = ':"<[]{}'.includes(String.fromCharCode(unit)) ? 0 : 1;

/** Longest field name taken for one (RFC 5322 limits the line to 998). */
const MAX_NAME = 200;

/** Index of the colon of a field that begins at `at`, -1 where none begins there. */
function colonAt(text: string, at: number): number {
  let i = at;
  const last = Math.min(text.length, at + MAX_NAME);
  while (i < last && NAME[text.charCodeAt(i)] === 1) i += 1;
  if (i === at) return -1;
  while (i < last && (text.charCodeAt(i) === 0x20 || text.charCodeAt(i) === 0x09)) i += 1;
  return i < last && text.charCodeAt(i) === COLON ? i : -1;
}

/** `From ` or `>From ` at a line's begin: a mailbox separator, no header field. */
export function isMailboxLine(bytes: Buffer, at: number): boolean {
  const from = bytes[at] === 0x3e ? at + 1 : at;
  return (
    bytes[from] === 0x46 &&
    bytes[from + 1] === 0x72 &&
    bytes[from + 2] === 0x6f &&
    bytes[from + 3] === 0x6d &&
    bytes[from + 4] === 0x20
  );
}

function isMailboxText(text: string, at: number): boolean {
  return text.startsWith('From ', text.charCodeAt(at) === 0x3e ? at + 1 : at);
}

/** A field name as it is written, with its blanks, and in lower case without. */
interface FieldName {
  readonly raw: string;
  readonly name: string;
}

/** Field names as they are written: the same few in every mail. */
const names = new Map<string, FieldName>();
/** Names come from strangers: what is remembered of them is bounded, in all and by mail. */
const MAX_NAMES = 4_096;
const MAX_REMEMBERED = 40;
const NEW_NAMES = 40;
/** The last of the names that fell on each place by a simple hash: seldom is one looked for in the map. */
const PLACES = 1_024;
const lately = new Array<FieldName>(PLACES).fill({ raw: '', name: '' });

function lowerName(text: string, at: number, colon: number, budget: { names: number }): string {
  let hash = colon - at;
  for (let i = at; i < colon; i += 1) hash = Math.imul(hash, 31) + text.charCodeAt(i);
  const slot = (hash ^ (hash >>> 10)) & (PLACES - 1);
  const last = lately[slot];
  if (last.raw.length === colon - at && stands(last.raw, text, at)) return last.name;
  const raw = text.slice(at, colon);
  let found = names.get(raw);
  if (found === undefined) {
    const name = raw.trimEnd().toLowerCase();
    if (raw.length > MAX_REMEMBERED || budget.names <= 0) return name;
    budget.names -= 1;
    if (names.size >= MAX_NAMES) names.clear();
    found = { raw: detached(raw), name: detached(name) };
    names.set(found.raw, found);
  }
  lately[slot] = found;
  return found.name;
}

function stands(name: string, text: string, at: number): boolean {
  for (let i = 0; i < name.length; i += 1) if (name.charCodeAt(i) !== text.charCodeAt(at + i)) return false;
  return true;
}

/** What is turned into text at once: nearly every header section of a mail, and of a part. */
const WINDOW = 4_096;
const PART_WINDOW = 512;

/**
 * Reads the header section that begins at `at`. It ends at an empty line, at `end`, or before the first line that
 * cannot belong to a header (the body then begins there: the empty line was lost).
 */
export function readHeaders(bytes: Buffer, at: number, end: number, budget: HeaderBudget): HeaderSection {
  if (bytes[at] === LF) return { fields: [], body: at + 1 };
  if (bytes[at] === CR && bytes[at + 1] === LF) return { fields: [], body: at + 2 };
  if (!mayBegin(bytes, at, end)) return { fields: [], body: at };
  for (let size = at < WINDOW ? WINDOW : PART_WINDOW; ; size *= 4) {
    const stop = Math.min(end, at + size);
    const text = bytes.toString('latin1', at, stop);
    const lines = readLines(text, stop === end, budget);
    if (lines === null) continue;
    budget.bytes = lines.left;
    budget.fields -= lines.count;
    return {
      fields: fieldsOf(bytes.subarray(at, at + lines.body), text, lines, budget),
      body: at + lines.body,
    };
  }
}

/** Whether a field or a mailbox line may stand at `at`: parts without headers need no more than this. */
function mayBegin(bytes: Buffer, at: number, end: number): boolean {
  const last = Math.min(end, at + MAX_NAME);
  let i = at;
  while (i < last && NAME[bytes[i]] === 1) i += 1;
  return i > at ? i < last && (bytes[i] === COLON || bytes[i] === 0x20 || bytes[i] === 0x09) : false;
}

/**
 * Where the fields of the section at hand stand in its text: begin of name, colon, end of value, and 1 where the value has
 * several lines; four numbers each.
 */
let places = new Int32Array(4 * 128);

/** What was found of a section. */
interface Lines {
  /** Of fields in `places`. */
  readonly count: number;
  readonly body: number;
  /** Of the budget in bytes. */
  readonly left: number;
}

/** Finds the fields of a section; null where it goes on behind the text and that is not `whole`. */
function readLines(text: string, isWhole: boolean, budget: HeaderBudget): Lines | null {
  let count = 0;
  let line = 0;
  let left = budget.bytes;
  while (line < text.length) {
    let next = afterLine(text, line);
    if (next === 0 && !isWhole) break;
    if (next === 0) next = text.length;
    if (isBlank(text, line, next)) return { count, body: next, left };
    const colon = colonAt(text, line);
    if (colon < 0 && !isMailboxText(text, line)) return { count, body: line, left };
    // Folded lines belong to the field.
    const first = next;
    if (colon >= 0)
      while (next < text.length && isFolded(text, next)) next = afterLine(text, next) || text.length;
    if (next === text.length && !isWhole) break;
    left -= next - line;
    if (colon >= 0) place(count++, line, colon, next, next > first);
    if (left < 0 || count > budget.fields) throw headersTooLarge(left < 0);
    line = next;
  }
  if (isWhole) return { count, body: text.length, left };
  if (text.length - line > left) throw headersTooLarge(true);
  return null;
}

function place(field: number, begin: number, colon: number, end: number, isFolded: boolean): void {
  if (4 * field + 4 > places.length) {
    const longer = new Int32Array(places.length * 2);
    longer.set(places);
    places = longer;
  }
  places[4 * field] = begin;
  places[4 * field + 1] = colon;
  places[4 * field + 2] = end;
  places[4 * field + 3] = isFolded ? 1 : 0;
}

function fieldsOf(bytes: Buffer, latin1: string, lines: Lines, budget: HeaderBudget): HeaderField[] {
  const isPlain = isAscii(bytes);
  // Bytes above 127 that are UTF-8 throughout are turned at once: field by field costs more than the rest together.
  const isWhole = !isPlain && isUtf8(bytes);
  const text = isWhole ? bytes.toString('utf8') : latin1;
  const { count } = isWhole ? (readLines(text, true, WITHOUT_LIMIT) as Lines) : lines;
  const fields: HeaderField[] = [];
  const fresh = { names: NEW_NAMES };
  // Looked for once: most mails have none at all.
  const hasWords = text.includes('=?');
  for (let i = 0; i < 4 * count; i += 4) {
    const raw = valueBetween(text, places[i + 1] + 1, places[i + 2]);
    const value = (isPlain || isWhole ? raw : readable(raw)).trim();
    const flat = places[i + 3] === 1 ? unfolded(value) : value;
    const name = lowerName(text, places[i], places[i + 1], fresh);
    fields.push([name, hasWords && flat.includes('=?') ? decodeWords(flat, budget).trim() : flat]);
  }
  return fields;
}

const WITHOUT_LIMIT: HeaderBudget = {
  bytes: Number.MAX_SAFE_INTEGER,
  fields: Number.MAX_SAFE_INTEGER,
  words: 0,
};

function headersTooLarge(bytes: boolean): SluiceError {
  const what = bytes ? 'bytes' : 'number';
  return new SluiceError('DECODE_HEADERS', `the ${what} of the header fields exceeds the limit`);
}

const SHORT = 24;

/** Index after the line feed of the line at `at`. */
export function lineEnd(bytes: Buffer, at: number, end: number): number {
  // A call into native code costs more than a short line.
  const near = Math.min(end, at + SHORT);
  for (let i = at; i < near; i += 1) if (bytes[i] === LF) return i + 1;
  const feed = bytes.indexOf(LF, at);
  return feed < 0 || feed >= end ? end : feed + 1;
}

/** Index after the line that begins at `at`, 0 where it does not end. */
function afterLine(text: string, at: number): number {
  return text.indexOf('\n', at) + 1;
}

function isBlank(text: string, at: number, next: number): boolean {
  const first = text.charCodeAt(at);
  return first === LF || (first === CR && next === at + 2 && text.charCodeAt(at + 1) === LF);
}

/** A line that begins with a blank and is not blank altogether goes on with the field before it. */
function isFolded(text: string, at: number): boolean {
  const first = text.charCodeAt(at);
  if (first !== 0x20 && first !== 0x09) return false;
  for (let i = at + 1; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit === LF) return false;
    if (unit !== 0x20 && unit !== 0x09 && unit !== CR) return true;
  }
  return false;
}

const HIGH = /[\x80-\xff]/;
/** Bytes above 127 without such a pair are no UTF-8. */
const UTF8_PAIR = /[\xc2-\xf4][\x80-\xbf]/;

/** The text of a value that holds bytes as latin1: UTF-8, else windows-1252. */
function readable(raw: string): string {
  if (!HIGH.test(raw)) return raw;
  return UTF8_PAIR.test(raw) ? decodeText(Buffer.from(raw, 'latin1'), '') : windows1252(raw);
}

/** The text between, without blanks and line breaks of ASCII at its ends. */
function valueBetween(text: string, begin: number, end: number): string {
  let from = begin;
  let to = end;
  while (from < to && text.charCodeAt(from) <= 0x20 && isSpace(text.charCodeAt(from))) from += 1;
  while (to > from && text.charCodeAt(to - 1) <= 0x20 && isSpace(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isSpace(unit: number): boolean {
  return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d);
}

/** Without its line breaks; blanks at the begin of lines stay (RFC 5322 2.2.3). */
function unfolded(text: string): string {
  let feed = text.indexOf('\n');
  if (feed < 0) return text;
  let out = '';
  let from = 0;
  for (; feed >= 0; feed = text.indexOf('\n', from)) {
    out += text.slice(from, text.charCodeAt(feed - 1) === CR ? feed - 1 : feed);
    from = feed + 1;
  }
  return out + text.slice(from);
}
