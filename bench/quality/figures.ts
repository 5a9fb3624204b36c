/**
 * From verdicts to figures, for every system by the same code, which is that of `evaluate`. Ranking goes by the order of the
 * scores alone: before they reach the single-precision lists of metrics.ts they are replaced by their ranks, so
 * that scores which differ in double precision only stay different, and equal ones stay equal.
 */
import { Metrics } from '../../src/task/metrics.ts';

/** One tested event; labels are 0 for ham and 1 for spam. */
export interface Verdict {
  /** Place in the stream, from 0. */
  readonly index: number;
  readonly truth: number;
  readonly predicted: number;
  /** What the system says is the probability of spam. */
  readonly spam: number;
}

/** Measures of one system under one protocol. Shares in percent, but for the log loss in nats. */
export interface Figures {
  readonly tested: number;
  /** Labels that were learned. */
  readonly labels: number;
  readonly oneMinusAuc: number;
  /** 95 % bootstrap interval of it. */
  readonly low: number;
  readonly high: number;
  /** Spam missed where at most 0.1 % of the ham is lost. */
  readonly missed: number;
  readonly accuracy: number;
  readonly logLoss: number;
  readonly hamLost: number;
  readonly spamPassed: number;
}

/** Ranks up to here are exact in single precision. */
const MOST = 2 ** 24;

/** The place of each score among the distinct ones, scaled into [0, 1). */
export function ranks(scores: readonly number[]): number[] {
  const distinct = [...new Set(scores)].sort((a, b) => a - b);
  const places = new Map(distinct.map((score, place) => [score, place / MOST]));
  return scores.map((score) => places.get(score) as number);
}

const LABELS = ['ham', 'spam'];

function metricsOf(verdicts: readonly Verdict[], scores: readonly number[], seed: number) {
  const metrics = new Metrics({ labels: LABELS, positive: 1, seed, mail: true });
  verdicts.forEach(({ truth, predicted }, i) => {
    metrics.add(truth, predicted, Float32Array.of(1 - scores[i], scores[i]), 0);
  });
  return metrics.report();
}

/** Figures of the verdicts on events from `from` on; `labels` as the run counted them. Throws where a label never occurs. */
export function figuresOf(verdicts: readonly Verdict[], labels: number, seed: number, from = 0): Figures {
  const tested = verdicts.filter(({ index }) => index >= from);
  const scores = tested.map(({ spam }) => spam);
  const counted = metricsOf(tested, scores, seed);
  const ranked = metricsOf(tested, ranks(scores), seed);
  const { oneMinusAucPercent, intervals, spamMissedAtHam0_1Percent } = ranked;
  const { accuracy, logLoss, hamMisclassifiedPercent, spamMisclassifiedPercent } = counted;
  if (oneMinusAucPercent === undefined || intervals === undefined)
    throw new Error('among the tested events there must be ham and spam');
  const [low, high] = intervals.oneMinusAucPercent;
  return {
    ...{ tested: tested.length, labels, oneMinusAuc: oneMinusAucPercent, low, high },
    missed: spamMissedAtHam0_1Percent as number,
    accuracy: 100 * (accuracy as number),
    logLoss: logLoss as number,
    hamLost: hamMisclassifiedPercent as number,
    spamPassed: spamMisclassifiedPercent as number,
  };
}

/** The mean of each figure over runs of different seeds; of intervals the mean of their ends. */
export function meanFigures(runs: readonly Figures[]): Figures {
  const names = Object.keys(runs[0]) as (keyof Figures)[];
  const mean = (name: keyof Figures) => runs.reduce((sum, run) => sum + run[name], 0) / runs.length;
  return Object.fromEntries(names.map((name) => [name, mean(name)])) as unknown as Figures;
}
