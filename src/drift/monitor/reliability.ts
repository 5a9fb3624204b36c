/**
 * Estimated accuracy where labels do not come: confidence-based performance estimation. The probability that a verdict is right is
 * what the model gave to its label, corrected by how often verdicts of such confidence proved right before (a
 * histogram calibration, Zadrozny & Elkan 2001, shrunk to the confidence where few labels came). Holds as long as the relation
 * of confidence and truth holds: it sees drift of the inputs, not of the concept. Memory is constant.
 */
import { z } from 'zod';
import { pack, packed, unpack } from './packed.ts';

const BINS = 40;
/** So many labels weigh as much as the model's own word. */
const PRIOR = 20;
/** Labels remembered in one bin, about. */
const MEMORY = 2_000;

export const reliabilityState = z.strictObject({
  labelled: packed,
  correct: packed,
  count: packed,
  sum: packed,
});

const binOf = (confidence: number): number => Math.min(BINS - 1, Math.max(0, Math.floor(confidence * BINS)));

export class Reliability {
  /** Labels that came, and those that agreed, by confidence. */
  readonly #labelled = new Float64Array(BINS);
  readonly #correct = new Float64Array(BINS);
  /** Verdicts of the open window, and the sum of their confidences. */
  readonly #count = new Float64Array(BINS);
  readonly #sum = new Float64Array(BINS);

  /** A verdict was given with this confidence, 0..1. */
  scored(confidence: number): void {
    const bin = binOf(confidence);
    this.#count[bin] += 1;
    this.#sum[bin] += confidence;
  }

  /** A verdict of this confidence got its label. */
  labelled(confidence: number, correct: boolean): void {
    const bin = binOf(confidence);
    if (this.#labelled[bin] >= MEMORY) {
      this.#labelled[bin] /= 2;
      this.#correct[bin] /= 2;
    }
    this.#labelled[bin] += 1;
    if (correct) this.#correct[bin] += 1;
  }

  /** Estimated accuracy of the window's verdicts, null where there were none; a new window begins. */
  close(): number | null {
    let verdicts = 0;
    let right = 0;
    for (let bin = 0; bin < BINS; bin++) {
      const n = this.#count[bin];
      if (n === 0) continue;
      const confidence = this.#sum[bin] / n;
      verdicts += n;
      right += (n * (this.#correct[bin] + PRIOR * confidence)) / (this.#labelled[bin] + PRIOR);
    }
    this.#count.fill(0);
    this.#sum.fill(0);
    return verdicts > 0 ? right / verdicts : null;
  }

  /** Another model: what was learned of the old one's confidence says nothing. */
  clear(): void {
    for (const numbers of [this.#labelled, this.#correct, this.#count, this.#sum]) numbers.fill(0);
  }

  save(): z.output<typeof reliabilityState> {
    return {
      labelled: pack(this.#labelled),
      correct: pack(this.#correct),
      count: pack(this.#count),
      sum: pack(this.#sum),
    };
  }

  restore(state: z.output<typeof reliabilityState>): void {
    unpack(state.labelled, this.#labelled);
    unpack(state.correct, this.#correct);
    unpack(state.count, this.#count);
    unpack(state.sum, this.#sum);
  }
}
