/**
 * The smallest learner that can tell whether a simulated stream can be learned: logistic regression by
 * plain stochastic gradient descent over sparse features. Kept apart from the product's models, so that
 * a test of the simulator says something about the simulator only.
 */
export type Sparse = readonly (readonly [index: number, value: number])[];

export class TinyLogistic {
  readonly #weights: Float64Array;
  readonly #rate: number;

  constructor(dims: number, rate: number) {
    this.#weights = new Float64Array(dims + 1);
    this.#rate = rate;
  }

  /** Probability of the class 1. */
  score(row: Sparse): number {
    let sum = this.#weights[this.#weights.length - 1];
    for (const [index, value] of row) sum += this.#weights[index] * value;
    return 1 / (1 + Math.exp(-sum));
  }

  learn(row: Sparse, label: number): void {
    const step = this.#rate * (label - this.score(row));
    for (const [index, value] of row) this.#weights[index] += step * value;
    this.#weights[this.#weights.length - 1] += step;
  }
}
