/** From the probabilities of a batch to its verdicts, and what a lane counts of them. */
import type { Decided, Event } from '../contract.ts';
import type { Verdict } from '../envelope.ts';
import type { Task } from '../task/task.ts';
import { argmax } from './batch.ts';
import type { LaneStats } from './stats.ts';

/** From this score on a reading counts as an anomaly: one in a hundred is, of those that are as ever. */
const ANOMALY = 0.99;

export interface Judged {
  readonly events: readonly Event[];
  readonly receivedAt: (i: number) => number;
  /** count x classes probabilities. */
  readonly scores: Float32Array;
  /** How unusual each event is, in [0, 1) or NaN; left out where nothing says it. */
  readonly anomalies: Float32Array | undefined;
  readonly model: string;
  readonly backend: string;
  /** Whether the model knows enough for a label. */
  readonly sufficient: boolean;
  readonly decidedAt: number;
}

/** What becomes of each event of a batch, beyond its label. */
export type Decide = (
  event: Event,
  label: number,
  scores: Float32Array,
  offset: number,
  model: string,
) => Decided;

export function judge(task: Task, judged: Judged, decide: Decide | undefined, stats: LaneStats): Verdict[] {
  const { events, scores, anomalies, model, backend, sufficient, decidedAt } = judged;
  const { labels, positive } = task;
  return events.map((event, i): Verdict => {
    const offset = i * labels.length;
    const best = argmax(scores, offset, labels.length);
    const label = sufficient ? best : -1;
    if (label < 0) stats.learning += 1;
    else stats.byLabel[label] += 1;
    const anomaly = anomalies && !Number.isNaN(anomalies[i]) ? anomalies[i] : undefined;
    if (anomaly !== undefined && anomaly >= ANOMALY) stats.anomalies += 1;
    return {
      event,
      labels,
      label,
      score: scores[offset + (labels.length === 2 ? positive : best)],
      scores,
      offset,
      model,
      backend,
      anomaly,
      decided: decide?.(event, label, scores, offset, model),
      flags: task.fields?.flagsOf(event),
      receivedAt: judged.receivedAt(i),
      decidedAt,
    };
  });
}
