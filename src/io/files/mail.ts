/**
 * Raw mails from index.tsv, maildir, folders of `.eml`, and several mailboxes of any kind together. Bytes pass
 * through unchanged (but see mbox.ts). A stream keeps the order of its file; folders, and
 * several mailboxes together, are ordered by the newest `Received` date, which is the topmost one: the
 * recipient's own server wrote it, the lower ones and `Date` are the sender's word. Then by name. Memory:
 * a few mails, and for ordered inputs some 100 bytes a mail.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { HEAD, loadAhead, readPart, receivedDate } from './bytes.ts';
import { fileError, lineError, readLines } from './lines.ts';
import { scanMbox, unboxMail } from './mbox.ts';
import { type FileRecord, parseTime } from './record.ts';

// ---------------------------------------------------------------- index.tsv

/**
 * Column 1 is the path of a raw mail relative to the index, column 2 its label; a header line may stand first
 * (its first cell names no file). `time` names a column of the header; else the mail's Received date counts.
 */
export async function* readIndex(
  path: string,
  options: { readonly time?: string },
): AsyncGenerator<FileRecord> {
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
      yield {
        file,
        line: number,
        label: cells[1].trim() || undefined,
        position: `${basename(path)}#${n}`,
        at,
      };
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
  const when = (place: MailPlace) =>
    Number.isNaN(place.received) ? Number.NEGATIVE_INFINITY : place.received;
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
