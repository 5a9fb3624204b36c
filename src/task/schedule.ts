/**
 * One native call of a protocol: which rows are scored and learned, in which order, and the rows that wait for their
 * labels. The order is that in which `score` and `learn` were called; nothing is reordered.
 */
import type { Model, Rows } from '../contract.ts';
import { concat, type RowArena } from '../features/rows.ts';
import { OWN_LABEL } from '../model/kinds.ts';

/** Events in order, with what the protocol needs to know of them. */
export interface Chunk {
  readonly arena: RowArena;
  readonly first: number;
  readonly ids: string[];
  readonly truths: number[];
  /** The stream's clock at each event: the latest time seen so far. */
  readonly clocks: number[];
}

/** A label on its way. */
export interface Pending {
  readonly index: number;
  readonly clock: number;
  readonly label: number;
  /** The label that the event's verdict was very sure of, -1 for none. */
  sure: number;
  /** Which row of `kept`, or of the current chunk where that is null. */
  row: number;
  /** A copy of rows of one earlier chunk; those that wait together share it. */
  kept: Rows | null;
}

/** Rows [from, to) over the same arrays. */
function span(rows: Rows, from: number, to: number): Rows {
  const { indices, values, denseDims } = rows;
  const dense = rows.dense.subarray(from * denseDims, to * denseDims);
  return { count: to - from, indptr: rows.indptr.subarray(from, to + 1), indices, values, denseDims, dense };
}

/** Neighbouring rows of one block become one part. */
function spans(places: readonly { readonly rows: Rows; readonly row: number }[]): Rows[] {
  const parts: Rows[] = [];
  for (let i = 0; i < places.length; ) {
    const { rows, row } = places[i];
    let n = 1;
    while (places[i + n]?.rows === rows && places[i + n].row === row + n) n += 1;
    parts.push(span(rows, row, row + n));
    i += n;
  }
  return parts;
}

/** Copies the rows of those that still wait out of a chunk whose arena is about to be used again. */
export function keepRows(waiting: readonly Pending[], chunk: Chunk): void {
  if (waiting.length === 0) return;
  const rows = chunk.arena.view();
  const kept = concat(spans(waiting.map(({ row }) => ({ rows, row }))));
  waiting.forEach((pending, row) => {
    pending.kept = kept;
    pending.row = row;
  });
}

/** First in, first out, without moving what waits. */
export class Queue<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get first(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes out the first; call it where there is one. */
  take(): T {
    const item = this.#items[this.#head]!;
    this.#items[this.#head++] = undefined;
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}

/** The schedule of one call: rows kept from earlier chunks first, then those of the chunk. */
export class Order {
  readonly #chunk: Chunk;
  readonly #kept: Pending[] = [];
  /** `row` counts kept rows, or rows of the chunk: these lie behind the kept ones, however many come. */
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

  /** Has the model learn a row of the chunk as what it says of it itself. */
  learnOwn(row: number): void {
    this.#labels.set(row, OWN_LABEL);
    this.#steps.push({ row, kept: false, learn: true });
  }

  /** Where the chunk's row lies in what `run` returns. */
  place(row: number): number {
    return this.#kept.length + row;
  }

  /** Probabilities, one line of `classes` per row, kept rows included. */
  async run(model: Model): Promise<Float32Array> {
    const own = this.#chunk.arena.view();
    const places = this.#kept.map(({ kept, row }) => ({ rows: kept!, row }));
    const whole = () => concat([...spans(places), span(own, 0, own.count)]);
    const rows = places.length === 0 ? own : whole();
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
