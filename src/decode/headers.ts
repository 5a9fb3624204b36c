/**
 * Header fields of a mail: where the section ends, unfolding (RFC 5322), encoded words (RFC 2047) and
 * parameters (RFC 2231). Promises: one pass, linear in the size of the section whatever stands in
 * it; what cannot be decoded is given as it stands. Refuses (DECODE_HEADERS) sections beyond the limits.
 */
import { isAscii } from 'node:buffer';
import { SluiceError } from '../errors.ts';
import { decodeText, hexDigit } from './charset.ts';

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
}

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;

/**
 * Letters of a field name. RFC 5322 allows every printable but the colon; braces, quotes and brackets are
 * left out here, so that JSON or XML is not taken for a header.
 */
const NAME = new Uint8Array(256);
for (const unit of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
  NAME[unit.charCodeAt(0)] = 1;

/** Longest field name taken for one (RFC 5322 limits the line to 998). */
const MAX_NAME = 200;

/** Index of the colon of a field that begins at `at`, -1 where none begins there. */
function colonAt(bytes: Buffer, at: number, end: number): number {
  let i = at;
  const last = Math.min(end, at + MAX_NAME);
  while (i < last && NAME[bytes[i]] === 1) i += 1;
  if (i === at) return -1;
  while (i < last && (bytes[i] === 0x20 || bytes[i] === 0x09)) i += 1;
  return i < last && bytes[i] === COLON ? i : -1;
}

/** `From ` or `>From ` at a line's begin: a mailbox separator, no header field. */
export function isMailboxLine(bytes: Buffer, at: number): boolean {
  const from = bytes[at] === 0x3e ? at + 1 : at;
  return bytes.toString('latin1', from, from + 5) === 'From ';
}

/**
 * Reads the header section that begins at `at`. It ends at an empty line, at `end`, or before the first line that
 * cannot belong to a header (the body then begins there: the empty line was lost).
 */
export function readHeaders(bytes: Buffer, at: number, end: number, budget: HeaderBudget): HeaderSection {
  const fields: HeaderField[] = [];
  let line = at;
  while (line < end) {
    const next = lineEnd(bytes, line, end);
    if (isBlank(bytes, line, next)) return { fields, body: next };
    const colon = colonAt(bytes, line, next);
    if (colon < 0) {
      if (!isMailboxLine(bytes, line)) return { fields, body: line };
      line = next;
      continue;
    }
    // Folded lines belong to the field.
    let stop = next;
    while (stop < end && isFolded(bytes, stop, end)) stop = lineEnd(bytes, stop, end);
    budget.bytes -= stop - line;
    budget.fields -= 1;
    if (budget.bytes < 0 || budget.fields < 0) throw headersTooLarge(budget);
    fields.push([
      bytes.toString('latin1', line, colon).trimEnd().toLowerCase(),
      fieldValue(bytes.subarray(colon + 1, stop)),
    ]);
    line = stop;
  }
  return { fields, body: end };
}

function headersTooLarge(budget: HeaderBudget): SluiceError {
  const what = budget.bytes < 0 ? 'bytes' : 'number';
  return new SluiceError('DECODE_HEADERS', `the ${what} of the header fields exceeds the limit`);
}

/** Index after the line feed of the line at `at`. */
export function lineEnd(bytes: Buffer, at: number, end: number): number {
  const feed = bytes.indexOf(LF, at);
  return feed < 0 || feed >= end ? end : feed + 1;
}

function isBlank(bytes: Buffer, at: number, next: number): boolean {
  return bytes[at] === LF || (bytes[at] === CR && at + 1 < next && bytes[at + 1] === LF && next === at + 2);
}

/** A line that begins with a blank and is not blank altogether goes on with the field before it. */
function isFolded(bytes: Buffer, at: number, end: number): boolean {
  if (bytes[at] !== 0x20 && bytes[at] !== 0x09) return false;
  for (let i = at; i < end; i += 1) {
    const byte = bytes[i];
    if (byte === LF) return false;
    if (byte !== 0x20 && byte !== 0x09 && byte !== CR) return true;
  }
  return false;
}

function fieldValue(bytes: Buffer): string {
  const text = isAscii(bytes) ? bytes.toString('latin1') : decodeText(bytes, '');
  const flat = text.includes('\n') ? text.replace(/\r?\n/g, '') : text;
  return flat.includes('=?') ? decodeWords(flat).trim() : flat.trim();
}

/** More encoded words than this in one field are left as they stand. */
const MAX_WORDS = 2_000;

/**
 * RFC 2047: `=?charset?B|Q?text?=`. Blanks between two encoded words vanish; neighbours of one charset are
 * joined as bytes first, because many mailers cut characters in two.
 */
export function decodeWords(text: string): string {
  let out = '';
  let pending: Buffer[] = [];
  let charset = '';
  let done = 0;
  let words = 0;
  const flush = () => {
    if (pending.length > 0)
      out += decodeText(pending.length === 1 ? pending[0] : Buffer.concat(pending), charset);
    pending = [];
  };
  for (let at = text.indexOf('=?'); at >= 0 && words < MAX_WORDS; at = text.indexOf('=?', at)) {
    const found = wordAt(text, at);
    if (found === null) {
      at += 2;
      continue;
    }
    words += 1;
    const between = text.slice(done, at);
    const adjacent = words > 1 && between.trim() === '';
    if (!adjacent || found.charset !== charset) flush();
    if (!adjacent) out += between;
    charset = found.charset;
    pending.push(found.bytes);
    done = found.end;
    at = found.end;
  }
  flush();
  return out + text.slice(done);
}

interface EncodedWord {
  readonly charset: string;
  readonly bytes: Buffer;
  readonly end: number;
}

/** The encoded word at `at`, null where there is none. Looks no further than the third `?` and the `?=` after it. */
function wordAt(text: string, at: number): EncodedWord | null {
  const first = text.indexOf('?', at + 2);
  if (first < 0 || first - at > 80 || text[first + 2] !== '?') return null;
  const kind = text[first + 1].toLowerCase();
  if (kind !== 'b' && kind !== 'q') return null;
  // In Q text `?` may not stand (RFC 2047 4.2), so the next one ends the word or it is none.
  const last = text.indexOf('?', first + 3);
  if (last < 0 || text[last + 1] !== '=') return null;
  const body = text.slice(first + 3, last);
  // RFC 2231 section 5: a language may follow the charset after a star.
  const charset = text
    .slice(at + 2, first)
    .split('*', 1)[0]
    .toLowerCase();
  const bytes = kind === 'b' ? Buffer.from(body, 'base64') : decodeQ(body);
  return { charset, bytes, end: last + 2 };
}

function decodeQ(text: string): Buffer {
  const out = Buffer.from(text, 'utf8');
  let length = 0;
  for (let i = 0; i < out.length; i += 1) {
    const byte = out[i];
    const high = byte === 0x3d && i + 2 < out.length ? hexDigit(out[i + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(out[i + 2]);
    if (low >= 0) {
      out[length++] = (high << 4) | low;
      i += 2;
    } else out[length++] = byte === 0x5f ? 0x20 : byte;
  }
  return out.subarray(0, length);
}

/** A structured value: `text/html; charset="x"`. */
export interface Parameterised {
  /** Lower case, without parameters. */
  readonly value: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** Parameters beyond these are not read, nor what stands further on in the value. */
const MAX_PARAMETERS = 64;
const MAX_PARAMETER_TEXT = 16_384;
const PARAMETER = /;\s*([^\s=;"]{1,100})\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))/gsy;

/** Value and parameters of Content-Type or Content-Disposition, continuations and charsets by RFC 2231. */
export function parseParameters(whole: string): Parameterised {
  const text = whole.length > MAX_PARAMETER_TEXT ? whole.slice(0, MAX_PARAMETER_TEXT) : whole;
  const semicolon = text.indexOf(';');
  const value = (semicolon < 0 ? text : text.slice(0, semicolon)).trim().toLowerCase();
  const raw = new Map<string, string>();
  if (semicolon < 0) return { value, parameters: raw };
  PARAMETER.lastIndex = semicolon;
  for (let count = 0; count < MAX_PARAMETERS; count += 1) {
    const from = PARAMETER.lastIndex;
    const match = PARAMETER.exec(text);
    if (match === null) {
      // Something that is no parameter: go on after the next semicolon.
      const next = text.indexOf(';', from + 1);
      if (next < 0) break;
      PARAMETER.lastIndex = next;
      continue;
    }
    const name = match[1].toLowerCase();
    const content = match[2] === undefined ? match[3].trim() : match[2].replace(/\\(.)/gs, '$1');
    if (!raw.has(name)) raw.set(name, content);
    // Rubbish between a closing quote and the next semicolon is skipped.
    const next = text.indexOf(';', PARAMETER.lastIndex);
    if (next < 0) break;
    PARAMETER.lastIndex = next;
  }
  return { value, parameters: joinContinuations(raw) };
}

/** `name*0*=utf-8'en'%41; name*1=b` and `name*=utf-8''%41` (RFC 2231 sections 3 and 4). */
function joinContinuations(raw: Map<string, string>): Map<string, string> {
  let extended = false;
  for (const name of raw.keys()) extended ||= name.includes('*');
  if (!extended) return raw;
  const joined = new Map<string, string>();
  for (const [name, content] of raw) {
    const star = name.indexOf('*');
    if (star < 0) {
      if (!joined.has(name)) joined.set(name, content);
    } else if (name === `${name.slice(0, star)}*` || name.startsWith('*0', star)) {
      joined.set(name.slice(0, star), extendedValue(raw, name.slice(0, star)));
    }
  }
  return joined;
}

function extendedValue(raw: Map<string, string>, name: string): string {
  const whole = raw.get(`${name}*`);
  if (whole !== undefined) return percentText(whole);
  const pieces: Buffer[] = [];
  let charset = '';
  for (let section = 0; ; section += 1) {
    const plain = raw.get(`${name}*${section}`);
    const coded = raw.get(`${name}*${section}*`);
    if (plain === undefined && coded === undefined) break;
    if (coded === undefined) {
      pieces.push(Buffer.from(plain ?? '', 'utf8'));
      continue;
    }
    const { label, text } = section === 0 ? splitCharset(coded) : { label: charset, text: coded };
    charset = label;
    pieces.push(percentBytes(text));
  }
  return decodeText(Buffer.concat(pieces), charset);
}

function splitCharset(text: string): { label: string; text: string } {
  const first = text.indexOf("'");
  const second = first < 0 ? -1 : text.indexOf("'", first + 1);
  if (second < 0) return { label: '', text };
  return { label: text.slice(0, first), text: text.slice(second + 1) };
}

function percentText(text: string): string {
  const { label, text: rest } = splitCharset(text);
  return decodeText(percentBytes(rest), label);
}

function percentBytes(text: string): Buffer {
  const out = Buffer.from(text, 'utf8');
  let length = 0;
  for (let i = 0; i < out.length; i += 1) {
    const high = out[i] === 0x25 && i + 2 < out.length ? hexDigit(out[i + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(out[i + 2]);
    if (low >= 0) {
      out[length++] = (high << 4) | low;
      i += 2;
    } else out[length++] = out[i];
  }
  return out.subarray(0, length);
}
