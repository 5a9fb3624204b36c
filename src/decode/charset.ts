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
const CP1252 =
  '\u20ac\u0081\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u008d\u017d\u008f' +
  '\u0090\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u009d\u017e\u0178';

/** Labels seen in mail that the WHATWG list lacks. */
const ALIASES: Readonly<Record<string, string>> = {
  'latin-1': 'windows-1252',
  cp932: 'shift_jis',
  cp936: 'gbk',
  cp949: 'euc-kr',
  cp950: 'big5',
  utf8mb4: 'utf-8',
};

type Charset = 'unknown' | 'utf-8' | 'windows-1252' | TextDecoder;

const known = new Map<string, Charset>();
/** Labels come from strangers: what is remembered of them is bounded. */
const MAX_KNOWN = 500;

function charsetOf(label: string): Charset {
  const name = label.trim().toLowerCase();
  const seen = known.get(name);
  if (seen !== undefined) return seen;
  const found = lookUp(name);
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(name, found);
  return found;
}

function lookUp(name: string): Charset {
  if (name === '' || name.length > 64) return 'unknown';
  try {
    const decoder = new TextDecoder(ALIASES[name] ?? name);
    // "us-ascii" with bytes above 127 is in truth whatever it is.
    if (name === 'us-ascii' || name === 'ascii') return 'unknown';
    if (decoder.encoding === 'utf-8' || decoder.encoding === 'windows-1252') return decoder.encoding;
    return decoder;
  } catch {
    return 'unknown';
  }
}

/** A Buffer over the same memory, for its native readers. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function cp1252(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/[\x80-\x9f]/g, (unit) => CP1252[unit.charCodeAt(0) - 0x80]);
}

/** The text of bytes that are said to be in `label`. */
export function decodeText(bytes: Buffer, label: string): string {
  const charset = charsetOf(label);
  if (typeof charset !== 'string') return charset.decode(bytes);
  if (isAscii(bytes)) return bytes.toString('latin1');
  if (charset === 'windows-1252') return cp1252(bytes);
  return charset === 'utf-8' || isUtf8(bytes) ? bytes.toString('utf8') : cp1252(bytes);
}

/** base64 (RFC 2045 section 6.8): what is no digit is skipped. */
export function decodeBase64(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1'), 'base64');
}

/** How many bytes base64 text stands for, without decoding it. */
export function base64Size(bytes: Buffer): number {
  let digits = 0;
  for (let i = 0; i < bytes.length; i += 1) if (bytes[i] > 0x20 && bytes[i] !== 0x3d) digits += 1;
  return Math.floor((digits * 3) / 4);
}

/** Value of a hexadecimal digit, -1 for another byte. Lower case is accepted, as everywhere. */
export function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const upper = byte & 0xdf;
  return upper >= 0x41 && upper <= 0x46 ? upper - 55 : -1;
}

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
    const byte = bytes[from];
    from += 1;
    if (byte !== 0x3d) {
      out[length++] = byte;
      continue;
    }
    const high = from + 1 < end ? hexDigit(bytes[from]) : -1;
    const low = high < 0 ? -1 : hexDigit(bytes[from + 1]);
    if (low >= 0) {
      out[length++] = (high << 4) | low;
      from += 2;
      continue;
    }
    const next = afterSoftBreak(bytes, from);
    if (next === from) out[length++] = byte;
    from = next;
  }
  return out.subarray(0, length);
}

/** RFC 2045 allows a line 76 characters; a longer run of blanks after `=` is no soft break. */
const MAX_PADDING = 80;

/** Where the text goes on after a soft break whose `=` stands before `from`; `from` itself where it is none. */
function afterSoftBreak(bytes: Buffer, from: number): number {
  const end = bytes.length;
  let at = from;
  while (at < end && at - from < MAX_PADDING && (bytes[at] === 0x20 || bytes[at] === 0x09)) at += 1;
  if (at === end) return end;
  if (bytes[at] === 0x0d && bytes[at + 1] === 0x0a) return at + 2;
  return bytes[at] === 0x0a || bytes[at] === 0x0d ? at + 1 : from;
}
