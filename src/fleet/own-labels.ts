/**
 * Sure verdicts -> the journal, as the model's own labels (OWN_LABEL): of each scored batch those that self-training.ts
 * chooses. They are learned when they are in the journal, as labels are, and nobody waits for them: what a kill takes
 * before it is durable was never learned. Refuses what it cannot hold: while the model is behind its journal, or many
 * are on their way already, sure verdicts teach nothing.
 */
import type { Clock, Event, JoinedRow, Rows } from '../contract.ts';
import { sliceRow } from '../features/rows.ts';
import type { Task } from '../task/task.ts';
import type { Labels } from './labels.ts';
import type { Learner } from './learner.ts';

/** Rows on their way at once: of long mails some 8 MiB. */
const MOST_UNDER_WAY = 256;

/** A scored batch, as the lane tells it: valid only during the call. */
export interface ScoredBatch {
  readonly rows: Rows;
  readonly scores: Float32Array;
  /** Label indices, -1 while learning. */
  readonly predicted: Int32Array;
  readonly events: readonly Event[];
  readonly model: string;
}

export interface OwnLabelsContext {
  readonly task: Task;
  readonly learner: Learner;
  readonly labels: Labels;
  readonly clock: Clock;
}

export class OwnLabels {
  readonly #context: OwnLabelsContext;
  #underWay = 0;

  constructor(context: OwnLabelsContext) {
    this.#context = context;
  }

  /** Neither throws nor waits. */
  scored(batch: ScoredBatch): void {
    const { learner, labels, clock } = this.#context;
    const { scores, predicted, events } = batch;
    const { selfTraining } = learner;
    if (!selfTraining) return;
    selfTraining.passed(events.length);
    const may = (i: number) => predicted[i] >= 0;
    const chosen = selfTraining.choose(scores, events.length, may, this.#underWay);
    const rows = chosen.slice(0, MOST_UNDER_WAY - this.#underWay).map((i) => this.#row(batch, i));
    if (rows.length === 0) return;
    this.#underWay += rows.length;
    labels.learnOwn(rows, clock.now()).finally(() => {
      this.#underWay -= rows.length;
    });
  }

  #row({ rows, scores, predicted, events, model }: ScoredBatch, i: number): JoinedRow {
    const { id, device, at } = events[i];
    const { features, labels } = this.#context.task;
    const own = scores.slice(i * labels.length, (i + 1) * labels.length);
    return { id, device, at, features, rows: sliceRow(rows, i), scores: own, predicted: predicted[i], model };
  }
}
