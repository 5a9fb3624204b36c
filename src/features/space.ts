/**
 * One namespace of a sparse row while it is being filled: the distinct buckets, in order of appearance. Promises:
 * each bucket once; `flush` gives each the value ±weight/sqrt(n), so that a namespace weighs the same whether
 * a mail has ten or ten thousand of its features; nothing is allocated once grown. Refuses nothing; what comes after
 * `limit` distinct buckets is left out, which bounds a row.
 */
import type { RowWriter } from '../contract.ts';

/*
 * The sign comes from the hash (Weinberger et al. 2009): what collides then cancels on average instead of adding
 * up. On real mail in 2^20 buckets it halved the ranking error, which equal signs only reached with 2^22.
 */

/** A name for `describe`; many names may share a bucket. */
export type Names = Map<number, string>;

/** This bit of a hash, which no bucket number reaches, is the feature's sign. */
const SIGN = 0x80000000;

/** Power of two. */
const FIRST_SLOTS = 4_096;

export class Space {
  readonly #mask: number;
  readonly #within: number;
  readonly #base: number;
  readonly #limit: number;
  /** Bucket and sign. */
  readonly #buckets: Uint32Array;
  // Open addressing, at most half full: bucket and the epoch in which it was put there. Of the table only as much
  // is used as the mail at hand needs, so that an ordinary one stays in the processor's cache.
  readonly #slots: Uint32Array;
  #slotMask = FIRST_SLOTS - 1;
  #epoch = 1;
  #count = 0;
  /** Set by `describe` only. */
  names: Names | null = null;

  /**
   * `dims` is a power of two; at most `limit` distinct buckets are kept. All lie in region `view` of `views` equal
   * ones (a power of two): a bucket's top bits name its view, which models with a learner per view go by.
   */
  constructor(dims: number, limit: number, view = 0, views = 1) {
    let size = FIRST_SLOTS;
    while (size < limit * 2) size *= 2;
    this.#mask = dims - 1;
    this.#within = dims / views - 1;
    this.#base = (dims / views) * view;
    this.#limit = limit;
    this.#buckets = new Uint32Array(limit);
    this.#slots = new Uint32Array(size * 2);
  }

  get count(): number {
    return this.#count;
  }

  add(hash: number): void {
    const bucket = (hash & this.#within) | this.#base;
    const slots = this.#slots;
    for (let slot = bucket; ; slot += 1) {
      const at = (slot & this.#slotMask) * 2;
      if (slots[at + 1] !== this.#epoch) {
        if (this.#count === this.#limit) return;
        slots[at] = bucket;
        slots[at + 1] = this.#epoch;
        this.#buckets[this.#count] = bucket | (hash & SIGN);
        this.#count += 1;
        if (this.#count * 2 > this.#slotMask) this.#widen();
        return;
      }
      if (slots[at] === bucket) return;
    }
  }

  /** Remembers what a bucket stands for; only while `names` is set. */
  note(hash: number, name: string): void {
    if (this.names === null) return;
    const bucket = (hash & this.#within) | this.#base;
    const known = this.names.get(bucket);
    if (known === undefined) this.names.set(bucket, name);
    else if (known !== name && known.length < 200 && !known.split(' | ').includes(name))
      this.names.set(bucket, `${known} | ${name}`);
  }

  /** Writes the buckets into the row and empties the space. */
  flush(row: RowWriter, weight: number): void {
    const value = Math.fround(weight / Math.sqrt(this.#count));
    for (let i = 0; i < this.#count; i += 1) {
      const bucket = this.#buckets[i];
      row.sparse(bucket & this.#mask, bucket >= SIGN ? -value : value);
    }
    this.clear();
  }

  /** The cells as `flush` would write them. */
  cells(weight: number): readonly (readonly [index: number, value: number])[] {
    const value = Math.fround(weight / Math.sqrt(this.#count));
    return Array.from(this.#buckets.subarray(0, this.#count), (bucket) => [
      bucket & this.#mask,
      bucket >= SIGN ? -value : value,
    ]);
  }

  clear(): void {
    this.#count = 0;
    this.#slotMask = FIRST_SLOTS - 1;
    this.#nextEpoch();
  }

  /** Empties the table by calling all that is in it old. */
  #nextEpoch(): void {
    this.#epoch = (this.#epoch + 1) >>> 0;
    if (this.#epoch !== 0) return;
    this.#slots.fill(0);
    this.#epoch = 1;
  }

  /** Doubles the part of the table in use; the table itself has room for `limit` buckets. */
  #widen(): void {
    if ((this.#slotMask + 1) * 2 > this.#slots.length / 2) return;
    this.#slotMask = this.#slotMask * 2 + 1;
    this.#nextEpoch();
    for (let i = 0; i < this.#count; i += 1) {
      const bucket = this.#buckets[i] & this.#mask;
      let slot = bucket & this.#slotMask;
      while (this.#slots[slot * 2 + 1] === this.#epoch) slot = (slot + 1) & this.#slotMask;
      this.#slots[slot * 2] = bucket;
      this.#slots[slot * 2 + 1] = this.#epoch;
    }
  }
}
