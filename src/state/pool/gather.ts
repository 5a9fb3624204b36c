/**
 * Assembles rows of a pool to train and test on: oldest to newest, in one CSR block of bounded size; where there
 * are more rows than fit, the newest stay. Two passes: over the heads to choose, then over the chosen rows to
 * copy. Between slices the event loop turns, so that what was withdrawn or forgotten meanwhile is left out.
 */
import type { ModelShape, RowSet } from '../../contract.ts';
import { glance, LAST, nameKey, numberKey, numberOf, type PoolTable } from '../database.ts';
import { type Ground, SLICE, tellDamage } from '../room.ts';
import { decodeCells, decodeHead, type PoolHead } from './record.ts';

export interface GatherOptions {
  /** Only rows of these features. */
  readonly features: string;
  /** Only rows that fit it; a sender may call any row one of these features. */
  readonly shape: ModelShape;
  /** Only rows with since <= time < until, ms. */
  readonly since?: number;
  readonly until?: number;
  /** Only rows that arrived up to this position: what comes in while the set is made stays unseen. */
  readonly upTo?: number;
  readonly select?: (head: PoolHead) => boolean;
  /** Default 200,000 rows and 512 MiB of arrays. */
  readonly maxRows?: number;
  readonly maxBytes?: number;
}

/** `heads[i]` tells where row i of the set is from. */
export interface PoolSet {
  readonly set: RowSet;
  readonly heads: readonly PoolHead[];
  /** When the newest withdrawal arrived, ms; 0: there is none. A model from before it may know what was taken back. */
  readonly withdrawnAt: number;
}

const MAX_ROWS = 200_000;
const MAX_BYTES = 512 * 1024 ** 2;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Every head of a task after a position, a slice at a time; damaged ones are told and stepped over. */
export async function* headsOf(
  ground: Ground<PoolTable>,
  task: string,
  after = 0,
): AsyncGenerator<PoolHead[]> {
  const { rows } = ground.tables;
  for (let at = after; ; await turn()) {
    const keys = rows.keys({ start: nameKey(task, at + 1), end: nameKey(task, LAST), limit: SLICE });
    if (keys.length === 0) return;
    yield keys.map((key) => headAt(ground, task, numberOf(key))).filter((head) => head !== null);
    at = numberOf(keys[keys.length - 1]);
  }
}

export function headAt(ground: Ground<PoolTable>, task: string, position: number): PoolHead | null {
  const value = glance(ground.tables.rows, nameKey(task, position));
  if (!value) return null;
  try {
    return decodeHead(position, value);
  } catch (error) {
    tellDamage(ground, error, 'pool');
    return null;
  }
}

export function cellsAt(ground: Ground<PoolTable>, position: number): ReturnType<typeof decodeCells> | null {
  const value = glance(ground.tables.cells, numberKey(position));
  if (!value) return null;
  try {
    return decodeCells(Buffer.from(value));
  } catch (error) {
    tellDamage(ground, error, 'pool');
    return null;
  }
}

/** What a row takes in the arrays. */
const arrayBytes = (cells: number, denseDims: number): number => 8 * cells + 4 * denseDims + 20;

export async function gather(
  ground: Ground<PoolTable>,
  task: string,
  options: GatherOptions,
): Promise<PoolSet> {
  const { chosen, withdrawnAt } = await choose(ground, task, options);
  const heads: PoolHead[] = [];
  const cells = chosen.reduce((sum, each) => sum + each.cells, 0);
  const block = new Block(options, chosen.length, cells);
  for (let i = 0; i < chosen.length; i++) {
    if (i % 500 === 499) await turn();
    const { position } = chosen[i];
    const head = headAt(ground, task, position);
    const row = head && head.label >= 0 ? cellsAt(ground, position) : null;
    if (head && row && block.add(head, row.rows)) heads.push(head);
  }
  return { set: block.set(), heads, withdrawnAt };
}

interface Chosen {
  readonly position: number;
  readonly time: number;
  readonly cells: number;
}

/** In order of time, ties in order of arrival. */
async function choose(
  ground: Ground<PoolTable>,
  task: string,
  options: GatherOptions,
): Promise<{ readonly chosen: Chosen[]; readonly withdrawnAt: number }> {
  const {
    features,
    shape,
    select,
    since = Number.NEGATIVE_INFINITY,
    until = Number.POSITIVE_INFINITY,
    upTo = Number.POSITIVE_INFINITY,
  } = options;
  const found: Chosen[] = [];
  let withdrawnAt = 0;
  for await (const heads of headsOf(ground, task))
    for (const head of heads) {
      if (head.label < 0) withdrawnAt = Math.max(withdrawnAt, head.storedAt);
      if (head.label < 0 || head.label >= shape.classes || head.features !== features) continue;
      if (head.denseDims !== shape.denseDims || head.time < since || head.time >= until) continue;
      if (head.position > upTo || (select && !select(head))) continue;
      found.push({ position: head.position, time: head.time, cells: head.cells });
    }
  found.sort((a, b) => a.time - b.time || a.position - b.position);
  const { maxRows = MAX_ROWS, maxBytes = MAX_BYTES } = options;
  let from = found.length;
  let bytes = 0;
  while (from > 0 && found.length - from < maxRows) {
    bytes += arrayBytes(found[from - 1].cells, shape.denseDims);
    if (bytes > maxBytes) break;
    from -= 1;
  }
  return { chosen: found.slice(from), withdrawnAt };
}

/** The arrays of a set while they are filled. */
class Block {
  readonly #features: string;
  readonly #shape: ModelShape;
  readonly #indptr: Uint32Array;
  readonly #indices: Uint32Array;
  readonly #values: Float32Array;
  readonly #dense: Float32Array;
  readonly #labels: Int32Array;
  readonly #weights: Float32Array;
  readonly #at: Float64Array;
  #count = 0;

  constructor({ features, shape }: GatherOptions, rows: number, cells: number) {
    this.#features = features;
    this.#shape = shape;
    this.#indptr = new Uint32Array(rows + 1);
    this.#indices = new Uint32Array(cells);
    this.#values = new Float32Array(cells);
    this.#dense = new Float32Array(rows * shape.denseDims);
    this.#labels = new Int32Array(rows);
    this.#weights = new Float32Array(rows);
    this.#at = new Float64Array(rows);
  }

  /** False for a row that does not fit the shape. */
  add(head: PoolHead, rows: RowSet['rows']): boolean {
    const { dims, denseDims } = this.#shape;
    const from = this.#indptr[this.#count];
    if (rows.denseDims !== denseDims || from + rows.indices.length > this.#indices.length) return false;
    if (!rows.indices.every((index) => index < dims)) return false;
    this.#indices.set(rows.indices, from);
    this.#values.set(rows.values, from);
    this.#dense.set(rows.dense, this.#count * denseDims);
    this.#labels[this.#count] = head.label;
    this.#weights[this.#count] = head.weight;
    this.#at[this.#count] = head.time;
    this.#count += 1;
    this.#indptr[this.#count] = from + rows.indices.length;
    return true;
  }

  set(): RowSet {
    const count = this.#count;
    const rows = {
      count,
      indptr: this.#indptr.subarray(0, count + 1),
      indices: this.#indices,
      values: this.#values,
      denseDims: this.#shape.denseDims,
      dense: this.#dense,
    };
    const labels = this.#labels.subarray(0, count);
    const weights = this.#weights.subarray(0, count);
    return { features: this.#features, rows, labels, weights, at: this.#at.subarray(0, count) };
  }
}
