/**
 * Self-training: which scored events a model is asked to learn as what it says of them itself (Yarowsky 1995). Gateway
 * and `evaluate` ask here, so what was measured is what is run. Promises: only verdicts that are very sure, only after
 * enough labels and only while no more come, never more than a few for each label that people gave, and none while sure
 * verdicts are contradicted. The same labels and events in the same order give the same choice.
 *
 * Whether to go on is a sequential test, the CUSUM of a likelihood ratio: of the labels that come for sure verdicts, is
 * one in 200 wrong at most, or one in 20? Where the first holds, it pauses once in 1,000 such labels at most, on average
 * (Lorden 1971; Shin, Ramdas, Rinaldo 2023). It goes on when the evidence is used up: after some 150 in a row.
 */
import { z } from 'zod';
import { findModelKind } from '../model/kinds.ts';

export const selfTrainingOption = z
  .enum(['auto', 'off'])
  .default('auto')
  .describe(
    'whether, while no labels come, a model learns events that it is very sure of as what it says of them itself: `auto` where it was shown to do no harm (mail learned by `text`), `off` nowhere',
  );

export type SelfTrainingGiven = z.output<typeof selfTrainingOption>;

/** Whether a task trains itself. */
export function trainsItself(given: SelfTrainingGiven, event: string, kind: string): boolean {
  return given === 'auto' && event === 'email' && teaches(kind);
}

/** Whether models of this kind can. */
export const teaches = (kind: string): boolean => findModelKind(kind)?.teachesItself === true;

/** Labels that a model has learned before it teaches itself anything. */
const LEAST_LABELS = 300;
/** Events without any label before it does: while labels come, its own ones were seen to harm a little. */
const SILENCE = 200;
/**
 * A verdict is sure from these log-odds on, either way: by its own word one in 3,000 of them is wrong. The model asks
 * the same of the mean of its learners before calibration.
 */
const SURE = 8;
/** Events that each label allows; 1,000 labels and nothing more were seen to use 2.1. */
const PER_LABEL = 3;
/** Allowed ones that are saved up at most: an old treasure of labels is no leave to flood a journal today. */
const MOST_SAVED = 4_096;
/** Shares of contradicted sure verdicts that are told apart, and the evidence, in nats, that decides. */
const [FINE, BAD] = [0.005, 0.05];
const CONTRADICTED = Math.log(BAD / FINE);
const CONFIRMED = Math.log((1 - BAD) / (1 - FINE));
const ENOUGH = Math.log(1_000);

/** The label that a verdict is very sure of, or -1. `scores` of two labels, as a model gave them, from `offset` on. */
export function surely(scores: Float32Array, offset: number): number {
  const odds = Math.log(scores[offset + 1] / scores[offset]);
  return Math.abs(odds) >= SURE ? Number(odds > 0) : -1;
}

/** As JSON, for snapshots. */
export interface SelfTrainingState {
  readonly labels: number;
  readonly asked: number;
  readonly allowed: number;
  readonly doubt: number;
  readonly paused: boolean;
}

export class SelfTraining {
  #labels: number;
  #asked = 0;
  #allowed: number;
  #doubt = 0;
  #paused = false;
  /** Events scored since the last label. Not saved: after a restart silence begins anew. */
  #silence = 0;

  /** `known`: labels learned elsewhere, which allow nothing here; `learned`: here, before anybody counted. */
  constructor(known = 0, learned = 0) {
    this.#labels = known + learned;
    this.#allowed = Math.min(MOST_SAVED, PER_LABEL * learned);
  }

  /** Events that the model was asked to learn by itself. */
  get asked(): number {
    return this.#asked;
  }

  /** True while too many sure verdicts were wrong. */
  get paused(): boolean {
    return this.#paused;
  }

  /** So many events were scored. */
  passed(count: number): void {
    this.#silence += count;
  }

  /**
   * Of a batch that has passed the rows to be learned, in order: those that `may` and are sure. `underWay`: chosen
   * before and not asked yet. Changes nothing.
   */
  choose(scores: Float32Array, count: number, may: (row: number) => boolean, underWay = 0): number[] {
    const rows: number[] = [];
    if (this.#paused || this.#labels < LEAST_LABELS || this.#silence < SILENCE) return rows;
    const room = this.#allowed - underWay;
    for (let row = 0; row < count && rows.length < room; row++)
      if (may(row) && surely(scores, 2 * row) >= 0) rows.push(row);
    return rows;
  }

  /** The model was asked to learn one. */
  ask(): void {
    this.#asked += 1;
    this.#allowed = Math.max(0, this.#allowed - 1);
  }

  /** A label was learned. `sure`: of the verdict that its event had (`surely`). */
  learned(label: number, sure: number): void {
    this.#labels += 1;
    this.#silence = 0;
    this.#allowed = Math.min(MOST_SAVED, this.#allowed + PER_LABEL);
    if (sure < 0) return;
    const doubt = this.#doubt + (sure === label ? CONFIRMED : CONTRADICTED);
    this.#doubt = Math.min(ENOUGH, Math.max(0, doubt));
    if (this.#doubt === ENOUGH) this.#paused = true;
    if (this.#doubt === 0) this.#paused = false;
  }

  save(): SelfTrainingState {
    return {
      labels: this.#labels,
      asked: this.#asked,
      allowed: this.#allowed,
      doubt: this.#doubt,
      paused: this.#paused,
    };
  }

  /** What `save` gave. */
  static restore({ labels, asked, allowed, doubt, paused }: SelfTrainingState): SelfTraining {
    const self = new SelfTraining(labels);
    self.#asked = asked;
    self.#allowed = allowed;
    self.#doubt = doubt;
    self.#paused = paused;
    return self;
  }
}
