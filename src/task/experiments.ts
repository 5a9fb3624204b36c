/**
 * Experiments on labelled rows: which configuration predicts the newest of them best, and the model trained with it.
 * Promises: the same request gives the same configurations, figures (rates aside) and model bytes, in this
 * process or in a child, however many workers it has; rows that validate lie behind those that train, in time; nothing
 * is shuffled. Refuses (TRAINING_FAILED, with the reason) requests that cannot be met.
 */
import type { Engine, Trainer, TrainRequest, TrainResult } from '../contract.ts';
import { trainSpan } from './experiments/halving.ts';
import { firstAfter, memoryStore } from './experiments/rows.ts';
import { asTraining, inProcessBench, planRequest, runPlan, type TrialSeen } from './experiments/run.ts';

import type { Span } from './experiments/trial.ts';

export { type ChildOptions, childTrainer } from './experiments/child.ts';
export { digestRows, memoryStore } from './experiments/rows.ts';
export type { TrialSeen } from './experiments/run.ts';

/** Trains in this process, one trial at a time; the event loop stays free between blocks of rows. */
export function inProcessTrainer(engine: Engine, onTrial?: TrialSeen): Trainer {
  return {
    train: (request, signal) =>
      asTraining(signal, async () => {
        const plan = planRequest(request, engine);
        const { set, shape, start, seed } = request;
        const bench = inProcessBench({ engine, variants: [{ store: memoryStore(set), shape }], start, seed });
        return runPlan(plan, bench, signal, onTrial);
      }),
  };
}

/** Which rows of the set the winner's model has learned, for its manifest; without those that a continued base knew before. */
export function learnedRows({ set, startUntil }: TrainRequest, { winner }: TrainResult): Span {
  const { count } = set.rows;
  const continuedFrom = startUntil === undefined ? undefined : firstAfter({ at: set.at, count }, startUntil);
  return trainSpan(winner.experiment, count, count, { train: count, end: count, continuedFrom });
}
