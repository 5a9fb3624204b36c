/**
 * A model behind the conditioning of its columns: what `rules` of a shape ask for, wrapped around a model of any kind.
 * Promises: it is a model like any other (docs/spec.md): calls take effect in the order made, `step` equals the calls it
 * stands for, what was saved loads to the same bits, scoring changes nothing; so statistics are part of what is
 * learned: frozen with a bundle, folded with the journal, taken back with a label. Refuses what a model refuses.
 *
 *   "SLCM" | u32 version | u32 head length | head, JSON | f64 statistics ... | the model's own bytes | first 16 bytes of SHA-256
 */
import { createHash } from 'node:crypto';
import type { ColumnRule, Model, ModelShape, Rows } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { Conditioner } from './conditioned/conditioner.ts';

/** A new one. `create` makes the model behind it. */
export function createConditioned(shape: ModelShape, create: (inner: ModelShape) => Model): Model {
  const conditioner = new Conditioner(shape);
  return new ConditionedModel(conditioner, create(conditioner.inner));
}

class ConditionedModel implements Model {
  readonly kind: string;
  readonly shape: ModelShape;
  readonly backend: string;
  readonly #conditioner: Conditioner;
  readonly #inner: Model;

  constructor(conditioner: Conditioner, inner: Model) {
    this.kind = inner.kind;
    this.shape = conditioner.shape;
    this.backend = inner.backend;
    this.#conditioner = conditioner;
    this.#inner = inner;
  }

  get bytes(): number {
    return this.#inner.bytes + this.#conditioner.bytes;
  }

  async score(rows: Rows): Promise<Float32Array> {
    this.#check(rows);
    const dense = new Float32Array(rows.count * this.#width);
    for (let i = 0; i < rows.count; i += 1) this.#conditioner.write(rows, i, dense, i);
    return this.#inner.score({ ...rows, denseDims: this.#width, dense });
  }

  async learn(rows: Rows, labels: Int32Array, weights?: Float32Array): Promise<void> {
    this.#check(rows, labels, weights);
    const dense = new Float32Array(rows.count * this.#width);
    for (let i = 0; i < rows.count; i += 1) this.#learn(rows, i, labels[i], weights?.[i] ?? 1, dense, i);
    return this.#inner.learn({ ...rows, denseDims: this.#width, dense }, labels, weights);
  }

  /** A row stands once for each time that it is scored or learned: in between its conditioning may have changed. */
  async step(
    rows: Rows,
    labels: Int32Array,
    weights?: Float32Array,
    schedule?: Int32Array,
  ): Promise<Float32Array> {
    this.#check(rows, labels, weights);
    const order = schedule ?? prequential(rows.count);
    if (order.some((entry) => (entry < 0 ? ~entry : entry) >= rows.count))
      throw refused('the schedule names a row that is not there');
    const dense = new Float32Array(order.length * this.#width);
    for (const [to, entry] of order.entries()) {
      if (entry >= 0) this.#conditioner.write(rows, entry, dense, to);
      else this.#learn(rows, ~entry, labels[~entry], weights?.[~entry] ?? 1, dense, to);
    }
    const rowOf = (entry: number) => (entry < 0 ? ~entry : entry);
    const repeated = { ...repeat(rows, order, rowOf), denseDims: this.#width, dense };
    const scores = await this.#inner.step(
      repeated,
      Int32Array.from(order, (entry) => labels[rowOf(entry)]),
      weights && Float32Array.from(order, (entry) => weights[rowOf(entry)]),
      Int32Array.from(order, (entry, to) => (entry < 0 ? ~to : to)),
    );
    const { classes } = this.shape;
    const out = new Float32Array(rows.count * classes).fill(Number.NaN);
    for (const [to, entry] of order.entries())
      if (entry >= 0) out.set(scores.subarray(to * classes, (to + 1) * classes), entry * classes);
    return out;
  }

  async save(): Promise<Uint8Array> {
    const parts = this.#conditioner.save();
    return encode(this.shape, parts, await this.#inner.save());
  }

  close(): void {
    this.#inner.close();
  }

  get #width(): number {
    return this.#conditioner.inner.denseDims;
  }

  #learn(rows: Rows, i: number, label: number, weight: number, dense: Float32Array, to: number): void {
    this.#conditioner.write(rows, i, dense, to);
    if (label >= 0) this.#conditioner.add(rows, i, label, weight);
  }

  /** What the model would refuse is refused before anything is counted. */
  #check(
    { count, indptr, dense, denseDims, indices, values }: Rows,
    labels?: Int32Array,
    weights?: Float32Array,
  ): void {
    const { dims, classes } = this.shape;
    if (denseDims !== this.shape.denseDims) throw refused(`rows of ${denseDims} dense columns`);
    if (dense.length < count * denseDims || indptr.length < count + 1)
      throw refused('the arrays are too short');
    const cells = indptr[count];
    if (indices.length < cells || values.length < cells) throw refused('the arrays are too short');
    for (let i = 0; i < cells; i += 1)
      if (indices[i] >= dims || !(values[i] - values[i] === 0)) throw refused('a cell is not of the space');
    if (!labels) return;
    if (labels.length < count || (weights && weights.length < count))
      throw refused('there are too few labels');
    for (let i = 0; i < count; i += 1) {
      if (!(labels[i] >= -2 && labels[i] < classes)) throw refused(`there is no label ${labels[i]}`);
      if (weights && !(weights[i] >= 0 && weights[i] < Number.POSITIVE_INFINITY))
        throw refused(`there is no weight ${weights[i]}`);
    }
  }
}

const refused = (what: string): SluiceError => new SluiceError('MODEL_INPUT', what);

const prequential = (count: number): Int32Array =>
  Int32Array.from({ length: 2 * count }, (_, i) => (i % 2 === 0 ? i >> 1 : ~(i >> 1)));

/** The sparse parts of the rows, in the order of the entries. */
function repeat(
  { indptr, indices, values }: Rows,
  order: Int32Array,
  rowOf: (entry: number) => number,
): Pick<Rows, 'count' | 'indptr' | 'indices' | 'values'> {
  const starts = new Uint32Array(order.length + 1);
  for (const [to, entry] of order.entries())
    starts[to + 1] = starts[to] + indptr[rowOf(entry) + 1] - indptr[rowOf(entry)];
  const cells = {
    indices: new Uint32Array(starts[order.length]),
    values: new Float32Array(starts[order.length]),
  };
  for (const [to, entry] of order.entries()) {
    const [from, end] = [indptr[rowOf(entry)], indptr[rowOf(entry) + 1]];
    cells.indices.set(indices.subarray(from, end), starts[to]);
    cells.values.set(values.subarray(from, end), starts[to]);
  }
  return { count: order.length, indptr: starts, ...cells };
}

// ---------------------------------------------------------------- the file

const MAGIC = 0x4d434c53; // "SLCM", little-endian
const FORMAT = 1;
const DIGEST = 16;
const MOST_RULES = 65_536;

interface Head {
  readonly shape: ModelShape;
  /** Numbers in each part. */
  readonly lengths: readonly number[];
}

const corrupt = (what: string, cause?: unknown): SluiceError =>
  new SluiceError('MODEL_CORRUPT', `the conditioning of a model ${what}`, { cause });

const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest().subarray(0, DIGEST);

function encode(shape: ModelShape, parts: readonly Float64Array[], inner: Uint8Array): Uint8Array {
  const head: Head = { shape, lengths: parts.map(({ length }) => length) };
  const text = Buffer.from(JSON.stringify(head));
  const start = Buffer.alloc(12);
  start.writeUInt32LE(MAGIC, 0);
  start.writeUInt32LE(FORMAT, 4);
  start.writeUInt32LE(text.length, 8);
  const numbers = Buffer.alloc(8 * parts.reduce((all, { length }) => all + length, 0));
  let at = 0;
  for (const part of parts) for (const number of part) at = numbers.writeDoubleLE(number, at);
  const whole = Buffer.concat([start, text, numbers, inner]);
  return Buffer.concat([whole, digest(whole)]);
}

/** Whether the bytes are of such a model. */
export function isConditioned(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 12 + DIGEST && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) === MAGIC
  );
}

/** What was saved. `load` makes the model behind it. Throws MODEL_CORRUPT, MODEL_VERSION. */
export function loadConditioned(bytes: Uint8Array, load: (inner: Uint8Array) => Model): Model {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const format = whole.readUInt32LE(4);
  if (format !== FORMAT)
    throw new SluiceError(
      'MODEL_VERSION',
      `the conditioning of a model has format ${format}, this one reads ${FORMAT}`,
    );
  const end = whole.length - DIGEST;
  if (!digest(whole.subarray(0, end)).equals(whole.subarray(end))) throw corrupt('was changed');
  const begin = 12 + whole.readUInt32LE(8);
  const head = readHead(whole, begin, end);
  const conditioner = new Conditioner(head.shape);
  const total = head.lengths.reduce((all, length) => all + length, 0);
  if (begin + 8 * total > end) throw corrupt('ends too early');
  let at = begin;
  const parts = head.lengths.map((length) => {
    const part = Float64Array.from({ length }, (_, i) => whole.readDoubleLE(at + 8 * i));
    at += 8 * length;
    return part;
  });
  if (!conditioner.restore(parts)) throw corrupt('holds statistics that mean nothing');
  const inner = load(whole.subarray(at, end));
  const { dims, denseDims, classes } = inner.shape;
  const wanted = conditioner.inner;
  if (dims === wanted.dims && denseDims === wanted.denseDims && classes === wanted.classes)
    return new ConditionedModel(conditioner, inner);
  inner.close();
  throw corrupt('is of another shape than the model');
}

function readHead(whole: Buffer, begin: number, end: number): Head {
  if (begin > end) throw corrupt('ends too early');
  let head: Head;
  try {
    head = JSON.parse(whole.toString('utf8', 12, begin)) as Head;
  } catch (error) {
    throw corrupt('cannot be read', error);
  }
  const { dims, denseDims, classes, rules } = Object(head?.shape) as ModelShape;
  const numbers = [dims, denseDims, classes].every((n) => Number.isSafeInteger(n) && n >= 0);
  const lengths: unknown = head?.lengths;
  const sound =
    numbers &&
    classes >= 2 &&
    Array.isArray(rules) &&
    rules.length <= MOST_RULES &&
    rules.every((rule) => isRule(rule, denseDims)) &&
    Array.isArray(lengths) &&
    lengths.length === rules.length &&
    lengths.every((n) => Number.isSafeInteger(n) && n >= 3);
  if (!sound) throw corrupt('has a head that means nothing');
  return head;
}

function isRule(rule: unknown, denseDims: number): rule is ColumnRule {
  const { column, impute, clip, scale, target } = Object(rule) as ColumnRule;
  return (
    Number.isInteger(column) &&
    column >= 0 &&
    column < denseDims &&
    ['none', 'mean', 'median'].includes(impute) &&
    Number.isFinite(clip) &&
    ['none', 'zscore', 'minmax', 'robust'].includes(scale) &&
    typeof target === 'boolean'
  );
}
