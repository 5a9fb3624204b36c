/**
 * The cells of one sparse row while it is being filled, namespace by namespace: the distinct buckets of each, in order of
 * appearance. Promises: in a namespace each bucket once; `flush` gives each the value ±weight/sqrt(n), so that a namespace
 * weighs the same whether a mail has ten or ten thousand of its features; nothing is allocated once grown. Refuses nothing; what
 * comes after a namespace's `limit` distinct buckets is left out, which bounds a row.
 *
 * One table serves all namespaces: it also tells where two of them met in a bucket, so that a row is written as a whole.
 */
import { randomInt } from 'node:crypto';
import type { RowWriter } from '../contract.ts';
import type { Pieces } from './pieces.ts';

/*
 * The sign comes from the hash (Weinberger et al. 2009): what collides then cancels on average instead of adding
 * up. On real mail in 2^20 buckets it halved the ranking error, which equal signs only reached with 2^22.
 */

/** This bit of a hash, which no bucket number reaches, is the feature's sign. */
const SIGN = 0x80000000 | 0;
/** A key of the table is a bucket below the number of its namespace, from 1: zero is free. */
const BUCKET_BITS = 26;
const BUCKET = 2 ** BUCKET_BITS - 1;

/** Logarithms of the table's size to begin with. A small one stays in the processor's nearest cache. */
const LEAST_BITS = 12;
const MOST_BITS = 16;
/** More cells that two namespaces share are left to the row to merge. */
const MAX_SHARED = 16;

/**
 * Multiplicative hashing (Dietzfelbinger et al. 1997) of a bucket to its place in the table. Drawn anew by every process, so
 * that nobody can make up words that all fall on one place; no row depends on it.
 */
const SPREAD = randomInt(2 ** 31) | 1;

/** What is fixed of a namespace: its region of `views` equal ones of the buckets, and how many distinct ones it may have. */
export interface Namespace {
  readonly view: number;
  readonly limit: number;
}

export class Cells {
  readonly #mask: number;
  readonly #within: number;
  readonly #bases: readonly number[];
  /** Bucket and sign, by namespace. */
  readonly #lists: readonly Int32Array[];
  readonly #counts: number[];
  // Open addressing, at most half full. Of what has grown only as much is used as the mail at hand needs.
  #keys = new Int32Array(1 << LEAST_BITS);
  #bits = LEAST_BITS;
  #used = 0;
  /** Buckets that a namespace found taken by another. */
  readonly #shared: number[] = [];
  #indices = new Uint32Array(4_096);
  #values = new Float32Array(4_096);
  /** The same memory: a sign is a bit, and half of all guesses at a branch on it would be wrong. */
  #bitsOfValues = new Int32Array(this.#values.buffer);

  /** `dims` is a power of two, at most 2^26, `views` one too: a bucket's top bits name its view. At most 30 namespaces. */
  constructor(dims: number, views: number, namespaces: readonly Namespace[]) {
    this.#mask = dims - 1;
    this.#within = dims / views - 1;
    this.#bases = namespaces.map(({ view }) => (dims / views) * (view % views));
    this.#lists = namespaces.map(({ limit }) => new Int32Array(limit));
    this.#counts = namespaces.map(() => 0);
  }

  /** Distinct buckets of a namespace. */
  count(space: number): number {
    return this.#counts[space];
  }

  /** The bucket that a hash has in a namespace. */
  bucketOf(space: number, hash: number): number {
    return (hash & this.#within) | this.#bases[space];
  }

  /** Makes room for about `slots` / 2 cells, before the first: a table that grows is filled twice. */
  expect(slots: number): void {
    this.#bits = Math.min(MOST_BITS, Math.max(LEAST_BITS, 32 - Math.clz32(slots)));
    if (1 << this.#bits > this.#keys.length) this.#keys = new Int32Array(1 << this.#bits);
  }

  /** Adds features to a namespace, by their hashes. */
  add(space: number, { hashes, count }: Pieces): void {
    const within = this.#within;
    const base = this.#bases[space];
    const tag = (space + 1) << BUCKET_BITS;
    const list = this.#lists[space];
    let keys = this.#keys;
    let shift = 32 - this.#bits;
    let last = (1 << this.#bits) - 1;
    let used = this.#used;
    let known = this.#counts[space];
    for (let i = 0; i < count && known < list.length; i += 1) {
      const hash = hashes[i];
      const bucket = (hash & within) | base;
      const key = bucket | tag;
      let slot = Math.imul(bucket, SPREAD) >>> shift;
      let found = keys[slot];
      let isShared = false;
      while (found !== 0 && found !== key) {
        if (((found ^ key) & BUCKET) === 0) isShared = true;
        slot = (slot + 1) & last;
        found = keys[slot];
      }
      if (found === key) continue;
      keys[slot] = key;
      list[known++] = bucket | (hash & SIGN);
      used += 1;
      if (isShared) this.#shared.push(bucket);
      if (used * 2 > last) {
        this.#widen();
        keys = this.#keys;
        shift = 32 - this.#bits;
        last = (1 << this.#bits) - 1;
      }
    }
    this.#used = used;
    this.#counts[space] = known;
  }

  /** Writes the row, namespace after namespace, and empties them. */
  flush(row: RowWriter, weights: readonly number[]): void {
    if (this.#used > this.#indices.length) {
      this.#indices = new Uint32Array(this.#used * 2);
      this.#values = new Float32Array(this.#used * 2);
      this.#bitsOfValues = new Int32Array(this.#values.buffer);
    }
    const indices = this.#indices;
    const values = this.#values;
    const bits = this.#bitsOfValues;
    const mask = this.#mask;
    let at = 0;
    for (let space = 0; space < this.#lists.length; space += 1) {
      const list = this.#lists[space];
      const count = this.#counts[space];
      if (count === 0) continue;
      values[at] = weights[space] / Math.sqrt(count);
      const value = bits[at];
      for (let i = 0; i < count; i += 1) {
        const cell = list[i];
        indices[at] = cell & mask;
        bits[at++] = value ^ (cell & SIGN);
      }
    }
    if (this.#shared.length <= MAX_SHARED) row.block(indices, values, this.#merge(at));
    else for (let i = 0; i < at; i += 1) row.sparse(indices[i], values[i]);
    this.clear();
  }

  /** Adds up the cells of shared buckets where the first of them stands; returns how many cells remain of `count`. */
  #merge(count: number): number {
    const indices = this.#indices;
    const values = this.#values;
    let end = count;
    for (const bucket of this.#shared) {
      const first = indices.indexOf(bucket);
      const again = indices.indexOf(bucket, first + 1);
      if (again < 0 || again >= end) continue;
      values[first] += values[again];
      indices.copyWithin(again, again + 1, end);
      values.copyWithin(again, again + 1, end);
      end -= 1;
    }
    return end;
  }

  /** The cells of one namespace as `flush` would write them, those that it shares with others unmerged. */
  cells(space: number, weight: number): (readonly [index: number, value: number])[] {
    const count = this.#counts[space];
    const value = Math.fround(weight / Math.sqrt(count));
    return Array.from(this.#lists[space].subarray(0, count), (cell) => [
      cell & this.#mask,
      cell < 0 ? -value : value,
    ]);
  }

  clear(): void {
    if (this.#used > 0) this.#keys.fill(0, 0, 1 << this.#bits);
    this.#bits = LEAST_BITS;
    this.#used = 0;
    this.#shared.length = 0;
    for (let space = 0; space < this.#counts.length; space += 1) this.#counts[space] = 0;
  }

  /** Doubles the part of the table in use. */
  #widen(): void {
    const old = this.#keys.slice(0, 1 << this.#bits);
    this.#bits += 1;
    const size = 1 << this.#bits;
    if (size > this.#keys.length) this.#keys = new Int32Array(size);
    else this.#keys.fill(0, 0, size);
    const keys = this.#keys;
    const shift = 32 - this.#bits;
    for (const key of old) {
      if (key === 0) continue;
      let slot = Math.imul(key & BUCKET, SPREAD) >>> shift;
      while (keys[slot] !== 0) slot = (slot + 1) & (size - 1);
      keys[slot] = key;
    }
  }
}
