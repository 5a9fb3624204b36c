/**
 * Bytes to text, and the two transfer encodings of MIME. Promises: never throws, whatever the bytes;
 * one pass over them; the same text on every Node version. An unknown charset is read as UTF-8 where
 * the bytes are valid UTF-8, else as windows-1252, as browsers and mail readers do.
 *
 * windows-1252 is decoded here, because TextDecoder of some Node 20 builds takes it for latin1.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';

/** Code points of bytes 0x80–0x9f in windows-1252 (WHATWG Encoding, index-windows-1252). */
export const CP1252 =
  '\u20ac\u0081\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u008d\u017d\u008f' +
  '\u0090\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u009d\u017e\u0178';

/** Labels seen in mail that the WHATWG list lacks. */
const ALIASES = new Map(
  Object.entries({
    'latin-1': 'windows-1252',
    cp932: 'shift_jis',
    cp936: 'gbk',
    cp949: 'euc-kr',
    cp950: 'big5',
    utf8mb4: 'utf-8',
  }),
);

/**
 * Labels that TextDecoder knows (WHATWG Encoding, section 4.2; those that mail may hold). Asking it for one that it does not
 * know costs an exception, and mails can hold thousands.
 */
const LABELS = new Set(
  (
    'utf-8 utf8 unicode-1-1-utf-8 x-unicode20utf8 utf-16 utf-16le utf-16be unicode ucs-2 iso-10646-ucs-2 ' +
    'ascii us-ascii ansi_x3.4-1968 cp819 iso-ir-100 l1 latin1 iso_8859-1:1987 windows-1252 cp1252 x-cp1252 ' +
    'l2 latin2 l3 latin3 l4 latin4 l5 latin5 l6 latin6 l9 latin9 iso-8859-8-i iso-8859-8-e iso-8859-6-i iso-8859-6-e ' +
    'logical visual hebrew greek greek8 arabic cyrillic csisolatin1 csisolatin2 csisolatin5 csisolatin9 ' +
    'ibm866 cp866 866 koi8-r koi8_r koi koi8 cskoi8r koi8-u koi8-ru macintosh mac x-mac-roman x-mac-cyrillic ' +
    'windows-874 dos-874 tis-620 gbk gb2312 gb_2312 gb_2312-80 x-gbk chinese csgb2312 gb18030 big5 big5-hkscs cn-big5 ' +
    'x-x-big5 csbig5 euc-jp x-euc-jp cseucpkdfmtjapanese iso-2022-jp csiso2022jp shift_jis shift-jis sjis x-sjis ms932 ' +
    'ms_kanji windows-31j csshiftjis euc-kr cseuckr korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949'
  ).split(' '),
);
for (const part of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16])
  for (const label of [`iso-8859-${part}`, `iso8859-${part}`, `iso_8859-${part}`, `iso8859${part}`])
    LABELS.add(label);
for (let page = 1250; page <= 1258; page += 1)
  for (const label of [`windows-${page}`, `cp${page}`, `x-cp${page}`]) LABELS.add(label);

type Charset = 'unknown' | 'utf-8' | 'windows-1252' | TextDecoder;

/** By label in lower case. Those that nobody knows are not remembered: strangers may make up any number of them. */
const known = new Map<string, Charset>();
const MAX_LABEL = 64;

function charsetOf(label: string): Charset {
  if (label === '' || label.length > MAX_LABEL) return 'unknown';
  const said = label.trim().toLowerCase();
  let found = known.get(said);
  if (found !== undefined) return found;
  found = lookUp(said);
  if (found !== 'unknown') known.set(detached(said), found);
  return found;
}

function lookUp(said: string): Charset {
  // "us-ascii" with bytes above 127 is in truth whatever it is.
  if (said === 'us-ascii' || said === 'ascii') return 'unknown';
  const name = ALIASES.get(said) ?? said;
  if (!LABELS.has(name)) return 'unknown';
  try {
    const decoder = new TextDecoder(name);
    if (decoder.encoding === 'utf-8' || decoder.encoding === 'windows-1252') return decoder.encoding;
    return decoder;
  } catch {
    return 'unknown'; // a Node without all of ICU
  }
}

/** Whether text in this charset may change its meaning by escapes, so that pieces of it must be decoded apart. */
export function isStateful(label: string): boolean {
  return /^\s*(?:cs)?iso-?2022/i.test(label);
}

/** A copy that shares no memory with the mail it was cut from: for what is remembered longer than the mail. */
export function detached(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}

/** A Buffer over the same memory, for its native readers. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The text of bytes that are given as latin1. */
export function windows1252(latin1: string): string {
  return latin1.replace(/[\x80-\x9f]/g, (unit) => CP1252[unit.charCodeAt(0) - 0x80]);
}

/** The text of bytes that are said to be in `label`. */
export function decodeText(bytes: Buffer, label: string): string {
  const charset = charsetOf(label);
  if (typeof charset !== 'string') return charset.decode(bytes);
  if (isAscii(bytes)) return bytes.toString('latin1');
  if (charset === 'windows-1252') return windows1252(bytes.toString('latin1'));
  return charset === 'utf-8' || isUtf8(bytes)
    ? bytes.toString('utf8')
    : windows1252(bytes.toString('latin1'));
}

/**
 * base64 (RFC 2045 section 6.8): what is no digit is skipped, padding ends it. So does a line that begins with a dash or a
 * low line: mailing lists put their footers behind encoded text, which would be read as digits.
 */
export function decodeBase64(bytes: Buffer): Buffer {
  return Buffer.from(
    bytes.toString('latin1', 0, Math.min(footer(bytes, '\n--'), footer(bytes, '\n__'))),
    'base64',
  );
}

function footer(bytes: Buffer, mark: string): number {
  const found = bytes.indexOf(mark, 0, 'latin1');
  return found < 0 ? bytes.length : found;
}

/** Value of a hexadecimal digit, -1 for another byte. Lower case is accepted, as everywhere. */
export function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const upper = byte & 0xdf;
  return upper >= 0x41 && upper <= 0x46 ? upper - 55 : -1;
}

/** The same of all bytes: text in quoted-printable has too many for a branch each. */
const DIGITS = Int8Array.from({ length: 256 }, (_, byte) => hexDigit(byte));

/**
 * Quoted-printable (RFC 2045 section 6.7). A `=` that begins neither a hex pair nor a soft line break
 * stands for itself; blanks before a soft break's line end are dropped.
 */
export function decodeQuotedPrintable(bytes: Buffer): Buffer {
  let from = bytes.indexOf(0x3d);
  if (from < 0) return bytes;
  const out = Buffer.allocUnsafe(bytes.length);
  bytes.copy(out, 0, 0, from);
  let length = from;
  const end = bytes.length;
  while (from < end) {
    let byte = bytes[from];
    while (byte !== 0x3d) {
      out[length++] = byte;
      from += 1;
      if (from === end) return out.subarray(0, length);
      byte = bytes[from];
    }
    from += 1;
    const pair = from + 1 < end ? (DIGITS[bytes[from]] << 4) | DIGITS[bytes[from + 1]] : -1;
    if (pair >= 0) {
      out[length++] = pair;
      from += 2;
      continue;
    }
    const next = afterSoftBreak(bytes, from);
    if (next < 0) out[length++] = 0x3d;
    else from = next;
  }
  return out.subarray(0, length);
}

/** RFC 2045 allows a line 76 characters; a longer run of blanks after `=` is no soft break. */
const MAX_PADDING = 80;

/**
 * Where the text goes on after a soft break whose `=` stands before `from`, -1 where it is none. The end of the data counts
 * as a line's end: the last line break of a part belongs to its boundary.
 */
function afterSoftBreak(bytes: Buffer, from: number): number {
  const end = bytes.length;
  let at = from;
  while (at < end && at - from < MAX_PADDING && (bytes[at] === 0x20 || bytes[at] === 0x09)) at += 1;
  if (at === end) return end;
  if (bytes[at] === 0x0d && bytes[at + 1] === 0x0a) return at + 2;
  return bytes[at] === 0x0a || bytes[at] === 0x0d ? at + 1 : -1;
}
