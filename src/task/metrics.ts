/**
 * Everything that `evaluate` reports about quality: the counts of quality.ts, and what needs labels by name or every
 * score (areas under curves, calibration, the measures of mail filtering). Definitions stand beside each
 * measure; where one has no value it is null, or left out where it makes no sense for the task.
 */

import { Quality, type QualityReport, ratio } from './quality.ts';
import { seededRandom } from './random.ts';
import { missedAtRate, rankAreas, Scores } from './ranking.ts';

const BINS = 15;

export { Quality, type QualityReport, QualityWindow } from './quality.ts';

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
  readonly #bins = {
    count: new Float64Array(BINS),
    hits: new Float64Array(BINS),
    sum: new Float64Array(BINS),
  };

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
