/**
 * Quality of a stream of verdicts against true labels, counted as they come. `Quality` holds the counts that
 * both the gateway's windows and `evaluate` use; `Metrics` adds what needs every score (areas, calibration).
 * Definitions stand beside each measure. Labels are indices into the task's `labels`; where a measure has no
 * value (a ratio of nothing) it is null, never NaN.
 */
import { missedAtRate, rankAreas, Scores } from './ranking.ts';
import { seededRandom } from './random.ts';

/** Probabilities are clipped here in log loss: one certain mistake costs 34.5, not infinity. */
const LEAST = 1e-15;
const BINS = 15;

const ratio = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);

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
    this.logLoss -= Math.log(Math.min(1, Math.max(LEAST, probability)));
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
    const chance = this.truths().reduce((sum, n, c) => sum + (n * predicted[c]) / Math.max(1, tested) ** 2, 0);
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

export interface MetricsOptions {
  readonly labels: readonly string[];
  /** Index of the positive label. */
  readonly positive: number;
  readonly seed: number;
  /** Adds the measures of mail filtering; the positive label is spam. */
  readonly mail?: boolean;
}

type ByLabel = Readonly<Record<string, number>>;

/** Two labels. */
export interface RankingReport {
  readonly rocAuc: number;
  /** 100 x (1 - ROC AUC), the main measure of the TREC spam track. */
  readonly oneMinusAucPercent: number;
  /** Average precision of the positive label. */
  readonly prAuc: number;
  /** 95 % bootstrap intervals [low, high] of the three. */
  readonly intervals: Readonly<Record<'rocAuc' | 'oneMinusAucPercent' | 'prAuc', readonly [number, number]>>;
}

/** TREC spam track (Cormack & Lynam 2005); percent of 100. */
export interface MailReport {
  readonly hamMisclassifiedPercent: number | null;
  readonly spamMisclassifiedPercent: number | null;
  /** logit^-1 of the mean of both logits: 0 where either is 0; null where one is 0 and the other 100. */
  readonly lamPercent: number | null;
  /** Spam below the threshold that at most floor(0.001 x ham) ham reach. */
  readonly spamMissedAtHam0_1Percent: number | null;
}

export interface MetricsReport extends QualityReport, Partial<RankingReport>, Partial<MailReport> {
  readonly precision: ByLabel;
  readonly recall: ByLabel;
  readonly f1: ByLabel;
  /** Mean F1 of the labels that occur, as truth or as prediction. */
  readonly macroF1: number | null;
  /** Expected calibration error of the predicted label's probability, 15 equal bins (Naeini 2015, Guo 2017). */
  readonly calibrationError: number | null;
  readonly baselines: {
    /** Always the most frequent label of the tested events. */
    readonly majority: number | null;
    /** Always the true label of the event tested before. */
    readonly noChange: number | null;
  };
}

/** Everything `evaluate` reports about quality. Memory: 4 bytes an event with two labels, else constant. */
export class Metrics {
  readonly #options: MetricsOptions;
  readonly #quality: Quality;
  readonly #positives = new Scores();
  readonly #negatives = new Scores();
  readonly #bins = { count: new Float64Array(BINS), hits: new Float64Array(BINS), sum: new Float64Array(BINS) };

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#quality = new Quality(options.labels.length);
  }

  get tested(): number {
    return this.#quality.tested;
  }

  /** The running accuracy, for progress lines; 0 before the first test. */
  get accuracy(): number {
    return this.#quality.correct / Math.max(1, this.#quality.tested);
  }

  /** `probabilities[offset …]` are those of one event, in the order of the labels. */
  add(truth: number, predicted: number, probabilities: Float32Array, offset: number): void {
    this.#quality.add(truth, predicted, probabilities[offset + truth]);
    const confidence = probabilities[offset + predicted];
    const bin = Math.min(BINS - 1, Math.floor(confidence * BINS));
    this.#bins.count[bin] += 1;
    this.#bins.sum[bin] += confidence;
    if (truth === predicted) this.#bins.hits[bin] += 1;
    if (this.#options.labels.length !== 2) return;
    const { positive } = this.#options;
    (truth === positive ? this.#positives : this.#negatives).add(probabilities[offset + positive]);
  }

  report(): MetricsReport {
    const quality = this.#quality;
    const truths = quality.truths();
    return {
      ...quality.report(),
      ...this.#byLabel(truths),
      calibrationError: this.#calibrationError(),
      baselines: {
        majority: ratio(Math.max(...truths), quality.tested),
        noChange: ratio(quality.sameAsLast, quality.tested),
      },
      ...this.#ranking(),
      ...(this.#options.mail && this.#options.labels.length === 2 ? this.#mail(truths) : {}),
    };
  }

  /** Precision and recall of nothing are 0. */
  #byLabel(truths: readonly number[]) {
    const { labels } = this.#options;
    const predictions = this.#quality.predictions();
    const hits = labels.map((_, c) => this.#quality.confusion[c * labels.length + c]);
    const table = (value: (c: number) => number): ByLabel =>
      Object.fromEntries(labels.map((label, c) => [label, value(c)]));
    const f1 = (c: number) => (2 * hits[c]) / Math.max(1, truths[c] + predictions[c]);
    const seen = labels.map((_, c) => c).filter((c) => truths[c] + predictions[c] > 0);
    return {
      precision: table((c) => hits[c] / Math.max(1, predictions[c])),
      recall: table((c) => hits[c] / Math.max(1, truths[c])),
      f1: table(f1),
      macroF1: ratio(
        seen.reduce((sum, c) => sum + f1(c), 0),
        seen.length,
      ),
    };
  }

  /** Sum over bins of share x |accuracy - mean probability|. */
  #calibrationError(): number | null {
    const { count, hits, sum } = this.#bins;
    return ratio(
      count.reduce((error, _, bin) => error + Math.abs(hits[bin] - sum[bin]), 0),
      this.tested,
    );
  }

  #ranking(): Partial<RankingReport> {
    const found = rankAreas(this.#positives, this.#negatives, seededRandom(this.#options.seed, 'bootstrap'));
    if (!found) return {};
    const { rocAuc: roc, prAuc: pr } = found;
    const percent = (area: number) => 100 * (1 - area);
    return {
      rocAuc: roc.value,
      oneMinusAucPercent: percent(roc.value),
      prAuc: pr.value,
      intervals: {
        rocAuc: [roc.low, roc.high],
        oneMinusAucPercent: [percent(roc.high), percent(roc.low)],
        prAuc: [pr.low, pr.high],
      },
    };
  }

  #mail(truths: readonly number[]): MailReport {
    const spam = this.#options.positive;
    const ham = 1 - spam;
    const { confusion } = this.#quality;
    const hamMissed = ratio(100 * confusion[ham * 2 + spam], truths[ham]);
    const spamMissed = ratio(100 * confusion[spam * 2 + ham], truths[spam]);
    const rate = truths[spam] > 0 ? missedAtRate(this.#positives, this.#negatives, 0.001) : null;
    return {
      hamMisclassifiedPercent: hamMissed,
      spamMisclassifiedPercent: spamMissed,
      lamPercent: hamMissed === null || spamMissed === null ? null : logisticAverage(hamMissed, spamMissed),
      spamMissedAtHam0_1Percent: rate === null ? null : 100 * rate,
    };
  }
}

/** In percent. */
export function logisticAverage(a: number, b: number): number | null {
  const odds = Math.sqrt((a / (100 - a)) * (b / (100 - b)));
  if (Number.isNaN(odds)) return null;
  return odds === Number.POSITIVE_INFINITY ? 100 : (100 * odds) / (1 + odds);
}
