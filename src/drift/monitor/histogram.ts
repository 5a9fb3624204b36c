/**
 * A distribution over a few cells, block by block, as one number: the root of the Hellinger distance of a block from what is
 * usual, 0..1. The distance's spread by chance alone is about 1 / sqrt(8 n) a degree of freedom, whatever the shares
 * are, so that rare cells do not shake it as they shake a PSI. Its square goes like a chi-square: a distance alone is
 * skewed, and a test for normal values cries at its long tail; the fourth root of a chi-square of few degrees of freedom
 * is about normal (Hawkins & Wixley 1986). What is usual is the sum of the first blocks, then follows slowly.
 */
import { z } from 'zod';
import { count } from '../kind.ts';
import { pack, packed, unpack } from './packed.ts';

/** Blocks that are summed before a distance means something. */
const LEARN = 15;
const MEMORY = 240;

export const histogramState = z.strictObject({ usual: packed, now: packed, blocks: count });

export class Histogram {
  readonly #usual: Float64Array;
  readonly #now: Float64Array;
  #blocks = 0;

  constructor(cells: number) {
    this.#usual = new Float64Array(cells);
    this.#now = new Float64Array(cells);
  }

  add(cell: number, weight = 1): void {
    this.#now[cell] += weight;
  }

  /** Ends a block: the root of its distance, with the error of chance; null while the usual shares are learned. */
  close(follows: boolean): { readonly value: number; readonly error: number } | null {
    const n = this.#now.reduce((a, b) => a + b, 0);
    if (n === 0) return null;
    let same = 0;
    for (let c = 0; c < this.#now.length; c++) same += Math.sqrt(this.#usual[c] * (this.#now[c] / n));
    const ready = this.#blocks >= LEARN;
    // The fourth root of a square.
    const value = Math.max(0, 1 - same) ** 0.25;
    if (!ready || follows) {
      const gain = 1 / Math.min(this.#blocks + 1, MEMORY);
      for (let c = 0; c < this.#now.length; c++) this.#usual[c] += gain * (this.#now[c] / n - this.#usual[c]);
      this.#blocks += 1;
    }
    this.#now.fill(0);
    // Of the root of a distance that is as large as its error.
    return ready ? { value, error: 0.5 * (8 * n) ** -0.25 } : null;
  }

  /** Learns what is usual anew. */
  relearn(): void {
    this.#usual.fill(0);
    this.#blocks = 0;
  }

  save(): z.output<typeof histogramState> {
    return { usual: pack(this.#usual), now: pack(this.#now), blocks: this.#blocks };
  }

  restore(state: z.output<typeof histogramState>): void {
    unpack(state.usual, this.#usual);
    unpack(state.now, this.#now);
    this.#blocks = state.blocks;
  }
}
