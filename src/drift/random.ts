/**
 * Seeded random numbers whose state is one number, so that a detector that draws can be saved and go on the same way.
 * mulberry32 (T. Ettinger, public domain): period 2^32, plenty for drawing samples of a window.
 */
export class SavedRandom {
  /** 32 bits, unsigned. */
  state: number;

  constructor(seed: number) {
    this.state = (seed ^ Math.floor(seed / 2 ** 32)) >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }
}
