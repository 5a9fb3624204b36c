/** A batch on its way through a lane: rows, the events that they are of, and the messages that brought these. */
import type { Event, Rows } from '../contract.ts';
import type { Slot } from './settle.ts';

export interface Batch {
  readonly rows: () => Rows;
  /** The rows are not read any more. */
  readonly release: () => void;
  readonly events: Event[];
  /** events[i] came with owners[i]. */
  readonly owners: Slot[];
  /** Each message once. */
  readonly slots: Slot[];
}

/** The first index of the largest of `count` values from `offset` on, counted from there. */
export function argmax(values: Float32Array, offset: number, count: number): number {
  let best = 0;
  for (let c = 1; c < count; c++) if (values[offset + c] > values[offset + best]) best = c;
  return best;
}
