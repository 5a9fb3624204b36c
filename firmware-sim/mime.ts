/**
 * Writes mail as programs on the wire do: RFC 5322 headers folded at 78 columns, RFC 2047 encoded words
 * for what is not ASCII, RFC 2045 transfer encodings, RFC 2046 multiparts. The output is always valid;
 * broken mail is made elsewhere.
 */
import { type Charset, encodeText } from './charsets.ts';

export type TransferEncoding = '7bit' | '8bit' | 'quoted-printable' | 'base64';

/** A leaf: a text in a charset, or bytes. */
export interface Leaf {
  readonly type: string;
  readonly charset?: Charset;
  readonly encoding: TransferEncoding;
  readonly body: string | Uint8Array;
  readonly name?: string;
  readonly disposition?: 'attachment' | 'inline';
  readonly contentId?: string;
}

export interface Multipart {
  readonly multipart: 'mixed' | 'alternative' | 'related';
  readonly boundary: string;
  readonly parts: readonly (Leaf | Multipart)[];
}

const isAscii = (text: string): boolean => /^[\t\r\n -~]*$/.test(text);

/** One encoded word may have 75 characters, charset and marks included. */
const ENCODED_WORD = 75;

/** RFC 2047: the text as it stands where it is ASCII, else as encoded words of whole characters. */
export function encodeHeaderText(text: string, charset: Charset, scheme: 'B' | 'Q'): string {
  if (isAscii(text)) return text;
  const room = ENCODED_WORD - charset.length - '=??B??='.length;
  const words: string[] = [];
  let chunk = '';
  let encoded = '';
  for (const char of text) {
    const longer = encodeWord(chunk + char, charset, scheme);
    if (longer.length > room && chunk) {
      words.push(encoded);
      chunk = char;
      encoded = encodeWord(char, charset, scheme);
    } else {
      chunk += char;
      encoded = longer;
    }
  }
  words.push(encoded);
  return words.map((word) => `=?${charset}?${scheme}?${word}?=`).join(' ');
}

function encodeWord(text: string, charset: Charset, scheme: 'B' | 'Q'): string {
  const bytes = encodeText(text, charset);
  if (scheme === 'B') return bytes.toString('base64');
  let out = '';
  for (const b of bytes) {
    if (b === 0x20) out += '_';
    else if (/[A-Za-z0-9]/.test(String.fromCharCode(b))) out += String.fromCharCode(b);
    else out += `=${hex(b)}`;
  }
  return out;
}

/** `name: value`, folded before column 78 at spaces; a word longer than that stays whole. */
export function foldHeader(name: string, value: string): string {
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of value.split(' ')) {
    if (line.length + 1 + word.length > 78 && line.trim() !== `${name}:` && line.trim() !== '') {
      lines.push(line);
      line = '';
    }
    line += ` ${word}`;
  }
  lines.push(line);
  return lines.join('\r\n');
}

const HEX = '0123456789ABCDEF';
const hex = (b: number): string => HEX[b >> 4] + HEX[b & 15];

/** RFC 2045 section 6.7, lines of at most 76 columns; input lines end with CRLF. */
export function quotedPrintable(bytes: Uint8Array): string {
  let out = '';
  let column = 0;
  for (let i = 0; i < bytes.length; i++) {
    const b = bytes[i];
    if (b === 0x0d && bytes[i + 1] === 0x0a) {
      out += '\r\n';
      column = 0;
      i++;
      continue;
    }
    const last = i + 1 === bytes.length || bytes[i + 1] === 0x0d;
    const plain = (b > 0x20 && b < 0x7f && b !== 0x3d) || (b === 0x20 && !last);
    const piece = plain ? String.fromCharCode(b) : `=${hex(b)}`;
    if (column + piece.length > 75) {
      out += '=\r\n';
      column = 0;
    }
    out += piece;
    column += piece.length;
  }
  return out;
}

/** base64 in lines of 76. */
function base64Lines(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  let out = '';
  for (let i = 0; i < text.length; i += 76) out += `${i === 0 ? '' : '\r\n'}${text.slice(i, i + 76)}`;
  return out;
}

function leafBytes(leaf: Leaf): Buffer {
  const { body } = leaf;
  const raw =
    typeof body === 'string'
      ? encodeText(body.replace(/\r?\n/g, '\r\n'), leaf.charset ?? 'us-ascii')
      : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (leaf.encoding === 'quoted-printable') return Buffer.from(quotedPrintable(raw), 'latin1');
  if (leaf.encoding === 'base64') return Buffer.from(base64Lines(raw), 'latin1');
  return raw;
}

/** RFC 2231 for names that are not ASCII, else a quoted string. */
function nameParameter(parameter: string, name: string): string {
  if (isAscii(name)) return `; ${parameter}="${name}"`;
  return `; ${parameter}*=utf-8''${encodeURIComponent(name)}`;
}

function leafHeaders(leaf: Leaf): string {
  let type = leaf.type;
  if (leaf.charset) type += `; charset=${leaf.charset}`;
  if (leaf.name) type += nameParameter('name', leaf.name);
  const lines = [foldHeader('Content-Type', type), foldHeader('Content-Transfer-Encoding', leaf.encoding)];
  if (leaf.disposition) {
    const name = leaf.name ? nameParameter('filename', leaf.name) : '';
    lines.push(foldHeader('Content-Disposition', `${leaf.disposition}${name}`));
  }
  if (leaf.contentId) lines.push(`Content-ID: <${leaf.contentId}>`);
  return lines.join('\r\n');
}

const CRLF = Buffer.from('\r\n');

function entity(part: Leaf | Multipart): { readonly headers: string; readonly body: Buffer } {
  if (!('multipart' in part)) return { headers: leafHeaders(part), body: leafBytes(part) };
  const pieces: Buffer[] = [];
  for (const child of part.parts) {
    const { headers, body } = entity(child);
    pieces.push(Buffer.from(`--${part.boundary}\r\n${headers}\r\n\r\n`), body, CRLF);
  }
  pieces.push(Buffer.from(`--${part.boundary}--\r\n`));
  const type = `multipart/${part.multipart}; boundary="${part.boundary}"`;
  return { headers: foldHeader('Content-Type', type), body: Buffer.concat(pieces) };
}

/** The whole message: the given header lines (folded already), MIME headers, body. Lines end with CRLF. */
export function writeMessage(headerLines: readonly string[], content: Leaf | Multipart): Buffer {
  const { headers, body } = entity(content);
  const head = `${headerLines.join('\r\n')}\r\nMIME-Version: 1.0\r\n${headers}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body, CRLF]);
}
