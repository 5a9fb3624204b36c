/**
 * JSON lines: one object a line, its label, time and text by top-level name. Without any of them in the
 * object the line is the payload as it stands, byte for byte. Refuses, with the line number, what is not
 * a JSON object.
 */
import { basename } from 'node:path';
import { lineError, readLines } from './lines.ts';
import { type Cell, type FileRecord, labelOf, parseTime, type TableOptions, textMail } from './record.ts';

type JsonObject = Record<string, Cell>;

export async function* readJsonLines(path: string, options: TableOptions): AsyncGenerator<FileRecord> {
  let n = 0;
  for await (const lines of readLines(path)) {
    for (const { text, number } of lines) {
      if (text.trim() === '') continue;
      n += 1;
      const value = parseObject(path, text, number);
      yield { position: `${basename(path)}#${n}`, ...makeRecord(path, number, text, value, options) };
    }
  }
}

function parseObject(path: string, text: string, line: number): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw lineError(path, line, `not JSON: ${(error as Error).message}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw lineError(path, line, 'not a JSON object');
}

function makeRecord(path: string, line: number, text: string, value: JsonObject, options: TableOptions) {
  const { time } = options;
  const name = options.label ?? (Object.hasOwn(value, 'label') ? 'label' : 'class');
  const has = (key: string | undefined): key is string => key !== undefined && Object.hasOwn(value, key);
  if (time !== undefined && !has(time)) throw lineError(path, line, `no member ${JSON.stringify(time)}`);
  const at = has(time) ? parseTime(value[time]) : Number.NaN;
  if (has(time) && Number.isNaN(at))
    throw lineError(path, line, `member ${JSON.stringify(time)} is not a time`);
  const label = has(name) ? labelOf(value[name]) : undefined;
  if (options.text !== undefined) return { at, label, payload: textMail(String(value[options.text] ?? '')) };
  if (!has(name) && !has(time)) return { at, label, payload: Buffer.from(text) };
  const rest = Object.entries(value).filter(([key]) => key !== name && key !== time);
  return { at, label, payload: Buffer.from(JSON.stringify(Object.fromEntries(rest))) };
}
