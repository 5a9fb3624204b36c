/**
 * The one test of a winner, on rows that neither training nor choosing has seen. Everything `evaluate` says of quality,
 * and the interval of the log-loss as for trials.
 */
import type { Measured, Model } from '../../contract.ts';
import { Metrics, type MetricsReport } from '../metrics.ts';
import { logLossOf } from '../quality.ts';
import type { Task } from '../task.ts';
import { decide } from '../verdict.ts';
import type { RowStore } from './rows.ts';
import { type Span, scoreRows, Yardstick } from './trial.ts';

export interface Unseen {
  readonly report: MetricsReport;
  readonly measured: Measured;
}

/** Scores the span with a model that stays as it is. */
export async function testUnseen(
  model: Model,
  store: RowStore,
  span: Span,
  task: Task,
  seed: number,
  signal?: AbortSignal,
): Promise<Unseen> {
  const { labels, positive } = task;
  const metrics = new Metrics({ labels, positive, seed, mail: task.event === 'email' });
  const yardstick = new Yardstick(span.to - span.from);
  const seen = (row: number, scores: Float32Array, offset: number): void => {
    const truth = store.labels[row];
    const { predicted } = decide(scores, offset, labels.length);
    metrics.add(truth, predicted, scores, offset);
    yardstick.add(predicted === truth, logLossOf(scores[offset + truth]), 1);
  };
  await scoreRows(model, store, span, seen, signal);
  return { report: metrics.report(), measured: yardstick.measured() };
}
