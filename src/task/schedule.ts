/**
 * One native call of a protocol: which rows are scored and learned, in which order, and the rows that wait for their
 * labels. The order is that in which `score` and `learn` were called; nothing is reordered.
 */
import type { Model, Rows } from '../contract.ts';
import { concat, type RowArena } from '../features/rows.ts';

/** Events in order, with what the protocol needs to know of them. */
export interface Chunk {
  readonly arena: RowArena;
  readonly first: number;
  readonly ids: string[];
  readonly truths: number[];
  /** The stream's clock at each event: the latest time seen so far. */
  readonly clocks: number[];
}

/** A label on its way. The row lies in the current chunk (`row`), or in a copy (`kept`). */
export interface Pending {
  readonly index: number;
  readonly clock: number;
  readonly label: number;
  row: number;
  kept: Rows | null;
}

/** First in, first out, without moving what waits. */
export class Queue<T> {
  #items: T[] = [];
  #head = 0;

  get first(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes out the first; call it where there is one. */
  take(): T {
    const item = this.#items[this.#head++];
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  *[Symbol.iterator](): Generator<T> {
    for (let i = this.#head; i < this.#items.length; i++) yield this.#items[i];
  }
}

/** The schedule of one call: rows kept from earlier chunks first, then those of the chunk. */
export class Order {
  readonly #chunk: Chunk;
  readonly #kept: Pending[] = [];
  /** Learning of a kept row k is -1 - k; of the chunk's row r it is noted as r in `learned` and shifted at the end. */
  readonly #steps: { readonly row: number; readonly kept: boolean; readonly learn: boolean }[] = [];
  readonly #labels = new Map<number, number>();

  constructor(chunk: Chunk) {
    this.#chunk = chunk;
  }

  score(row: number): void {
    this.#steps.push({ row, kept: false, learn: false });
  }

  learn(pending: Pending): void {
    if (pending.kept) this.#steps.push({ row: this.#kept.push(pending) - 1, kept: true, learn: true });
    else {
      this.#labels.set(pending.row, pending.label);
      this.#steps.push({ row: pending.row, kept: false, learn: true });
    }
  }

  /** Where the chunk's row lies in what `run` returns. */
  place(row: number): number {
    return this.#kept.length + row;
  }

  /** Probabilities, one line of `classes` per row, kept rows included. */
  async run(model: Model): Promise<Float32Array> {
    const own = this.#chunk.arena.view();
    const rows = this.#kept.length === 0 ? own : concat([...this.#kept.map((pending) => pending.kept!), own]);
    const labels = new Int32Array(rows.count).fill(-1);
    this.#kept.forEach((pending, i) => {
      labels[i] = pending.label;
    });
    for (const [row, label] of this.#labels) labels[this.place(row)] = label;
    const schedule = Int32Array.from(this.#steps, ({ row, kept, learn }) => {
      const at = kept ? row : this.place(row);
      return learn ? ~at : at;
    });
    return model.step(rows, labels, undefined, schedule);
  }
}
