/**
 * Labels as a person gives them, checked against the task before anything is sent: from options of the command line, or
 * from a file of JSON lines (docs/payloads.md) or CSV. Promises: the whole file is read and checked first, and one
 * bad line refuses all of it, with the first bad lines by number. Bounded: 256 MiB, a million labels.
 */
import { createHash } from 'node:crypto';
import { timeOf } from '../../decode/reading.ts';
import { decodeFeedback, type Feedback } from '../../envelope.ts';
import { asSluiceError, SluiceError } from '../../errors.ts';

/** One label on its way: what is sent, and what it is said to be about. */
export interface Given {
  /** JSON of docs/payloads.md. */
  readonly payload: string;
  /** Labels of the same event stay in order on Kafka. */
  readonly key: string;
  readonly label: string | null;
}

export interface Defaults {
  readonly labels: readonly string[];
  readonly origin: string;
  readonly weight: number | undefined;
  readonly now: number;
  /** The stored rows are to be erased too. */
  readonly forget: boolean;
}

const MOST = 1_000_000;
const TOLD = 10;
const FIELDS = [
  'event',
  'messageId',
  'raw',
  'device',
  'from',
  'to',
  'label',
  'origin',
  'weight',
  'at',
] as const;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** One object of docs/payloads.md, checked; `label` null withdraws. Throws FEEDBACK_INVALID, FEEDBACK_LABEL. */
export function giveLabel(fields: Readonly<Record<string, unknown>>, defaults: Defaults): Given {
  const { origin = defaults.origin, weight = defaults.weight, at = defaults.now, ...rest } = fields;
  const known = Object.keys(rest).find((name) => !(FIELDS as readonly string[]).includes(name));
  if (known !== undefined)
    throw new SluiceError(
      'FEEDBACK_INVALID',
      `"${known.slice(0, 64)}" is no field of a label; there are ${FIELDS.join(', ')}`,
    );
  const forget = defaults.forget ? { forget: true } : {};
  const whole = { ...rest, ...forget, origin, ...(weight === undefined ? {} : { weight }), at: timeText(at) };
  // The very reading that the gateway does.
  const [feedback] = decodeFeedback(Buffer.from(JSON.stringify(whole)), defaults.now, sha256);
  checkLabel(feedback, defaults.labels);
  const { target } = feedback;
  if (target.kind === 'span' && target.from > target.to)
    throw new SluiceError('FEEDBACK_INVALID', 'the span ends before it begins');
  return {
    payload: JSON.stringify(whole),
    key: target.kind === 'span' ? target.device : target.name,
    label: feedback.label,
  };
}

function timeText(at: unknown): unknown {
  return typeof at === 'number' && Math.abs(at) <= 8.64e15 ? new Date(at).toISOString() : at;
}

function checkLabel({ label }: Feedback, labels: readonly string[]): void {
  if (label !== null && !labels.includes(label))
    throw new SluiceError('FEEDBACK_LABEL', `"${label.slice(0, 64)}" is not one of ${labels.join(', ')}`);
}

/** Every label of a file. Throws INPUT_INVALID with the first bad lines. */
export function readLabels(text: string, csv: boolean, defaults: Defaults): Given[] {
  const given: Given[] = [];
  const bad: string[] = [];
  let more = 0;
  for (const { line, read } of csv ? csvRecords(text) : jsonRecords(text)) {
    try {
      for (const fields of read()) given.push(giveLabel(fields, defaults));
    } catch (error) {
      if (bad.length < TOLD) bad.push(`line ${line}: ${asSluiceError(error).message}`);
      else more += 1;
    }
    if (given.length > MOST)
      throw new SluiceError('INPUT_INVALID', `more than ${MOST} labels; send them in several files`);
  }
  if (bad.length > 0)
    throw new SluiceError(
      'INPUT_INVALID',
      `nothing was sent:\n${bad.join('\n')}${more > 0 ? `\nand ${more} lines more` : ''}`,
    );
  return given;
}

interface Line {
  readonly line: number;
  /** Throws where it cannot be read. */
  readonly read: () => Readonly<Record<string, unknown>>[];
}

function* lines(text: string): Generator<readonly [line: number, text: string]> {
  let line = 0;
  for (let from = 0; from < text.length; ) {
    const end = text.indexOf('\n', from);
    const to = end < 0 ? text.length : end;
    line += 1;
    const one = text.slice(from, to).trim();
    from = to + 1;
    if (one !== '') yield [line, one];
  }
}

/** An object a line, or an array of them; a CloudEvent around it is taken off. */
function* jsonRecords(text: string): Generator<Line> {
  for (const [line, one] of lines(text))
    yield {
      line,
      read: () => {
        let parsed: unknown;
        try {
          parsed = JSON.parse(one);
        } catch {
          throw new SluiceError('FEEDBACK_INVALID', 'it is not JSON');
        }
        return (Array.isArray(parsed) ? parsed : [parsed]).map(bare);
      },
    };
}

function bare(item: unknown): Readonly<Record<string, unknown>> {
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const inner = isObject(item) && 'specversion' in item ? item.data : item;
  if (isObject(inner)) return inner;
  throw new SluiceError('FEEDBACK_INVALID', 'it is no object');
}

/** RFC 4180 without line breaks inside of quotes; `label` of null withdraws, unless the task has such a label. */
function* csvRecords(text: string): Generator<Line> {
  let header: readonly string[] | null = null;
  for (const [line, one] of lines(text.replace(/^\ufeff/, ''))) {
    if (header) {
      const names = header;
      yield { line, read: () => [record(names, cellsOf(one))] };
    } else {
      header = cellsOf(one);
      const missing =
        !header.includes('label') || !header.some((name) => ['event', 'messageId', 'device'].includes(name));
      if (missing)
        throw new SluiceError(
          'INPUT_INVALID',
          'the first line must name the columns: label, and event, messageId or device,from,to',
        );
    }
  }
}

function record(names: readonly string[], cells: readonly string[]): Record<string, unknown> {
  if (cells.length !== names.length)
    throw new SluiceError('FEEDBACK_INVALID', `it has ${cells.length} cells, the header ${names.length}`);
  const fields: Record<string, unknown> = {};
  for (const [i, name] of names.entries()) {
    const cell = cells[i];
    if (name === 'label') {
      if (cell === '') throw new SluiceError('FEEDBACK_INVALID', 'the label is empty; null withdraws');
      fields.label = cell === 'null' ? null : cell;
    } else if (cell !== '')
      fields[name] = ['weight', 'from', 'to', 'at'].includes(name) ? numeric(cell) : cell;
  }
  return fields;
}

const numeric = (cell: string): string | number => (/^\d+(\.\d+)?$/.test(cell) ? Number(cell) : cell);

function cellsOf(line: string): string[] {
  const cells: string[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  for (let at = 0; at <= line.length; at = cell.lastIndex) {
    cell.lastIndex = at;
    const match = cell.exec(line);
    if (!match) throw new SluiceError('FEEDBACK_INVALID', 'a quote is not closed or stands inside a cell');
    cells.push((match[1]?.replaceAll('""', '"') ?? match[2]).trim());
    if (match[3] === '') break;
  }
  return cells;
}

/** A time of the command line: RFC 3339 or Unix. Throws USAGE. */
export function timeArgument(option: string, text: string): string {
  const ms = timeOf(/^\d+(\.\d+)?$/.test(text) ? Number(text) : text);
  if (!Number.isNaN(ms)) return new Date(ms).toISOString();
  throw new SluiceError('USAGE', `${option} ${text}: write a time as in 2026-01-02T14:05:00Z`);
}
