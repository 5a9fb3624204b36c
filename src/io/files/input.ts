/**
 * Reads files of any of the formats as messages, for `evaluate`, training and the `files` source alike.
 * Several paths are one stream: tables one after the other, mailboxes and folders merged by the date of their
 * newest Received line. Path and file name are no part of payload, topic or key: no model can learn from
 * them. `LABEL=PATH` labels a whole mailbox or folder. Refuses labels on formats that carry their own.
 */
import { stat } from 'node:fs/promises';
import type { Message } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { readArff } from './arff.ts';
import { type FileFormat, guessFormat } from './guess.ts';
import { readJsonLines } from './jsonl.ts';
import { readLibsvm } from './libsvm.ts';
import {
  listFolder,
  listMail,
  listMaildir,
  listMbox,
  type MailPlace,
  readIndex,
  readIndexRows,
  readPlaces,
} from './mail.ts';
import { readMbox } from './mbox.ts';
import type { FileRecord } from './record.ts';
import { readTable } from './tables.ts';

export interface InputOptions {
  /** One path or several that make one stream; `LABEL=PATH` for mailboxes and folders. */
  readonly path: string | readonly string[];
  readonly format?: FileFormat;
  /** Column with the label; default `label`, else `class`. */
  readonly label?: string;
  /** CSV and TSV; default: guessed from the header, a tab for TSV. */
  readonly separator?: string;
  /** Names the columns of a table without a header line. */
  readonly columns?: readonly string[];
  /** Column whose text is the mail's whole body; the other columns are not read. */
  readonly text?: string;
  /** Column with the event's own time. */
  readonly time?: string;
}

interface Place {
  readonly path: string;
  readonly label: string | undefined;
  readonly format: FileFormat;
}

const MAILBOXES: readonly FileFormat[] = ['mbox', 'maildir', 'eml'];

/** `LABEL=PATH` unless a file of that whole name exists. */
async function locate(text: string, options: InputOptions): Promise<Place> {
  const cut = text.indexOf('=');
  const whole = cut <= 0 || (await stat(text).catch(() => null)) !== null;
  const path = whole ? text : text.slice(cut + 1);
  const label = whole ? undefined : text.slice(0, cut);
  const format = options.format ?? (await guessFormat(path));
  if (label !== undefined && !MAILBOXES.includes(format))
    throw new SluiceError(
      'USAGE',
      `${text}: LABEL=PATH is for mailboxes and folders; ${format} carries its own labels`,
    );
  return { path, label, format };
}

function readOne(place: Place, options: InputOptions): AsyncIterable<FileRecord> {
  const { path } = place;
  switch (place.format) {
    case 'index':
      return readIndex(path, options);
    case 'mbox':
      return readMbox(path, place.label);
    case 'csv':
      return readTable(path, { ...options, quotes: true });
    case 'tsv':
      return readTable(path, { ...options, separator: options.separator ?? '\t', quotes: false });
    case 'jsonl':
      return readJsonLines(path, options);
    case 'arff':
      return readArff(path, options);
    case 'libsvm':
      return readLibsvm(path);
    default:
      return readMerged([place]);
  }
}

async function listPlaces(places: readonly Place[]): Promise<MailPlace[]> {
  const all: MailPlace[] = [];
  for (const { path, format, label } of places) {
    if (format === 'mbox') all.push(...(await listMbox(path, label)));
    else if (format === 'maildir') all.push(...(await listMaildir(path, label)));
    else if ((await stat(path)).isDirectory()) all.push(...(await listFolder(path, label)));
    else all.push(...(await listMail(path, label)));
  }
  return all;
}

async function* readMerged(places: readonly Place[]): AsyncGenerator<FileRecord> {
  yield* readPlaces(await listPlaces(places));
}

async function locateAll(options: InputOptions): Promise<Place[]> {
  const texts = typeof options.path === 'string' ? [options.path] : options.path;
  const places: Place[] = [];
  for (const text of texts) places.push(await locate(text, options));
  return places;
}

async function* readRecords(options: InputOptions): AsyncGenerator<FileRecord> {
  const places = await locateAll(options);
  if (places.length > 1 && places.every((place) => MAILBOXES.includes(place.format))) {
    yield* readMerged(places);
    return;
  }
  for (const place of places) yield* readOne(place, options);
}

/**
 * The messages of one or several files, in stream order. Topic is `file` and key null for every one; `at` is the
 * record's own time, else that of its predecessor (0 before the first).
 * Throws SluiceError INPUT_NOT_FOUND, INPUT_INVALID (with file and line) or USAGE.
 */
export async function* readInput(options: InputOptions): AsyncGenerator<Message> {
  let last = 0;
  for await (const { payload, position, label, at } of readRecords(options)) {
    if (!Number.isNaN(at)) last = at;
    yield { source: 'file', topic: 'file', key: null, payload, headers: {}, at: last, position, label };
  }
}

/** What a pass over an input finds. */
export interface InputSurvey {
  readonly messages: number;
  /** Messages by label; those without one are in none. */
  readonly labels: ReadonlyMap<string, number>;
  /** The first payloads of readings; empty where the input is mail. */
  readonly sample: readonly Uint8Array[];
  /** `mail` payloads are raw mails, `reading` ones JSON objects. */
  readonly kind: 'mail' | 'reading';
}

/** Counts messages and labels; mails are not read for it, only listed. Throws as `readInput` does. */
export async function surveyInput(options: InputOptions, sampleSize = 0): Promise<InputSurvey> {
  const labels = new Map<string, number>();
  const sample: Uint8Array[] = [];
  let messages = 0;
  const places = await locateAll(options);
  const tables = places.filter(({ format }) => format !== 'index' && !MAILBOXES.includes(format));
  for (const place of places) {
    for await (const row of listRows(place, options)) {
      messages += 1;
      if (row.label !== undefined) labels.set(row.label, (labels.get(row.label) ?? 0) + 1);
      if ('payload' in row && sample.length < sampleSize) sample.push(row.payload);
    }
  }
  const kind = tables.length === 0 || options.text !== undefined ? 'mail' : 'reading';
  return { messages, labels, sample, kind };
}

async function* listRows(
  place: Place,
  options: InputOptions,
): AsyncGenerator<Pick<FileRecord, 'label'> | FileRecord> {
  if (place.format === 'index') yield* readIndexRows(place.path, options);
  else if (MAILBOXES.includes(place.format)) yield* await listPlaces([place]);
  else yield* readOne(place, options);
}
