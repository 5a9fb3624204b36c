/**
 * Successive halving (Jamieson & Talwalkar 2016): every contender learns a little, the best third learns three times as
 * much, until the last few have learned all. Promises: rounds end before the next begins and ties go by order, so
 * the result does not depend on how many trials run at a time, nor on which ended first; what a round learns
 * are the newest training rows, right before the validation rows. The configured contender, the first, has a place in
 * every round, so that what wins has beaten it on all rows. A larger budget never makes one trial larger.
 */
import type { Experiment, Trial } from '../../contract.ts';
import { isSurelyLower, type Job, type Outcome, type Span, type TryJob } from './trial.ts';

const KEEP = 3;
/** On fewer rows quick learners look better than they are; and a small set costs little anyway. */
const LEAST_ROWS = 1_000;

export interface Contender {
  readonly variant: number;
  readonly experiment: Experiment;
}

/** A trial with its variant, and its place in the order of contenders. */
export interface Attempt extends Trial, Pick<Outcome, 'blocks'> {
  readonly variant: number;
  readonly order: number;
}

/** A place where trials run, `places` of them at a time. */
export interface Bench {
  readonly places: number;
  try(job: TryJob, signal?: AbortSignal): Promise<Outcome>;
  /** The bytes of a trained model. */
  train(job: Job, signal?: AbortSignal): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Which rows train, and which behind them validate. `continuedFrom`: the first row that a continued model may learn. */
export interface Slices {
  readonly train: number;
  readonly end: number;
  readonly continuedFrom?: number;
}

export interface Round {
  /** Trials of this round, and the training rows of each. */
  readonly trials: number;
  readonly rows: number;
}

/** The rounds for so many contenders: each three times the rows of the one before, the last with all. */
export function planRounds(contenders: number, trainRows: number): Round[] {
  let depth = 0;
  for (let left = contenders; left > KEEP; left = Math.ceil(left / KEEP)) depth += 1;
  // With few rows there are fewer rounds, rather than rounds that tell nothing.
  while (depth > 0 && trainRows / KEEP ** depth < LEAST_ROWS) depth -= 1;
  const rounds: Round[] = [];
  for (let trials = contenders, i = 0; i <= depth; i += 1, trials = Math.ceil(trials / KEEP))
    rounds.push({ trials, rows: Math.floor(trainRows / KEEP ** (depth - i)) });
  return rounds;
}

/** What a contender learns of rows that end at `to` when at most `rows` are allowed. */
export function trainSpan({ newest, continued }: Experiment, to: number, rows: number, slices: Slices): Span {
  const most = newest > 0 ? Math.min(rows, newest) : rows;
  const least = continued ? (slices.continuedFrom ?? 0) : 0;
  return { from: Math.min(to, Math.max(least, to - most, 0)), to };
}

export interface HalvingOptions {
  readonly contenders: readonly Contender[];
  readonly slices: Slices;
  readonly bench: Bench;
  readonly signal?: AbortSignal;
  /** The outcome of a job from an earlier run, if it is known. */
  readonly recall?: (job: TryJob) => Outcome | null;
  /** Called once for each trial, in the order in which they end. */
  readonly onTrial?: (attempt: Attempt, job: TryJob, recalled: boolean) => void;
}

/** Best first: who came further, then the smaller log-loss, then the order of contenders. */
const better = (a: Attempt, b: Attempt): number =>
  b.round - a.round || a.validation.logLoss - b.validation.logLoss || a.order - b.order;

/**
 * After a drift less can be more: configurations that use the newest rows alone, or trials of early rounds, which did. But
 * fewer rows are also more luck, so they win only where block after block of the validation rows says so; else the
 * best of the last round that uses all rows (or the configured one) does. An early trial wins as the configuration
 * that uses just so many of the newest rows.
 */
function winnerOf(attempts: readonly Attempt[]): Attempt {
  const sorted = [...attempts].sort(better);
  const last = sorted[0].round;
  const whole = sorted.find(({ experiment, order }) => experiment.newest === 0 || order === 0) ?? sorted[0];
  const less = sorted
    .filter(({ round, experiment }) => round < last || experiment.newest > 0)
    .filter((each) => each.validation.logLoss < whole.validation.logLoss)
    .sort((a, b) => a.validation.logLoss - b.validation.logLoss || better(a, b))
    .find((each) => isSurelyLower(each.blocks, whole.blocks));
  if (!less) return whole;
  const newest = less.round < last ? less.trainedRows : less.experiment.newest;
  return { ...less, experiment: { ...less.experiment, newest } };
}

/** Runs all rounds; one attempt for each contender, the last it reached, best first (see winnerOf). */
export async function halve(options: HalvingOptions): Promise<Attempt[]> {
  const { contenders, slices } = options;
  const rounds = planRounds(contenders.length, slices.train);
  const all: Attempt[] = [];
  const last = new Map<number, Attempt>();
  let order = contenders.map((_, i) => i);
  for (const [index, { rows, trials }] of rounds.entries()) {
    if (index > 0) order = [0, ...order.filter((each) => each !== 0).slice(0, trials - 1)];
    const attempts = await runRound(options, order, index + 1, rows);
    for (const attempt of attempts) last.set(attempt.order, attempt);
    all.push(...attempts);
    order = attempts.sort(better).map((attempt) => attempt.order);
  }
  const winner = winnerOf(all);
  return [winner, ...[...last.values()].filter((each) => each.order !== winner.order).sort(better)];
}

async function runRound(
  { contenders, slices, bench, signal, recall, onTrial }: HalvingOptions,
  order: readonly number[],
  round: number,
  rows: number,
): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  // Neighbours of one feature space run together: a worker then reads the same file again.
  const waiting = [...order].sort((a, b) => contenders[a].variant - contenders[b].variant || a - b);
  const stop = new AbortController();
  const until = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      until.throwIfAborted();
      const { variant, experiment } = contenders[next];
      const train = trainSpan(experiment, slices.train, rows, slices);
      const job: TryJob = { variant, experiment, train, validate: { from: slices.train, to: slices.end } };
      const known = recall?.(job) ?? null;
      const outcome = known ?? (await bench.try(job, until));
      const trainedRows = train.to - train.from;
      const attempt: Attempt = { experiment, round, trainedRows, ...outcome, variant, order: next };
      attempts.push(attempt);
      onTrial?.(attempt, job, known !== null);
    }
  };
  const workers = Array.from({ length: Math.min(bench.places, order.length) }, () =>
    work().catch((error: unknown) => {
      stop.abort(error);
      throw error;
    }),
  );
  const ended = await Promise.allSettled(workers);
  signal?.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
  return attempts;
}
