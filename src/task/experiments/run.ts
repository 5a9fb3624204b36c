/**
 * From a request to its result: contenders, halving, and the winner trained again on training and validation rows
 * together. The same for a trainer in this process, in a child, and for a sweep over many feature spaces.
 */
import type { Engine, Experiment, TrainRequest, TrainResult } from '../../contract.ts';
import { asSluiceError, SluiceError } from '../../errors.ts';
import { type Attempt, type Bench, halve, type Slices, trainSpan } from './halving.ts';
import { checkSet, failed, firstAfter, type RowStore } from './rows.ts';
import { sliceRows } from './slices.ts';
import { drawExperiments } from './space.ts';
import { type Ground, type Job, runTrial, trainModel } from './trial.ts';

/** Told of each trial as it ends. */
export type TrialSeen = (attempt: Attempt) => void;

/** A bench in this process, one trial at a time. */
export function inProcessBench(ground: Ground): Bench {
  return {
    places: 1,
    try: (job, signal) => runTrial(ground, job, signal),
    train: (job, signal) => trainModel(ground, job, signal),
    close: async () => {
      for (const { store } of ground.variants) store.close();
    },
  };
}

/** The winner's job on training and validation rows together. */
export function finalJob(
  { variant, experiment }: Pick<Attempt, 'variant' | 'experiment'>,
  slices: Slices,
): Job {
  return { variant, experiment, train: trainSpan(experiment, slices.end, slices.end, slices) };
}

/** The live base as one more contender, unless it has learned rows that validate. */
function continued(
  { first, start, startUntil }: TrainRequest,
  kind: string,
  store: Pick<RowStore, 'at' | 'count'>,
  train: number,
): { readonly experiments: Experiment[]; readonly continuedFrom?: number } {
  if (!start) return { experiments: [] };
  const continuedFrom = startUntil === undefined ? undefined : firstAfter(store, startUntil);
  if (continuedFrom !== undefined && continuedFrom > train) return { experiments: [] };
  const options = kind === first.kind ? first.options : {};
  return { experiments: [{ kind, options, passes: 1, newest: 0, continued: true }], continuedFrom };
}

export interface Plan {
  readonly experiments: readonly Experiment[];
  readonly slices: Slices;
}

/** Everything that a request leads to before the first trial. Throws TRAINING_FAILED for requests that cannot be met. */
export function planRequest(request: TrainRequest, engine: Engine): Plan {
  const { set, shape, labels, budget, first, seed, kinds } = request;
  if (labels.length !== shape.classes) throw failed(`${labels.length} labels for ${shape.classes} classes`);
  if (!(Number.isInteger(budget) && budget >= 1))
    throw failed(`a budget of ${budget} is not a whole number from 1`);
  if (!(Number.isInteger(first.passes) && first.passes >= 1 && first.newest >= 0))
    throw failed(`${first.passes} passes over the newest ${first.newest} rows cannot be made`);
  checkSet(set, shape);
  const slices = sliceRows(set.labels, set.rows.count, request.validation * set.rows.count);
  const store = { at: set.at, count: set.rows.count };
  const going = continued(request, kindOf(request, engine), store, slices.train);
  return {
    experiments: [...drawExperiments(first, budget, slices.train, seed, kinds), ...going.experiments],
    slices: { ...slices, continuedFrom: going.continuedFrom },
  };
}

function kindOf({ start, first }: TrainRequest, engine: Engine): string {
  if (!start) return first.kind;
  const model = engine.load(start);
  model.close();
  return model.kind;
}

/** Runs a planned request on a bench. */
export async function runPlan(
  { experiments, slices }: Plan,
  bench: Bench,
  signal?: AbortSignal,
  onTrial?: TrialSeen,
): Promise<TrainResult> {
  const contenders = experiments.map((experiment) => ({ variant: 0, experiment }));
  const board = await halve({ contenders, slices, bench, signal, onTrial });
  const model = await bench.train(finalJob(board[0], slices), signal);
  const leaderboard = board.map(({ variant: _, order: __, blocks: ___, ...trial }) => trial);
  return { leaderboard, winner: leaderboard[0], model };
}

/** Failures of a trainer have one code; an abort stays what it is. */
export async function asTraining<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  try {
    signal?.throwIfAborted();
    return await work();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const known = asSluiceError(error, 'TRAINING_FAILED');
    if (known.code === 'TRAINING_FAILED') throw known;
    throw new SluiceError('TRAINING_FAILED', `${known.code}: ${known.message}`, { cause: error });
  }
}
