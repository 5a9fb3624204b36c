/**
 * What the columns of readings are, judged by a sample: numbers, categories, or nothing to learn from. A
 * column that numbers the rows, names each of them, or tells the time is left out with the reason: it would
 * describe the file, not the world. Refuses payloads that are not JSON objects.
 */
import { SluiceError } from '../errors.ts';

export type ColumnType = 'number' | 'category';

/** A column that does not become a field, and why. */
export interface LeftOut {
  readonly column: string;
  readonly reason: string;
}

/** A text column with more distinct values than this in the sample names things rather than classifying them. */
const MAX_CATEGORIES = 64;
/** Fewer rows prove nothing about numbering and naming. */
const ENOUGH = 20;
/** A column of mostly numbers is numeric: the rest are faults of the sender, hence missing. */
const MOSTLY = 0.9;

class Column {
  readonly name: string;
  #rows = 0;
  #numbers = 0;
  #texts = 0;
  #others = 0;
  #counting = true;
  #last = Number.NaN;
  #times = 0;
  readonly #distinct = new Set<string>();

  constructor(name: string) {
    this.name = name;
  }

  add(value: unknown): void {
    this.#rows += 1;
    if (typeof value === 'number') {
      this.#numbers += 1;
      if (!Number.isNaN(this.#last) && value - this.#last !== 1) this.#counting = false;
      this.#last = value;
    } else if (typeof value === 'string' || typeof value === 'boolean') {
      this.#texts += 1;
      this.#distinct.add(String(value));
      if (/^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?!\d)/.test(String(value))) this.#times += 1;
    } else if (value !== null) this.#others += 1;
  }

  /** A type, or why there is none. */
  judge(): { readonly type: ColumnType } | { readonly reason: string } {
    const known = this.#numbers + this.#texts;
    if (this.#others > 0) return { reason: 'not a number or a text' };
    if (known === 0) return { reason: 'missing in every row' };
    if (this.#numbers >= known * MOSTLY) {
      const counts = this.#counting && this.#numbers === this.#rows && this.#rows >= ENOUGH;
      return counts ? { reason: 'numbers the rows' } : { type: 'number' };
    }
    if (this.#times === this.#texts)
      return { reason: 'tells the time; --time uses it as the time of events' };
    if (
      this.#distinct.size > MAX_CATEGORIES ||
      (this.#rows >= ENOUGH && this.#distinct.size > this.#rows / 2)
    )
      return { reason: 'names rows: too many different texts' };
    return { type: 'category' };
  }
}

function parseReading(payload: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Said below: mail is the usual reason.
  }
  throw new SluiceError(
    'INPUT_INVALID',
    'the rows are not readings (JSON objects); mails need the task `spam`',
  );
}

/** The columns of a sample in order of appearance. Throws INPUT_INVALID where none can be used. */
export function inferColumns(sample: readonly Uint8Array[]): {
  readonly columns: ReadonlyMap<string, ColumnType>;
  readonly leftOut: readonly LeftOut[];
} {
  const all = new Map<string, Column>();
  for (const payload of sample) {
    for (const [name, value] of Object.entries(parseReading(payload))) {
      const column = all.get(name) ?? new Column(name);
      all.set(name, column);
      column.add(value);
    }
  }
  const columns = new Map<string, ColumnType>();
  const leftOut: LeftOut[] = [];
  for (const column of all.values()) {
    const verdict = column.judge();
    if ('type' in verdict) columns.set(column.name, verdict.type);
    else leftOut.push({ column: column.name, reason: verdict.reason });
  }
  if (columns.size > 0) return { columns, leftOut };
  const why = leftOut.map(({ column, reason }) => `${column}: ${reason}`).join('; ');
  throw new SluiceError('INPUT_INVALID', `no column can be learned from (${why || 'there is none'})`);
}
