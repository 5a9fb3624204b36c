/**
 * CSV (RFC 4180: quotes, quoted line ends; separator comma, semicolon or tab, guessed from the header) and
 * TSV (no quoting: a quote is a letter there). A row becomes a JSON object, column name to number or string.
 * Refuses, with the line number, ragged rows, an open quote and letters after a closing quote. A table as R
 * writes it, whose rows have one cell more than the header, loses that first cell: it is the row's number.
 */
import { basename } from 'node:path';
import { type Line, lineError, readLines } from './lines.ts';
import { type FileRecord, RecordMaker, type TableOptions } from './record.ts';

/** A quoted cell may hold line ends; beyond this it is taken for a forgotten quote. */
const MAX_RECORD = 1024 * 1024;

/**
 * Splits one record into `into`. False where a quote is still open at the end of the text (the next line
 * belongs to it).
 *
 *   record = field *(sep field)     field = *char | DQUOTE *(char | sep | LF | 2DQUOTE) DQUOTE
 */
export function splitRecord(
  text: string,
  separator: string,
  into: string[],
  fail: (what: string) => Error,
): boolean {
  into.length = 0;
  if (!text.includes('"')) {
    into.push(...text.split(separator));
    return true;
  }
  let at = 0;
  for (;;) {
    if (text[at] !== '"') {
      const end = text.indexOf(separator, at);
      into.push(end < 0 ? text.slice(at) : text.slice(at, end));
      if (end < 0) return true;
      at = end + 1;
      continue;
    }
    let end = at + 1;
    for (;;) {
      end = text.indexOf('"', end);
      if (end < 0) return false;
      if (text[end + 1] !== '"') break;
      end += 2;
    }
    into.push(text.slice(at + 1, end).replaceAll('""', '"'));
    if (end + 1 === text.length) return true;
    if (text[end + 1] !== separator)
      throw fail(`${JSON.stringify(text[end + 1])} stands after a closing quote`);
    at = end + 2;
  }
}

/** The separator that a header line uses most, outside quotes. */
export function guessSeparator(header: string): string {
  const bare = header.replace(/"[^"]*"/g, '');
  const count = (separator: string) => bare.split(separator).length - 1;
  return [',', ';', '\t'].reduce((best, next) => (count(next) > count(best) ? next : best));
}

interface Row {
  readonly cells: string[];
  readonly line: number;
}

/** The records of the file as cells; empty lines are skipped. The array is reused. */
async function* readRows(path: string, quotes: boolean, separator: string | undefined): AsyncGenerator<Row> {
  const cells: string[] = [];
  let split = separator;
  let open: Line | null = null;
  for await (const lines of readLines(path)) {
    for (const line of lines) {
      const text: string = open ? `${open.text}\n${line.text}` : line.text;
      const number: number = open ? open.number : line.number;
      if (text.trim() === '' && !open) continue;
      split ??= guessSeparator(text);
      if (!quotes) cells.splice(0, cells.length, ...text.split(split));
      else if (!splitRecord(text, split, cells, (what) => lineError(path, number, what))) {
        open = { text, number };
        if (text.length > MAX_RECORD) break;
        continue;
      }
      open = null;
      yield { cells, line: number };
    }
    if (open && open.text.length > MAX_RECORD) break;
  }
  if (open) throw lineError(path, open.number, 'a quote opened here is never closed');
}

/** CSV and TSV. `columns` names the columns of a file without a header. */
export async function* readTable(
  path: string,
  options: TableOptions & { readonly quotes: boolean },
): AsyncGenerator<FileRecord> {
  let names = options.columns;
  let maker: RecordMaker | null = null;
  let n = 0;
  for await (const { cells, line } of readRows(path, options.quotes, options.separator)) {
    if (!names) {
      names = cells.map((name) => name.trim());
      maker = new RecordMaker(path, basename(path), names, options, line);
      continue;
    }
    maker ??= new RecordMaker(path, basename(path), names, options, line);
    const numbered = cells.length === names.length + 1 && !options.columns;
    if (cells.length !== names.length && !numbered) {
      throw lineError(path, line, `${cells.length} cells, but ${names.length} columns`);
    }
    const row = numbered ? cells.slice(1) : cells;
    n += 1;
    yield maker.makeText(row, n, line);
  }
}
