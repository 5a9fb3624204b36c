/**
 * A mail taken apart and written anew with another body, as a sender of spam would who keeps his addresses and what he
 * sells. Promises: the header lines stay byte by byte, but for those that describe the body and, where asked, the subject;
 * what is written is valid MIME; the same input gives the same bytes. Refuses nothing: of a broken mail what is readable is kept.
 */
import { createHash } from 'node:crypto';
import type { MailBody } from '../../src/contract.ts';
import { mimeOptions, readMail } from '../../src/decode/mime.ts';

const limits = mimeOptions.parse({});

/** A mail in pieces. */
export interface Pieces {
  /** Header fields with their folds, without those of MIME; each ends with CRLF. */
  readonly fields: readonly string[];
  readonly mail: MailBody;
  readonly subject: string;
  /** All texts that a reader sees. */
  readonly text: string;
}

/** One part of the new body. */
export interface Part {
  readonly type: string;
  readonly body: string | Uint8Array;
  /** Default: `base64` for bytes, `8bit` for texts. */
  readonly encoding?: 'base64' | '8bit' | 'quoted-printable';
  readonly charset?: string;
}

/** Raw mail to its pieces. Throws DECODE_*. */
export function takeApart(raw: Uint8Array): Pieces {
  const mail = readMail(raw, limits);
  const text = mail.texts.map((each) => each.text).join('\n\n');
  const subject = mail.headers.find(([name]) => name === 'subject')?.[1] ?? '';
  return { fields: fieldsOf(mail.raw), mail, subject, text };
}

function fieldsOf(raw: Uint8Array): string[] {
  const fields: string[] = [];
  let keep = false;
  for (const line of Buffer.from(raw).toString('latin1').split('\n')) {
    const text = line.replace(/\r$/, '');
    if (text === '') break;
    if (/^[ \t]/.test(text)) {
      if (keep) fields[fields.length - 1] += `${text}\r\n`;
      continue;
    }
    if (!/^[!-9;-~]+[ \t]*:/.test(text)) break;
    keep = !/^(?:content-|mime-version)/i.test(text);
    if (keep) fields.push(`${text}\r\n`);
  }
  return fields;
}

/** RFC 2047 where it is not ASCII, in words of whole characters. */
function encodedSubject(subject: string): string {
  const flat = subject.replace(/\s+/g, ' ');
  if (/^[ -~]*$/.test(flat)) return flat;
  const pieces = flat.match(/.{1,10}/gu) ?? [];
  return pieces.map((piece) => `=?utf-8?B?${Buffer.from(piece).toString('base64')}?=`).join('\r\n ');
}

const lines = (text: string): string => (text.match(/.{1,76}/gs) ?? []).join('\r\n');

function bodyOf({ body, encoding }: Part): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body.replace(/\r?\n/g, '\r\n')) : Buffer.from(body);
  const how = encoding ?? (typeof body === 'string' ? '8bit' : 'base64');
  if (how === 'base64') return Buffer.from(lines(bytes.toString('base64')));
  if (how === '8bit') return bytes;
  // Every byte as =XX, as nobody does but to hide: lines of 25.
  const hex = [...bytes].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`);
  return Buffer.from((hex.join('').match(/.{1,75}/g) ?? []).join('=\r\n'));
}

function headOf({ type, body, encoding, charset }: Part): string {
  const text = typeof body === 'string';
  const how = encoding ?? (text ? '8bit' : 'base64');
  const set = text ? `; charset=${charset ?? 'utf-8'}` : '';
  return `Content-Type: ${type}${set}\r\nContent-Transfer-Encoding: ${how}\r\n`;
}

/** The header lines of `pieces` over a new body of one or more parts. */
export function putTogether(pieces: Pieces, parts: readonly Part[], subject = pieces.subject): Buffer {
  const fields = pieces.fields.map((field) =>
    subject !== pieces.subject && /^subject[ \t]*:/i.test(field)
      ? `Subject: ${encodedSubject(subject)}\r\n`
      : field,
  );
  const head = Buffer.from(`${fields.join('')}MIME-Version: 1.0\r\n`, 'latin1');
  if (parts.length === 1)
    return Buffer.concat([
      head,
      Buffer.from(`${headOf(parts[0])}\r\n`),
      bodyOf(parts[0]),
      Buffer.from('\r\n'),
    ]);
  const mark = createHash('sha256').update(head).digest('hex').slice(0, 24);
  const pieces2 = parts.flatMap((part) => [
    Buffer.from(`--${mark}\r\n${headOf(part)}\r\n`),
    bodyOf(part),
    Buffer.from('\r\n'),
  ]);
  const opening = `Content-Type: multipart/related; boundary="${mark}"\r\n\r\n`;
  return Buffer.concat([head, Buffer.from(opening), ...pieces2, Buffer.from(`--${mark}--\r\n`)]);
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
export const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (sign) => ENTITIES[sign]);

/** The links of a mail, for a body that is written anew: what it sells has to stay within reach. */
export const plainTail = ({ mail }: Pieces): string =>
  mail.links
    .slice(0, 10)
    .map(({ target }) => `\n${target}`)
    .join('');

export const htmlTail = ({ mail }: Pieces): string =>
  mail.links
    .slice(0, 10)
    .map(({ shown, target }) => `<p><a href="${escapeHtml(target)}">${escapeHtml(shown)}</a></p>`)
    .join('\n');
