/**
 * Labelled rows on their way to the hub (`rows` topics), `dev.sluice.rows.v1`. Labels travel by name, so that two
 * sites that count them differently cannot mix them up; the row itself is bytes in base64 (row-bytes.ts). A
 * withdrawal carries no row, since nothing of it may be kept. What comes in is hostile: it is checked whole,
 * against the shape of the task where its features are the task's, and refused with ROWS_INVALID.
 */
import { z } from 'zod';
import type { LabelledRow, ModelShape, PairedLoss, Rows } from '../contract.ts';
import { type Envelope, isoTime } from '../envelope.ts';
import { SluiceError } from '../errors.ts';
import { demandShape, type Item, unwrap } from './read.ts';
import { decodeRowBytes, encodeRowBytes, MAX_ROW_BYTES } from './row-bytes.ts';

/** One message: the largest row in base64, or many small ones. */
const MAX_PAYLOAD = 16 * 1024 ** 2;

/** What the reader of rows must know of a task; a Task is one. */
export interface RowsTask {
  readonly name: string;
  readonly labels: readonly string[];
  readonly features: string;
  readonly shape: ModelShape;
}

/** The message of one labelled row. Throws ROWS_INVALID for a row that is too large to be sent. */
export function rowPayload(envelope: Envelope, row: LabelledRow, labels: readonly string[]): string {
  const id = `${row.site}/${row.task}/${row.seq}`;
  return envelope.wrap('rows', id, row.device, row.labelledAt, JSON.stringify(rowData(row, labels)));
}

function rowData(row: LabelledRow, labels: readonly string[]): Readonly<Record<string, unknown>> {
  const withdrawn = row.label < 0;
  const name = (index: number): string | null => (index < 0 ? null : labels[index]);
  return {
    site: row.site,
    task: row.task,
    seq: row.seq,
    event: row.event,
    device: row.device,
    at: timeText(row.at),
    labelledAt: timeText(row.labelledAt),
    label: name(row.label),
    weight: row.weight,
    origin: row.origin,
    features: row.features,
    model: row.model,
    ...(withdrawn
      ? {}
      : {
          predicted: name(row.predicted),
          // Nine digits bring a float32 back to the bit.
          scores: Object.fromEntries(labels.map((label, c) => [label, Number(row.scores[c].toPrecision(9))])),
          row: encodeRowBytes(row.rows).toString('base64'),
        }),
    ...(row.paired ? { paired: row.paired } : {}),
  };
}

/** Devices with a broken clock must not lose their labels: RFC 3339 ends with the year 9999. */
const timeText = (ms: number): string => isoTime(Math.min(Math.max(0, ms), 253_402_300_799_999));

// ---------------------------------------------------------------- reading

const name = z.string().min(1).max(256);
const time = z.iso.datetime().transform((text) => Date.parse(text));
const loss = z.number().nonnegative().max(1_000);

const head = {
  site: name,
  task: name,
  seq: z.int().positive(),
  event: z.string().min(1).max(4_096),
  device: z.string().max(4_096),
  at: time,
  labelledAt: time,
  weight: z.number().positive().max(1_000),
  origin: z.string().max(256),
  features: name,
  model: z.string().max(256),
  paired: z.object({ live: name, liveLoss: loss, other: name, otherLoss: loss }).optional(),
};
const withdrawn = z.object({ ...head, label: z.null() });
const given = z.object({
  ...head,
  label: name,
  predicted: name.nullable(),
  scores: z.record(name, z.number().min(0).max(1)).refine((scores) => Object.keys(scores).length <= 1_024),
  row: z.string().max(4 * Math.ceil(MAX_ROW_BYTES / 3)),
});

const invalid = (what: string): SluiceError => new SluiceError('ROWS_INVALID', what);

export interface ReadRows {
  /** The task of a name; null: not one of ours. */
  readonly taskOf: (name: string) => RowsTask | null;
  /** The site that the topic names, where it names one: rows of another are refused, since a broker's rules guard topics. */
  readonly site?: string;
}

/** All rows of one message, or ROWS_INVALID for the whole of it. */
export function readRows(payload: Uint8Array, options: ReadRows): LabelledRow[] {
  return unwrap(payload, MAX_PAYLOAD, 'ROWS_INVALID').map((item) => readRow(item, options));
}

function readRow({ data, site }: Item, options: ReadRows): LabelledRow {
  const without = (data as { label?: unknown } | null)?.label === null;
  const row = without
    ? { ...demandShape(withdrawn, data, 'ROWS_INVALID'), predicted: null, scores: null, row: null }
    : demandShape(given, data, 'ROWS_INVALID');
  for (const told of [site, options.site])
    if (typeof told === 'string' && told !== row.site)
      throw invalid(`a row of site ${row.site} came as one of ${told}`);
  const task = options.taskOf(row.task);
  if (!task) throw invalid(`the task ${row.task} is not known here`);
  const index = (label: string | null): number => (label === null ? -1 : labelIndex(task, label));
  const { label, predicted, scores, row: bytes, paired, ...rest } = row;
  return {
    ...rest,
    label: index(label),
    predicted: index(predicted),
    scores: scores === null ? new Float32Array(task.labels.length) : scoresOf(task, scores),
    rows: bytes === null ? emptyRow(task.shape) : rowOf(task, row.features, bytes),
    paired: (paired satisfies PairedLoss | undefined) ?? null,
  };
}

function labelIndex(task: RowsTask, label: string): number {
  const index = task.labels.indexOf(label);
  if (index < 0) throw invalid(`${label} is not a label of the task ${task.name}`);
  return index;
}

function scoresOf(task: RowsTask, scores: Readonly<Record<string, number>>): Float32Array {
  return Float32Array.from(task.labels, (label) => {
    if (!Object.hasOwn(scores, label)) throw invalid(`scores: ${label} is missing`);
    return scores[label];
  });
}

function rowOf(task: RowsTask, features: string, text: string): Rows {
  const bytes = Buffer.from(text, 'base64');
  // Buffer steps over what is no base64; the length tells.
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  if (text.length % 4 !== 0 || bytes.length !== (text.length / 4) * 3 - padding)
    throw invalid('row: not base64');
  return decodeRowBytes(bytes, features === task.features ? task.shape : null);
}

/** In the place of a row that was withdrawn. */
function emptyRow({ denseDims }: ModelShape): Rows {
  const none = { indices: new Uint32Array(0), values: new Float32Array(0) };
  const dense = new Float32Array(denseDims).fill(Number.NaN);
  return { count: 1, indptr: Uint32Array.of(0, 0), ...none, denseDims, dense };
}
