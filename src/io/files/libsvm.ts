/**
 * libsvm (svmlight) rows: `class index:value …`, also `class;amount index:value …` as gas-drift writes them
 * (the amount is dropped: it is another target, not a reading). The payload is an object of column number to
 * value. The format leaves zeros out, so every index up to the largest of the first LOOK_AHEAD rows is written
 * out; missing there means 0, not unknown. Refuses, with the line number, anything else.
 */
import { basename } from 'node:path';
import { lineError, readLines } from './lines.ts';
import type { FileRecord } from './record.ts';

const LOOK_AHEAD = 1_000;
/** Beyond this many columns rows stay as sparse as they are. */
const MAX_PADDED = 4_096;

interface Row {
  readonly label: string;
  readonly cells: ReadonlyMap<number, number>;
}

export function parseLibsvm(text: string): Row {
  const [head, ...pairs] = text
    .replace(/\s*#.*$/, '')
    .trim()
    .split(/\s+/);
  const cells = new Map<number, number>();
  for (const pair of pairs) {
    const match = /^(\d{1,9}):(\S+)$/.exec(pair);
    if (pair.startsWith('qid:')) continue;
    const value = match ? Number(match[2]) : Number.NaN;
    if (!match || Number.isNaN(value)) throw new Error(`${JSON.stringify(pair)} is not index:value`);
    cells.set(Number(match[1]), value);
  }
  return { label: head.split(';')[0].replace(/^\+(?=\d)/, ''), cells };
}

function* padded(rows: readonly Row[], width: number, base: string, from: number): Generator<FileRecord> {
  let n = from;
  for (const { label, cells } of rows) {
    const values: Record<string, number | null> = {};
    const put = (index: number, value: number) => {
      values[index] = Number.isFinite(value) ? value : null;
    };
    for (let index = 1; index <= width; index++) put(index, cells.get(index) ?? 0);
    for (const [index, value] of cells) put(index, value);
    n += 1;
    yield { payload: Buffer.from(JSON.stringify(values)), position: `${base}#${n}`, at: Number.NaN, label };
  }
}

export async function* readLibsvm(path: string): AsyncGenerator<FileRecord> {
  let waiting: Row[] = [];
  let width = -1;
  let n = 0;
  const flush = function* () {
    if (width < 0) {
      const largest = waiting.reduce((max, row) => Math.max(max, ...row.cells.keys()), 0);
      width = largest <= MAX_PADDED ? largest : 0;
    }
    yield* padded(waiting, width, basename(path), n);
    n += waiting.length;
    waiting = [];
  };
  for await (const lines of readLines(path)) {
    for (const { text, number } of lines) {
      if (text.trim() === '' || text.startsWith('#')) continue;
      try {
        waiting.push(parseLibsvm(text));
      } catch (error) {
        throw lineError(path, number, (error as Error).message);
      }
      if (width >= 0 || waiting.length === LOOK_AHEAD) yield* flush();
    }
  }
  yield* flush();
}
