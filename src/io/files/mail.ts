/**
 * Raw mails from index.tsv, mbox, maildir and folders of `.eml`. Bytes pass through unchanged (mbox: without
 * the `From ` line, `>From ` unquoted as in mboxrd). A stream keeps the order of its file; folders, and
 * several mailboxes together, are ordered by the newest `Received` date, which is the topmost one: the
 * recipient's own server wrote it, the lower ones and `Date` are the sender's word. Then by name. Memory:
 * a few mails, and for ordered inputs some 100 bytes a mail.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { SluiceError } from '../../errors.ts';
import { fileError, lineError, readChunks, readLines } from './lines.ts';
import { type FileRecord, parseTime } from './record.ts';

/** Larger mails are an error of the input, not a mail. The decoder has its own, smaller limit. */
const MAX_MAIL = 256 * 1024 * 1024;
/** Enough of a mail to find its topmost Received line. */
const HEAD = 64 * 1024;

/** The newest Received date of a header section, else its Date; NaN where there is neither. */
export function receivedDate(head: Uint8Array): number {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, HEAD)).toString('latin1');
  const end = text.search(/\r?\n\r?\n/);
  const lines = (end < 0 ? text : text.slice(0, end)).replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  let sent = Number.NaN;
  for (const line of lines) {
    if (/^received:/i.test(line)) {
      const at = Date.parse(line.slice(line.lastIndexOf(';') + 1));
      if (!Number.isNaN(at)) return at;
    } else if (/^date:/i.test(line) && Number.isNaN(sent)) sent = Date.parse(line.slice(5));
  }
  return sent;
}

async function readPart(path: string, offset: number, length: number): Promise<Buffer> {
  try {
    const file = await open(path);
    try {
      const size = Math.min(length, (await file.stat()).size - offset);
      if (size > MAX_MAIL) throw new SluiceError('INPUT_INVALID', `${path}: larger than ${MAX_MAIL} bytes`);
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(Math.max(size, 0)), 0, size, offset);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Opening a file takes longer than reading a mail: some are read ahead. */
const AHEAD = 8;

/** `load` of every item, in order, with AHEAD of them under way. */
async function* loadAhead<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  load: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const waiting: Promise<R>[] = [];
  for await (const item of items) {
    const loading = load(item);
    // Whoever awaits it sees the failure; until then, or if nobody comes, it is no unhandled one.
    loading.catch(() => {});
    waiting.push(loading);
    if (waiting.length === AHEAD) yield await waiting.shift()!;
  }
  for (const loading of waiting) yield await loading;
}

// ---------------------------------------------------------------- index.tsv

/**
 * Column 1 is the path of a raw mail relative to the index, column 2 its label; a header line may stand first
 * (its first cell names no file). `time` names a column of the header; else the mail's Received date counts.
 */
export async function* readIndex(path: string, options: { readonly time?: string }): AsyncGenerator<FileRecord> {
  yield* loadAhead(readIndexRows(path, options), async ({ file, line, label, at, position }) => {
    const payload = await readPart(file, 0, Number.POSITIVE_INFINITY).catch((error) => {
      throw lineError(path, line, (error as Error).message);
    });
    return { payload, position, label, at: at ?? receivedDate(payload) };
  });
}

interface IndexRow {
  readonly file: string;
  readonly line: number;
  readonly label: string | undefined;
  readonly position: string;
  /** null: the mail itself says when. */
  readonly at: number | null;
}

/** The rows of an index; the mails are not read. */
export async function* readIndexRows(
  path: string,
  options: { readonly time?: string },
): AsyncGenerator<IndexRow> {
  let n = 0;
  let time = -1;
  for await (const lines of readLines(path)) {
    for (const { text, number } of lines) {
      if (text.trim() === '') continue;
      const cells = text.split('\t');
      if (cells.length < 2) throw lineError(path, number, 'not `path TAB label`');
      const file = resolve(dirname(path), cells[0]);
      if (number === 1 && !(await isFile(file))) {
        time = timeColumn(path, cells, options.time);
        continue;
      }
      n += 1;
      const at = time < 0 ? null : parseTime(cells[time] ?? null);
      yield { file, line: number, label: cells[1].trim() || undefined, position: `${basename(path)}#${n}`, at };
    }
  }
}

function timeColumn(path: string, header: readonly string[], time: string | undefined): number {
  const at = time === undefined ? -1 : header.indexOf(time);
  if (time === undefined || at >= 0) return at;
  throw lineError(path, 1, `no column ${JSON.stringify(time)}; there are ${header.join(', ')}`);
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

// ---------------------------------------------------------------- mailboxes

/** A mail that has a place on disk, before it is read. */
export interface MailPlace {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
  readonly boxed: boolean;
  readonly received: number;
  readonly position: string;
  readonly label: string | undefined;
}

/** Regular files below a folder, hidden ones left out, in name order. */
async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    throw fileError(folder, error);
  });
  const files: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) files.push(...(await listFiles(path)));
    else if (entry.isFile() || (entry.isSymbolicLink() && (await isFile(path)))) files.push(path);
  }
  return files;
}

async function placesOf(files: readonly string[], root: string, label?: string): Promise<MailPlace[]> {
  const places: MailPlace[] = [];
  const length = Number.POSITIVE_INFINITY;
  const located = loadAhead(files, async (path) => {
    const received = receivedDate(await readPart(path, 0, HEAD));
    const position = `${relative(dirname(resolve(root)), resolve(path))}#1`;
    return { path, offset: 0, length, boxed: false, received, position, label };
  });
  for await (const place of located) places.push(place);
  return places;
}

/** The mails of a folder: its `.eml` files, or where it has none every file. */
export async function listFolder(folder: string, label?: string): Promise<MailPlace[]> {
  const all = await listFiles(folder);
  const eml = all.filter((path) => /\.eml$/i.test(path));
  return placesOf(eml.length > 0 ? eml : all, folder, label);
}

/** One mail in one file. */
export async function listMail(path: string, label?: string): Promise<MailPlace[]> {
  return placesOf([path], path, label);
}

/** A maildir: `cur` and `new`; `tmp` holds what is not delivered yet. */
export async function listMaildir(folder: string, label?: string): Promise<MailPlace[]> {
  const parts = await Promise.all(
    ['cur', 'new'].map((part) => listFiles(join(folder, part)).catch(() => [] as string[])),
  );
  return placesOf(parts.flat(), folder, label);
}

/** Where the mails of an mbox lie. */
export async function listMbox(path: string, label?: string): Promise<MailPlace[]> {
  const places: MailPlace[] = [];
  for await (const { head, offset, length } of scanMbox(path)) {
    const position = `${basename(path)}#${places.length + 1}`;
    places.push({ path, offset, length, boxed: true, received: receivedDate(head), position, label });
  }
  return places;
}

/** Reads mails in the order of `Received`; those without a date come first. */
export async function* readPlaces(places: readonly MailPlace[]): AsyncGenerator<FileRecord> {
  const when = (place: MailPlace) => (Number.isNaN(place.received) ? Number.NEGATIVE_INFINITY : place.received);
  const byTime = (a: MailPlace, b: MailPlace) => {
    if (when(a) !== when(b)) return when(a) - when(b);
    const [nameA, nameB] = [basename(a.path), basename(b.path)];
    return nameA === nameB ? a.offset - b.offset : nameA < nameB ? -1 : 1;
  };
  yield* loadAhead([...places].sort(byTime), async (place) => {
    const bytes = await readPart(place.path, place.offset, place.length);
    const payload = place.boxed ? unboxMail(bytes) : bytes;
    return { payload, position: place.position, at: place.received, label: place.label };
  });
}

// ---------------------------------------------------------------- mbox

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
async function* scanMbox(path: string): AsyncGenerator<Span> {
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
    if (offset + line.length - from > MAX_MAIL) throw new SluiceError('INPUT_INVALID', `${path}: a mail is too large`);
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
