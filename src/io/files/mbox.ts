/**
 * Mailboxes in mbox format (RFC 4155, quoting of mboxrd), cut in one pass with one line in memory. A line `From ` with
 * a time of day begins a mail, at the start or after an empty line. Refuses a file that does not begin so.
 *
 *   From sender date LF · header lines · LF · body, `From ` quoted as `>From ` · LF · From …
 */
import { basename } from 'node:path';
import { SluiceError } from '../../errors.ts';
import { HEAD, MAX_MAIL, readPart, receivedDate } from './bytes.ts';
import { readChunks } from './lines.ts';
import type { FileRecord } from './record.ts';

const FROM = Buffer.from('From ');

/** `From sender Tue Jul  2 …`: a time of day tells a separator from a sentence that begins with From. */
function isFromLine(line: Buffer): boolean {
  return line.subarray(0, 5).equals(FROM) && /^From .*\d\d:\d\d/.test(line.toString('latin1', 0, 200));
}

/** mboxrd: the empty line before the next From line is not the mail's; a line `>From `, `>>From ` … loses one `>`. */
export function unboxMail(boxed: Buffer): Buffer {
  const end = boxed.subarray(-4).toString('latin1');
  const tail = end === '\r\n\r\n' ? 2 : end.endsWith('\n\n') ? 1 : 0;
  const mail = boxed.subarray(0, boxed.length - tail);
  if (!mail.includes('>From ')) return mail;
  const text = mail.toString('latin1').replace(/^>(>*From )/gm, '$1');
  return Buffer.from(text, 'latin1');
}

interface Span {
  readonly head: Buffer;
  readonly offset: number;
  readonly length: number;
}

/** Finds the mails of an mbox in one pass: a From line at the start or after an empty line begins one. */
export async function* scanMbox(path: string): AsyncGenerator<Span> {
  let from = -1;
  let head: Buffer[] = [];
  let headBytes = 0;
  let blank = true;
  for await (const { line, offset } of readRawLines(path)) {
    if (blank && isFromLine(line)) {
      if (from >= 0) yield { head: Buffer.concat(head), offset: from, length: offset - from };
      from = offset + line.length;
      head = [];
      headBytes = 0;
    } else if (from < 0) {
      throw new SluiceError('INPUT_INVALID', `${path}: an mbox begins with a line "From …"`);
    } else if (headBytes < HEAD) {
      head.push(Buffer.from(line));
      headBytes += line.length;
    }
    blank = line.length <= 2 && (line[0] === 10 || line[0] === 13);
    if (offset + line.length - from > MAX_MAIL)
      throw new SluiceError('INPUT_INVALID', `${path}: a mail is too large`);
  }
  if (from >= 0) yield { head: Buffer.concat(head), offset: from, length: Number.POSITIVE_INFINITY };
}

/** Lines with their ends, as bytes; a longer one than MAX_PART comes in parts, which no From line is. */
async function* readRawLines(path: string): AsyncGenerator<{ line: Buffer; offset: number }> {
  const maxPart = 1024 * 1024;
  let rest: Buffer = Buffer.alloc(0);
  let offset = 0;
  for await (const chunk of readChunks(path)) {
    const bytes: Buffer = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(10, at);
      const cut: number = end >= 0 ? end + 1 : bytes.length - at > maxPart ? bytes.length : -1;
      if (cut < 0) break;
      yield { line: bytes.subarray(at, cut), offset: offset + at };
      at = cut;
    }
    offset += at;
    rest = bytes.subarray(at);
  }
  if (rest.length > 0) yield { line: rest, offset };
}

/** An mbox in its own order. */
export async function* readMbox(path: string, label?: string): AsyncGenerator<FileRecord> {
  let n = 0;
  for await (const { head, offset, length } of scanMbox(path)) {
    n += 1;
    const payload = unboxMail(await readPart(path, offset, length));
    yield { payload, position: `${basename(path)}#${n}`, at: receivedDate(head), label };
  }
}
