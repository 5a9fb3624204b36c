/**
 * A distribution over a few cells, block by block, as one number: the Hellinger distance of a block from what is usual, 0..1.
 * Its spread by chance alone is about 1 / sqrt(8 n) a degree of freedom, whatever the shares are, so that rare cells do
 * not shake it as they shake a PSI. What is usual is the sum of the first blocks, then follows slowly.
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

  /** Ends a block: its distance with the standard error of chance; null while the usual shares are learned. */
  close(follows: boolean): { readonly distance: number; readonly error: number } | null {
    const n = this.#now.reduce((a, b) => a + b, 0);
    if (n === 0) return null;
    let same = 0;
    for (let c = 0; c < this.#now.length; c++) same += Math.sqrt(this.#usual[c] * (this.#now[c] / n));
    const ready = this.#blocks >= LEARN;
    const distance = Math.sqrt(Math.max(0, 1 - same));
    if (!ready || follows) {
      const gain = 1 / Math.min(this.#blocks + 1, MEMORY);
      for (let c = 0; c < this.#now.length; c++) this.#usual[c] += gain * (this.#now[c] / n - this.#usual[c]);
      this.#blocks += 1;
    }
    this.#now.fill(0);
    return ready ? { distance, error: 1 / Math.sqrt(8 * n) } : null;
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
