/**
 * How often each label came with each category, smoothed towards how often it came at all (Micci-Barreca 2001): a number
 * for each label but the first. Promises: a row is encoded by the rows learned before it, never by its own label; at most
 * MOST categories are kept, those after them are one.
 */

const MOST = 4_096;
/** Rows that the frequencies of all categories together count for. */
const SMOOTHING = 10;
/** What categories beyond MOST are called: no code is negative. */
const OTHERS = -1;

export class Targets {
  readonly #classes: number;
  readonly #all: Float64Array;
  readonly #counts = new Map<number, Float64Array>();

  constructor(classes: number) {
    this.#classes = classes;
    this.#all = new Float64Array(classes);
  }

  get bytes(): number {
    return this.#counts.size * (this.#classes * 8 + 64);
  }

  add(code: number, label: number, weight: number): void {
    if (!(code >= 0)) return;
    this.#all[label] += weight;
    const known = this.#counts.has(code) || this.#counts.size < MOST ? code : OTHERS;
    let counts = this.#counts.get(known);
    if (!counts) {
      counts = new Float64Array(this.#classes);
      this.#counts.set(known, counts);
    }
    counts[label] += weight;
  }

  /** Share of a label with this category; a missing one is as all are. */
  share(code: number, label: number): number {
    const prior = (this.#all[label] + 1) / (sum(this.#all) + this.#classes);
    const counts = this.#counts.get(code) ?? (code >= 0 ? this.#counts.get(OTHERS) : undefined);
    return counts ? (counts[label] + SMOOTHING * prior) / (sum(counts) + SMOOTHING) : prior;
  }

  /** A code and its counts, one after the other; first those of all. */
  save(): Float64Array {
    const width = this.#classes + 1;
    const out = new Float64Array(width * (this.#counts.size + 1));
    out.set(this.#all, 1);
    let at = width;
    for (const [code, counts] of this.#counts) {
      out[at] = code;
      out.set(counts, at + 1);
      at += width;
    }
    return out;
  }

  /** False, changing nothing, where these cannot be such counts. */
  restore(saved: Float64Array): boolean {
    const width = this.#classes + 1;
    const rows = saved.length / width;
    // Those beyond MOST are one more.
    if (!Number.isInteger(rows) || rows < 1 || rows > MOST + 2) return false;
    this.#all.set(saved.subarray(1, width));
    for (let at = width; at < saved.length; at += width)
      this.#counts.set(saved[at], saved.slice(at + 1, at + width));
    return true;
  }
}

function sum(numbers: Float64Array): number {
  let total = 0;
  for (let i = 0; i < numbers.length; i += 1) total += numbers[i];
  return total;
}
