/** What a monitor is given and what it gives, beside alarms. */
import type { Rows } from '../../contract.ts';

export interface MonitorOptions {
  readonly task: string;
  readonly labels: readonly string[];
  /** Names of the dense columns in order; an empty name is not watched (see `watchedColumns`). */
  readonly columns: readonly string[];
  /** False alarms that are acceptable for the whole gateway. */
  readonly budget: { readonly alarms: number; readonly perMs: number };
  /** This task's part of the budget, 0..1. */
  readonly share: number;
  readonly blockMs: number;
}

export interface ScoredBatch {
  /** Now, ms. */
  readonly at: number;
  readonly rows: Rows;
  /** count x classes probabilities. */
  readonly scores: Float32Array;
  readonly classes: number;
  /** Label indices; -1 while the task gives no label. */
  readonly predicted: Int32Array;
  readonly devices: readonly string[];
  readonly latencyMs: number;
}

export interface LabelledOne {
  readonly truth: number;
  /** -1: the task gave no label; this is no test. */
  readonly predicted: number;
  /** Given at verdict time to the true label, and to the predicted one. */
  readonly probability: number;
  readonly confidence: number;
  readonly device: string;
  /** Now, ms. */
  readonly at: number;
}

export interface MonitorWindow {
  /** Of the window's verdicts, from their confidence and what such confidence was worth; null without verdicts. */
  readonly estimatedAccuracy: number | null;
  /** By stream that has had a block: last level and usual level in its unit, and their distance in usual spreads. */
  readonly streams: Readonly<
    Record<
      string,
      {
        readonly level: number;
        readonly reference: number;
        readonly distance: number;
        readonly alarm: boolean;
      }
    >
  >;
}
