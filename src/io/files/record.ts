/**
 * One row of any table format on its way to a Message: which columns are label, time and text, and how a
 * cell becomes JSON. The label, the time and what is not asked for never reach the payload, so no model can
 * learn from them. Refuses columns that do not exist, by name, and times it cannot read.
 */
import type { Message } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { lineError } from './lines.ts';

/** What is asked of a table; names of columns. */
export interface TableOptions {
  readonly label?: string;
  readonly text?: string;
  readonly time?: string;
  readonly separator?: string;
  readonly columns?: readonly string[];
}

/** What a reader yields: the transport adds source and topic. */
export type FileRecord = Pick<Message, 'payload' | 'position' | 'label'> & {
  /** ms since the epoch; NaN where the file says nothing. */
  readonly at: number;
};

/** A cell: a string as written, or what JSON, ARFF and libsvm already typed. null: missing. */
export type Cell = string | number | boolean | null | object;

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const MISSING = new Set(['', '?', 'NA', 'N/A', 'NaN', 'nan', 'NAN', 'null', 'NULL']);

/** A cell of a text table: number where it is one, null where missing or too large for a double, else the string. */
export function parseCell(text: string): string | number | null {
  const trimmed = text.trim();
  if (MISSING.has(trimmed)) return null;
  if (!NUMBER.test(trimmed)) return trimmed;
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : null;
}

/** Seconds or milliseconds since the epoch, or a date; a date without a zone is UTC. NaN where neither. */
export function parseTime(cell: Cell): number {
  if (typeof cell === 'number') return Math.abs(cell) < 1e11 ? cell * 1000 : cell;
  if (typeof cell !== 'string') return Number.NaN;
  const iso = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?(Z|[+-]\d\d:?\d\d)?$/.exec(
    cell.trim(),
  );
  if (iso) return Date.parse(`${iso[1]}T${iso[2] ?? '00:00'}${iso[3] ?? 'Z'}`);
  return NUMBER.test(cell) ? parseTime(Number(cell)) : parseDate(cell);
}

const ZONE = /[+-]\d\d:?\d\d|\b(?:GMT|UTC?|Z|[ECMP][SD]T)\b/;

/** A date in words; without a zone it is UTC, or the result would depend on where it is read. NaN where it is none. */
export function parseDate(text: string): number {
  const at = ZONE.test(text) ? Number.NaN : Date.parse(`${text} UTC`);
  return Number.isNaN(at) ? Date.parse(text) : at;
}

/** A text alone as a mail, so that it runs through the same decoder and features as any mail. */
export function textMail(text: string): Buffer {
  return Buffer.from(
    `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${text}`,
  );
}

/** Which column carries the label where nobody said so. */
function defaultLabel(names: readonly string[]): string | undefined {
  return names.find((name) => /^label$/i.test(name)) ?? names.find((name) => /^class$/i.test(name));
}

/** Turns the rows of one table into records. */
export class RecordMaker {
  readonly #path: string;
  readonly #base: string;
  readonly #names: readonly string[];
  /** `"name":` of each column that belongs into the payload, '' for the others. */
  readonly #keys: readonly string[];
  readonly #options: TableOptions;
  readonly #label: number;
  readonly #text: number;
  readonly #time: number;

  /** `names` are the columns in order; `base` stands before `#n` in positions. */
  constructor(path: string, base: string, names: readonly string[], options: TableOptions, line: number) {
    this.#path = path;
    this.#base = base;
    this.#names = names;
    this.#options = options;
    const place = (name: string | undefined): number => {
      if (name === undefined) return -1;
      const at = names.indexOf(name);
      if (at < 0)
        throw lineError(path, line, `no column ${JSON.stringify(name)}; there are ${names.join(', ')}`);
      return at;
    };
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined)
      throw lineError(path, line, `column ${JSON.stringify(twice)} stands there twice`);
    this.#label = place(options.label ?? defaultLabel(names));
    this.#text = place(options.text);
    this.#time = place(options.time);
    this.#keys = names.map((name, i) =>
      i === this.#label || i === this.#time ? '' : `${JSON.stringify(name)}:`,
    );
  }

  /** A row of text cells. A label and a text stay the strings they are: `01` is not 1, a text may be `NA`. */
  makeText(cells: readonly string[], n: number, line: number): FileRecord {
    const typed = cells.map((cell, i) => {
      if (i === this.#text) return cell;
      return i === this.#label ? cell.trim() : parseCell(cell);
    });
    return this.make(typed, n, line);
  }

  /** `n` counts rows from 1; `line` is for errors. `cells` are by the order of the names. */
  make(cells: readonly Cell[], n: number, line: number): FileRecord {
    const at = this.#time < 0 ? Number.NaN : parseTime(cells[this.#time]);
    if (this.#time >= 0 && Number.isNaN(at)) {
      const shown = JSON.stringify(cells[this.#time]);
      throw lineError(this.#path, line, `${shown} in column ${this.#options.time} is not a time`);
    }
    const label = this.#label < 0 ? undefined : labelOf(cells[this.#label]);
    return { payload: this.#payload(cells), position: `${this.#base}#${n}`, at, label };
  }

  #payload(cells: readonly Cell[]): Buffer {
    if (this.#text >= 0) return textMail(String(cells[this.#text] ?? ''));
    const parts: string[] = [];
    for (let i = 0; i < this.#names.length; i++) {
      if (this.#keys[i] !== '' && cells[i] !== undefined)
        parts.push(this.#keys[i] + JSON.stringify(cells[i]));
    }
    return Buffer.from(`{${parts.join(',')}}`);
  }
}

/** A label as text; undefined where the row has none. */
export function labelOf(cell: Cell | undefined): string | undefined {
  if (cell === null || cell === undefined || cell === '' || cell === '?') return undefined;
  if (typeof cell === 'object')
    throw new SluiceError('INPUT_INVALID', 'a label is a string, number or boolean');
  return String(cell);
}
