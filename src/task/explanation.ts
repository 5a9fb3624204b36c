/**
 * Why a model gave a row its score for a label: each feature is taken out of the row and the row scored again; what
 * the log-odds of the label lose is what the feature gave (occlusion; Zeiler and Fergus 2014, Robnik-Šikonja and
 * Kononenko 2008). Promises: nothing but `Model.score` is asked, so every kind of model can be explained; the model is
 * not changed; time and memory are bounded whatever the row. Of rows with too many cells those are taken out that weigh
 * most when each stands alone, and `looked` says how many. Refuses rows of another shape (MODEL_INPUT).
 *
 * A declared field is one feature: its value, the column that says whether it was missing, the parts of a time. What
 * is taken out is missing to the model (dense) or 0 (sparse). For `linear` and `text` contributions add up to the log-odds: of
 * `text` a cell's is its share of the mean of the learners' logits, by the slope of the calibration. Where features work
 * together they need not.
 */
import type { Event, Model, Rows } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { type Reasons, reasonsOf } from './reasons.ts';
import type { Task } from './task.ts';

export interface Contribution {
  /** The declared field, the readable name of the cell, or `bucket 1234`. */
  readonly feature: string;
  readonly part: 'dense' | 'sparse';
  /** What the model was given; null where it was missing or is no single number. */
  readonly value: number | null;
  readonly missing: boolean;
  /** Towards the label (natural logarithm); negative: away from it. */
  readonly logOdds: number;
}

/** All cells of one kind together: of a mail its header, its texts, its links … */
export interface Together {
  readonly name: string;
  readonly cells: number;
  readonly logOdds: number;
}

export interface Explanation {
  readonly label: string;
  readonly probability: number;
  /** Of the label, with the whole row and with one in which every feature is taken out. */
  readonly logOdds: number;
  readonly emptyLogOdds: number;
  /** Strongest first, at most as many as asked for. */
  readonly contributions: readonly Contribution[];
  /** Strongest first; empty where the kinds of cells are not known. */
  readonly together: readonly Together[];
  /** Of a mail whose features have names; else null. */
  readonly reasons: Reasons | null;
  /** How many features the row has, and how many were taken out one by one. */
  readonly features: number;
  readonly looked: number;
}

export interface ExplainOptions {
  /** Names of sparse buckets, as `bucketNames` gives them. */
  readonly names?: ReadonlyMap<number, string>;
  /** Contributions given, and reasons on each side, at most. */
  readonly limit?: number;
  /** Sparse cells copied in all; bounds time and, with CHUNK_CELLS, memory. */
  readonly budget?: number;
}

const LIMIT = 20;
/** 5,000 cells are all taken out one by one: 25 million copied, some 120 ms. */
const BUDGET = 25_000_000;
/** Cells in one native call: 8 MiB. */
const CHUNK_CELLS = 1_000_000;
const LEAST_LOOKED = 64;
const MAX_KINDS = 32;

/** Dense columns and sparse cells that are taken out together. */
interface Part {
  readonly dense: readonly number[];
  /** Sorted positions within the row. */
  readonly sparse: readonly number[];
}

/** Explains what `model` says about row 0 of `rows` for the label with this index. */
export async function explainRow(
  task: Task,
  model: Pick<Model, 'score'>,
  rows: Rows,
  label: number,
  options: ExplainOptions = {},
): Promise<Explanation> {
  check(task, rows, label);
  const row = new OneRow(rows, model, label, task.shape.classes);
  const { limit = LIMIT, budget = BUDGET, names } = options;
  const fields = fieldsOf(task);
  const cells = await row.strongest(Math.max(LEAST_LOOKED, Math.floor(budget / Math.max(1, row.cells))));
  const kinds = kindsOf(row, names);
  const parts: Part[] = [
    ...[...fields.values()].map((dense) => ({ dense, sparse: [] })),
    ...cells.map((cell) => ({ dense: [], sparse: [cell] })),
    ...kinds.map(([, sparse]) => ({ dense: [], sparse })),
    { dense: task.columns.map((_column, i) => i), sparse: row.all },
  ];
  const without = await row.without(parts);
  const [whole] = await row.without([{ dense: [], sparse: [] }]);
  const gives = (i: number) => whole.logOdds - without[i].logOdds;
  const dense = [...fields].map(([field, columns], i) => ofField(task, rows, field, columns, gives(i)));
  const sparse = cells.map((cell, i) => ofCell(rows, cell, names, gives(fields.size + i)));
  const contributions = [...dense, ...sparse].filter(({ logOdds }) => logOdds !== 0).sort(byStrength);
  const together = kinds.map(([name, { length }], i) => ({
    name,
    cells: length,
    logOdds: gives(fields.size + cells.length + i),
  }));
  return {
    label: task.labels[label],
    probability: whole.probability,
    logOdds: whole.logOdds,
    emptyLogOdds: without[without.length - 1].logOdds,
    contributions: contributions.slice(0, limit),
    together: together.sort(byStrength),
    reasons: kinds.length > 0 ? reasonsOf(contributions, limit) : null,
    features: fields.size + row.cells,
    looked: fields.size + cells.length,
  };
}

/** The readable names of an event's sparse buckets, by the very features of the task. */
export function bucketNames(task: Task, event: Event): Map<number, string> {
  const names = new Map<number, string>();
  for (const { part, index, name } of task.describe(event)) {
    if (part !== 'sparse') continue;
    const known = names.get(index);
    // Buckets are shared now and then: the first two names say what matters.
    if (known === undefined) names.set(index, name);
    else if (!known.includes(' | ')) names.set(index, `${known} | ${name}`);
  }
  return names;
}

/** `vibration 4.2 mm/s (+2.1 towards fault)`; `unit` where the configuration declares one. */
export function contributionText(contribution: Contribution, label: string, unit?: string): string {
  const { feature, part, value, missing, logOdds } = contribution;
  const shown =
    part === 'sparse' ? '' : missing ? ' missing' : value === null ? '' : ` ${withUnit(value, unit)}`;
  return `${feature}${shown} (${signed(logOdds)} ${logOdds < 0 ? 'away from' : 'towards'} ${label})`;
}

const withUnit = (value: number, unit?: string): string =>
  `${Number(value.toPrecision(4))}${unit ? ` ${unit}` : ''}`;

/** Log-odds with a sign; small ones keep a digit that says something. */
export function signed(logOdds: number): string {
  const size = Math.abs(logOdds);
  const text = size >= 0.095 ? size.toFixed(1) : size.toPrecision(1);
  return `${logOdds < 0 ? '-' : '+'}${text}`;
}

const byStrength = (a: { logOdds: number }, b: { logOdds: number }): number =>
  Math.abs(b.logOdds) - Math.abs(a.logOdds);

function check(task: Task, rows: Rows, label: number): void {
  const { dims, denseDims } = task.shape;
  const fits = rows.count >= 1 && rows.denseDims === denseDims && label >= 0 && label < task.labels.length;
  const inside = fits && rows.indices.subarray(0, rows.indptr[1]).every((index) => index < dims);
  if (!inside) throw new SluiceError('MODEL_INPUT', `the row is not of the shape of task ${task.name}`);
}

/** Dense columns by the field that they tell of. */
function fieldsOf(task: Task): Map<string, number[]> {
  const fields = new Map<string, number[]>();
  for (const [i, { field }] of task.columns.entries()) fields.set(field, [...(fields.get(field) ?? []), i]);
  return fields;
}

/** The names of mail cells begin with what they are of: `links: …`. */
function kindsOf(row: OneRow, names: ReadonlyMap<number, string> | undefined): [string, number[]][] {
  const kinds = new Map<string, number[]>();
  if (names === undefined) return [];
  for (const cell of row.all) {
    const kind = /^([a-z]+(?:Pairs|Form)?): /i.exec(names.get(row.bucket(cell)) ?? '')?.[1];
    if (kind === undefined) continue;
    const list = kinds.get(kind);
    if (list) list.push(cell);
    else if (kinds.size < MAX_KINDS) kinds.set(kind, [cell]);
  }
  return [...kinds];
}

function ofField(
  task: Task,
  rows: Rows,
  field: string,
  columns: readonly number[],
  logOdds: number,
): Contribution {
  const cellOf = (name: string) => {
    const column = columns.find((each) => task.columns[each].name === name);
    return column === undefined ? null : rows.dense[column];
  };
  const value = cellOf(field);
  // The code of a category is no value that anybody would know.
  const coded = task.shape.rules?.some(
    ({ column, target }) => target && task.columns[column].field === field,
  );
  const missing = cellOf(`${field} missing`) === 1 || Number.isNaN(value ?? rows.dense[columns[0]]);
  return { feature: field, part: 'dense', value: missing || coded ? null : value, missing, logOdds };
}

function ofCell(
  rows: Rows,
  cell: number,
  names: ReadonlyMap<number, string> | undefined,
  logOdds: number,
): Contribution {
  const bucket = rows.indices[cell];
  const feature = names?.get(bucket) ?? `bucket ${bucket}`;
  return { feature, part: 'sparse', value: rows.values[cell], missing: false, logOdds };
}

interface Scored {
  readonly probability: number;
  readonly logOdds: number;
}

/** The row that is explained, and the rows made from it. */
class OneRow {
  readonly cells: number;
  /** Every position. */
  readonly all: readonly number[];
  readonly #rows: Rows;
  readonly #model: Pick<Model, 'score'>;
  readonly #label: number;
  readonly #classes: number;

  constructor(rows: Rows, model: Pick<Model, 'score'>, label: number, classes: number) {
    this.#rows = rows;
    this.#model = model;
    this.#label = label;
    this.#classes = classes;
    this.cells = rows.indptr[1] - rows.indptr[0];
    this.all = Array.from({ length: this.cells }, (_, i) => i);
  }

  bucket(cell: number): number {
    return this.#rows.indices[cell];
  }

  /** At most so many positions: those that alone move an empty row furthest, where they are not all of them. */
  async strongest(most: number): Promise<readonly number[]> {
    if (this.cells <= most) return this.all;
    const { indices, values, denseDims } = this.#rows;
    const strength = new Float64Array(this.cells);
    const everything = { dense: Array.from({ length: denseDims }, (_, i) => i), sparse: this.all };
    const [empty] = await this.without([everything]);
    for (let from = 0; from < this.cells; from += CHUNK_CELLS) {
      const count = Math.min(CHUNK_CELLS, this.cells - from);
      const alone: Rows = {
        count,
        indptr: Uint32Array.from({ length: count + 1 }, (_, i) => i),
        indices: indices.slice(from, from + count),
        values: values.slice(from, from + count),
        denseDims,
        dense: new Float32Array(count * denseDims).fill(Number.NaN),
      };
      const scored = await this.#score(alone);
      for (const [i, { logOdds }] of scored.entries()) strength[from + i] = Math.abs(logOdds - empty.logOdds);
    }
    return [...this.all].sort((a, b) => strength[b] - strength[a]).slice(0, most);
  }

  /** The row scored without each of these parts, in native calls of bounded size. */
  async without(parts: readonly Part[]): Promise<Scored[]> {
    const scored: Scored[] = [];
    const perCall = Math.max(1, Math.floor(CHUNK_CELLS / Math.max(1, this.cells + this.#rows.denseDims)));
    for (let from = 0; from < parts.length; from += perCall)
      scored.push(...(await this.#score(this.#copies(parts.slice(from, from + perCall)))));
    return scored;
  }

  #copies(parts: readonly Part[]): Rows {
    const { indices, values, denseDims, dense } = this.#rows;
    const { cells } = this;
    const rows = {
      count: parts.length,
      indptr: Uint32Array.from({ length: parts.length + 1 }, (_, i) => i * cells),
      indices: new Uint32Array(parts.length * cells),
      values: new Float32Array(parts.length * cells),
      denseDims,
      dense: new Float32Array(parts.length * denseDims),
    };
    for (const [i, part] of parts.entries()) {
      rows.indices.set(indices.subarray(0, cells), i * cells);
      rows.values.set(values.subarray(0, cells), i * cells);
      // A cell of 0 and not none: a learner of a view takes part wherever the row has a cell of it.
      for (const cell of part.sparse) rows.values[i * cells + cell] = 0;
      rows.dense.set(dense.subarray(0, denseDims), i * denseDims);
      for (const column of part.dense) rows.dense[i * denseDims + column] = Number.NaN;
    }
    return rows;
  }

  async #score(rows: Rows): Promise<Scored[]> {
    const scores = await this.#model.score(rows);
    return Array.from({ length: rows.count }, (_, i) => {
      const own = scores.subarray(i * this.#classes, (i + 1) * this.#classes);
      return { probability: own[this.#label], logOdds: logOddsOf(own, this.#label) };
    });
  }
}

/** A 32-bit probability never says less than this. */
const TINY = 1e-38;

/** From the probabilities of the others, which keep their digits where this one is close to 1. */
export function logOddsOf(probabilities: ArrayLike<number>, label: number): number {
  let others = 0;
  for (let i = 0; i < probabilities.length; i += 1) if (i !== label) others += probabilities[i];
  return Math.log(Math.max(TINY, probabilities[label])) - Math.log(Math.max(TINY, others));
}
