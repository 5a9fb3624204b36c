/**
 * The newest numbers of a stream, and exactly which are the largest of them, or of the newest n among them (`focus`): what an upper
 * quantile near its end needs. Each number has a rising name (the place in the journal of its label) by which it can be taken back, and
 * belongs to the running model or to one before it. A number older than the window, or named like one that is
 * there, changes nothing: what is told twice counts once.
 *
 * Only the largest few hundred are kept in order. A number below them costs one comparison; where removals have eaten
 * them up they are selected again from the whole window (Hoare 1961), which the slack spreads over 1,000 removals.
 */
import { seededRandom } from '../random.ts';

const FIRST_ROOM = 1_024;
const SLACK = 1_024;

export interface TailEntry {
  readonly seq: number;
  readonly value: number;
  /** Of the running model. */
  readonly own: boolean;
}

export class Tail {
  readonly #window: number;
  readonly #depth: number;
  // A ring: names rise; NaN is a number that was taken back.
  #seqs = new Float64Array(FIRST_ROOM);
  #values = new Float64Array(FIRST_ROOM);
  #own = new Uint8Array(FIRST_ROOM);
  #start = 0;
  #length = 0;
  #size = 0;
  /** So many of the oldest places are out of focus, and so many numbers are in it. */
  #skipped = 0;
  #focused = 0;
  #ownSize = 0;
  /** NaN: not known, for it was taken away. */
  #ownLargest = Number.NEGATIVE_INFINITY;
  /** Ascending; always the largest `#held` numbers in focus. */
  readonly #top: Float64Array;
  #held = 0;
  readonly #random = seededRandom(1, 'pivot');

  /** `window`: numbers kept at most; `depth`: of so many of the largest the order is asked for. */
  constructor(window: number, depth: number) {
    this.#window = window;
    this.#depth = Math.min(depth, window);
    this.#top = new Float64Array(Math.min(window, this.#depth + (this.#depth >> 2) + SLACK) + 1);
  }

  /** Numbers in the window, without what was taken back. */
  get size(): number {
    return this.#size;
  }

  /** Those of the running model. */
  get ownSize(): number {
    return this.#ownSize;
  }

  /** -Infinity where there is none. Looks through the window after the largest was taken back. */
  get ownLargest(): number {
    if (Number.isNaN(this.#ownLargest)) this.#ownLargest = this.#largestOwn();
    return this.#ownLargest;
  }

  /** False where it was there already. `value` is no NaN. */
  add(seq: number, value: number, own: boolean): boolean {
    if (this.#length > 0 && seq <= this.#seqs[this.#place(this.#length - 1)]) return false;
    if (this.#length === this.#window) this.#expire();
    if (this.#length === this.#seqs.length) this.#grow();
    const at = this.#place(this.#length);
    this.#seqs[at] = seq;
    this.#values[at] = value;
    this.#own[at] = own ? 1 : 0;
    this.#length += 1;
    this.#size += 1;
    if (own) {
      this.#ownSize += 1;
      // NaN stays.
      this.#ownLargest = Math.max(this.#ownLargest, value);
    }
    this.#admit(value);
    return true;
  }

  /** Takes a number back; false where it is not in the window (any more). */
  remove(seq: number): boolean {
    const i = this.#find(seq);
    if (i < 0) return false;
    const at = this.#place(i);
    if (Number.isNaN(this.#values[at])) return false;
    this.#forget(at, i >= this.#skipped);
    return true;
  }

  /** From now on `largest` is asked of the newest `n` alone. What is added meanwhile is in focus until it is called again. */
  focus(n: number): void {
    while (this.#focused > n) {
      const value = this.#values[this.#place(this.#skipped++)];
      if (!Number.isNaN(value)) this.#dismiss(value);
    }
    while (this.#focused < n && this.#skipped > 0) {
      const value = this.#values[this.#place(--this.#skipped)];
      if (!Number.isNaN(value)) this.#admit(value);
    }
  }

  /** The `rank`-th largest in focus, from 1 to `depth`; -Infinity where there are fewer. */
  largest(rank: number): number {
    return rank <= this.#held ? this.#top[this.#held - rank] : Number.NEGATIVE_INFINITY;
  }

  /** Another model runs: what is here belongs to one before it. */
  disown(): void {
    this.#own.fill(0);
    this.#ownSize = 0;
    this.#ownLargest = Number.NEGATIVE_INFINITY;
  }

  /** Forgets what does not belong to the running model. */
  dropOthers(): void {
    const kept = this.entries().filter(({ own }) => own);
    this.#start = this.#length = this.#size = this.#held = 0;
    this.#skipped = this.#focused = 0;
    this.disown();
    for (const { seq, value } of kept) this.add(seq, value, true);
  }

  /** In order of their names. */
  entries(): TailEntry[] {
    const all: TailEntry[] = [];
    for (let i = 0; i < this.#length; i++) {
      const at = this.#place(i);
      const value = this.#values[at];
      if (!Number.isNaN(value)) all.push({ seq: this.#seqs[at], value, own: this.#own[at] === 1 });
    }
    return all;
  }

  #place(i: number): number {
    const at = this.#start + i;
    return at < this.#seqs.length ? at : at - this.#seqs.length;
  }

  /** Index in the order of names, -1 where it is not there. */
  #find(seq: number): number {
    let [low, high] = [0, this.#length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#seqs[this.#place(middle)] < seq) low = middle + 1;
      else high = middle;
    }
    return low < this.#length && this.#seqs[this.#place(low)] === seq ? low : -1;
  }

  #grow(): void {
    const room = Math.min(this.#window, this.#seqs.length * 2);
    const order = Array.from({ length: this.#length }, (_, i) => this.#place(i));
    const [seqs, values, own] = [new Float64Array(room), new Float64Array(room), new Uint8Array(room)];
    order.forEach((at, i) => {
      seqs[i] = this.#seqs[at];
      values[i] = this.#values[at];
      own[i] = this.#own[at];
    });
    [this.#seqs, this.#values, this.#own, this.#start] = [seqs, values, own, 0];
  }

  #expire(): void {
    const at = this.#start;
    this.#start = this.#place(1);
    this.#length -= 1;
    const focused = this.#skipped === 0;
    if (!focused) this.#skipped -= 1;
    if (!Number.isNaN(this.#values[at])) this.#forget(at, focused);
  }

  #forget(at: number, focused: boolean): void {
    const value = this.#values[at];
    this.#values[at] = Number.NaN;
    this.#size -= 1;
    if (this.#own[at] === 1) {
      this.#ownSize -= 1;
      if (value === this.#ownLargest) this.#ownLargest = Number.NaN;
    }
    if (focused) this.#dismiss(value);
  }

  #admit(value: number): void {
    const whole = this.#held === this.#focused;
    this.#focused += 1;
    if (!whole && value <= this.#top[0]) return;
    const at = this.#rank(value);
    this.#top.copyWithin(at + 1, at, this.#held);
    this.#top[at] = value;
    this.#held += 1;
    if (this.#held === this.#top.length) this.#top.copyWithin(0, 1, this.#held--);
  }

  /** It is out of focus, or gone, already. */
  #dismiss(value: number): void {
    this.#focused -= 1;
    // Where it equals the least of the top, any of the equal ones may go: the numbers are the same.
    if (this.#held === 0 || value < this.#top[0]) return;
    const place = this.#rank(value);
    this.#top.copyWithin(place, place + 1, this.#held);
    this.#held -= 1;
    if (this.#held < this.#depth && this.#held < this.#focused) this.#select();
  }

  /** Index of the first in the top that is not below `value`. */
  #rank(value: number): number {
    let [low, high] = [0, this.#held];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#top[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #largestOwn(): number {
    let largest = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < this.#length; i++) {
      const at = this.#place(i);
      if (this.#own[at] === 1 && this.#values[at] > largest) largest = this.#values[at];
    }
    return largest;
  }

  #select(): void {
    const live = new Float64Array(this.#focused);
    let n = 0;
    for (let i = this.#skipped; i < this.#length; i++) {
      const value = this.#values[this.#place(i)];
      if (!Number.isNaN(value)) live[n++] = value;
    }
    const wanted = Math.min(n, this.#top.length - 1);
    partition(live, n - wanted, this.#random);
    this.#top.set(live.subarray(n - wanted).sort());
    this.#held = wanted;
  }
}

/** Moves numbers so that none before `cut` is larger than any from there on; pivots at random, so that no order is slow. */
function partition(values: Float64Array, cut: number, random: () => number): void {
  let [low, high] = [0, values.length - 1];
  while (low < high && cut > low) {
    const pivot = values[low + Math.floor(random() * (high - low + 1))];
    let [i, j] = [low, high];
    while (i <= j) {
      while (values[i] < pivot) i += 1;
      while (values[j] > pivot) j -= 1;
      if (i > j) break;
      const held = values[i];
      values[i++] = values[j];
      values[j--] = held;
    }
    if (cut <= j) high = j;
    else if (cut >= i) low = i;
    else return;
  }
}
