/** What a lane tells of itself: each scored batch, and counts between two metrics windows. */
import type { Event, Rows } from '../contract.ts';
import type { Verdict } from '../envelope.ts';
import { LatencyHistogram } from '../latency.ts';

/** A scored batch for whoever watches: valid only during the call. */
export interface ScoredNumbers {
  /** ms */
  readonly at: number;
  readonly rows: Rows;
  /** count x classes probabilities. */
  readonly scores: Float32Array;
  /** Label indices, -1 while learning. */
  readonly predicted: Int32Array;
  readonly events: readonly Event[];
  /** Of the same events, as they are told. */
  readonly verdicts: readonly Verdict[];
  readonly model: string;
  /** From arrival to verdict, of the first event. */
  readonly latencyMs: number;
}

/** What the metrics windows read and reset. */
export class LaneStats {
  events = 0;
  dead = 0;
  learning = 0;
  /** Readings that were more unusual than 99 in 100 before. */
  anomalies = 0;
  readonly byLabel: number[];
  readonly latency = new LatencyHistogram();

  constructor(labels: number) {
    this.byLabel = new Array<number>(labels).fill(0);
  }

  reset(): void {
    this.events = 0;
    this.dead = 0;
    this.learning = 0;
    this.anomalies = 0;
    this.byLabel.fill(0);
    this.latency.reset();
  }
}
