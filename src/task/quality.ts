/**
 * Quality of verdicts against the labels that came: the counts that the gateway's windows and `evaluate` share. Constant
 * memory. Labels are indices into the task's `labels`; where a measure has no value (a ratio of nothing) it
 * is null, never NaN.
 */

/** Probabilities are clipped here in log loss: one certain mistake costs 34.5, not infinity. */
const LEAST = 1e-15;

/** -ln of the probability given to the true label, clipped; what is not a number counts as certainly wrong. */
export const logLossOf = (probability: number): number =>
  -Math.log(probability >= LEAST ? Math.min(1, probability) : LEAST);

/** null where there is nothing to divide by. */
export const ratio = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);

/** The counts as JSON, for snapshots. */
export interface QualityState {
  readonly tested: number;
  readonly correct: number;
  readonly logLoss: number;
  readonly confusion: readonly number[];
  readonly sameAsLast: number;
  readonly last: number;
}

/** What the counts say. */
export interface QualityReport {
  readonly tested: number;
  readonly accuracy: number | null;
  readonly errorRate: number | null;
  readonly logLoss: number | null;
  /** Cohen 1960: (accuracy - chance) / (1 - chance). */
  readonly kappa: number | null;
  /** Bifet et al. 2015: the same against repeating the last label. */
  readonly kappaTemporal: number | null;
  /** Rows are true labels, columns predicted ones, both in the order of `labels`. */
  readonly confusion: readonly (readonly number[])[];
}

/** Counts of tested verdicts. */
export class Quality {
  readonly classes: number;
  tested = 0;
  correct = 0;
  /** Sum of -ln(probability given to the true label). */
  logLoss = 0;
  readonly confusion: Float64Array;
  /** How often a label equalled the one tested before it: the hits of the no-change classifier. */
  sameAsLast = 0;
  #last = -1;

  constructor(classes: number) {
    this.classes = classes;
    this.confusion = new Float64Array(classes * classes);
  }

  /** `truth` and `predicted` are label indices; `probability` is what the model gave to the true label. */
  add(truth: number, predicted: number, probability: number): void {
    this.tested += 1;
    if (truth === predicted) this.correct += 1;
    this.logLoss += logLossOf(probability);
    this.confusion[truth * this.classes + predicted] += 1;
    if (truth === this.#last) this.sameAsLast += 1;
    this.#last = truth;
  }

  /** Forgets the counts; the last label stays, so that the next window can tell a repetition. */
  reset(): void {
    this.tested = 0;
    this.correct = 0;
    this.logLoss = 0;
    this.sameAsLast = 0;
    this.confusion.fill(0);
  }

  /** Adds the counts of another account, or (-1) takes them away; the last label stays. */
  plus(other: Quality, sign: 1 | -1): void {
    this.tested += sign * other.tested;
    this.correct += sign * other.correct;
    this.logLoss += sign * other.logLoss;
    this.sameAsLast += sign * other.sameAsLast;
    for (let i = 0; i < this.confusion.length; i++) this.confusion[i] += sign * other.confusion[i];
  }

  /** Counts of `whole` beyond those in `told` that are not in `open`; nothing below zero. */
  setDifference(whole: Quality, told: Quality, open: Quality): void {
    const beyond = (of: (q: Quality) => number) => Math.max(0, of(whole) - (of(told) - of(open)));
    this.tested = beyond((q) => q.tested);
    this.correct = Math.min(
      this.tested,
      beyond((q) => q.correct),
    );
    this.logLoss = beyond((q) => q.logLoss);
    this.sameAsLast = beyond((q) => q.sameAsLast);
    for (let i = 0; i < this.confusion.length; i++) this.confusion[i] = beyond((q) => q.confusion[i]);
    this.#last = whole.#last;
  }

  /** Tested events by true label. */
  truths(): number[] {
    return this.#sums((truth) => truth);
  }

  /** Tested events by predicted label. */
  predictions(): number[] {
    return this.#sums((_, predicted) => predicted);
  }

  #sums(key: (truth: number, predicted: number) => number): number[] {
    const sums = new Array<number>(this.classes).fill(0);
    this.confusion.forEach((n, i) => {
      sums[key(Math.floor(i / this.classes), i % this.classes)] += n;
    });
    return sums;
  }

  report(): QualityReport {
    const { tested, correct, classes } = this;
    const predicted = this.predictions();
    const chance = this.truths().reduce(
      (sum, n, c) => sum + (n * predicted[c]) / Math.max(1, tested) ** 2,
      0,
    );
    const accuracy = ratio(correct, tested);
    const above = (base: number) => (accuracy === null || base >= 1 ? null : (accuracy - base) / (1 - base));
    return {
      tested,
      accuracy,
      errorRate: ratio(tested - correct, tested),
      logLoss: ratio(this.logLoss, tested),
      kappa: above(chance),
      kappaTemporal: above(this.sameAsLast / Math.max(1, tested)),
      confusion: Array.from({ length: classes }, (_, truth) => [
        ...this.confusion.subarray(truth * classes, (truth + 1) * classes),
      ]),
    };
  }

  save(): QualityState {
    const { tested, correct, logLoss, sameAsLast } = this;
    return { tested, correct, logLoss, confusion: [...this.confusion], sameAsLast, last: this.#last };
  }

  /** From what `save` gave for the same labels. */
  restore(state: QualityState): void {
    this.tested = state.tested;
    this.correct = state.correct;
    this.logLoss = state.logLoss;
    this.confusion.set(state.confusion);
    this.sameAsLast = state.sameAsLast;
    this.#last = state.last;
  }
}

/** The gateway's prequential quality: one window that is closed regularly, and everything since the beginning. */
export class QualityWindow {
  readonly labels: readonly string[];
  readonly total: Quality;
  readonly window: Quality;

  constructor(labels: readonly string[]) {
    this.labels = labels;
    this.total = new Quality(labels.length);
    this.window = new Quality(labels.length);
  }

  /** `scores` are the probabilities given at verdict time. A verdict without a label (predicted -1) is no test. */
  add(truth: number, predicted: number, scores: Float32Array): void {
    if (predicted < 0) return;
    this.total.add(truth, predicted, scores[truth]);
    this.window.add(truth, predicted, scores[truth]);
  }

  /** The window's report; a new window begins. */
  close(): QualityReport {
    const report = this.window.report();
    this.window.reset();
    return report;
  }

  /**
   * Takes over the open window of another account of the same stream (before a correction, say): what that one
   * had told in closed windows stays told, the rest of this total is the window. Never below zero.
   */
  continueWindow(other: QualityWindow): void {
    this.window.setDifference(this.total, other.total, other.window);
  }

  /** JSON; the open window is part of it. */
  save(): string {
    return JSON.stringify({ labels: this.labels, total: this.total.save(), window: this.window.save() });
  }

  /** From what `save` gave; where the labels have changed since, the counts begin anew. */
  static restore(labels: readonly string[], text: string): QualityWindow {
    const saved = JSON.parse(text) as { labels: string[]; total: QualityState; window: QualityState };
    const restored = new QualityWindow(labels);
    if (JSON.stringify(saved.labels) !== JSON.stringify(labels)) return restored;
    restored.total.restore(saved.total);
    restored.window.restore(saved.window);
    return restored;
  }
}
