/**
 * Messages to row files: each message is decoded once, its events become a row in every feature space. Promises:
 * memory holds one batch of rows a feature space, whatever the input; rows stand in stream order and time never
 * falls; events without a label are left out. Refuses (INPUT_INVALID) labels that the task does not have; a full
 * disk is TRAINING_FAILED.
 */
import type { Message } from '../../contract.ts';
import { type ErrorCode, SluiceError } from '../../errors.ts';
import { RowArena } from '../../features/rows.ts';
import { type Pool, type Prepared, prepare, withWorkers } from '../preparation.ts';
import { truthOf } from '../protocols.ts';
import type { Task } from '../task.ts';
import { RowFileWriter } from './rowfile.ts';
import { failed } from './rows.ts';

const BATCH_ROWS = 256;

export interface Featurized {
  /** Labelled rows in each file. */
  readonly rows: number;
  readonly unlabelled: number;
  /** Messages that could not be decoded, by error code. */
  readonly dead: Readonly<Partial<Record<ErrorCode, number>>>;
}

export interface FeaturizeOptions {
  /** The same decoder, labels and order; features differ. */
  readonly tasks: readonly Task[];
  /** One a task. */
  readonly paths: readonly string[];
  /** Threads beside this one that prepare mail; default 0. */
  readonly workers?: number;
  readonly signal?: AbortSignal;
  /** Events so far, now and then. */
  readonly onProgress?: (events: number) => void;
}

class Target {
  /** Which of the tasks. */
  readonly #place: number;
  readonly #remembers: boolean;
  readonly #arena: RowArena;
  readonly #writer: RowFileWriter;

  constructor(task: Task, place: number, writer: RowFileWriter) {
    this.#place = place;
    this.#remembers = task.memory !== null;
    this.#arena = new RowArena(task.shape.dims, task.shape.denseDims);
    this.#writer = writer;
  }

  static async open(task: Task, place: number, path: string): Promise<Target> {
    return new Target(task, place, await RowFileWriter.create(path, task.features, task.shape.denseDims));
  }

  fill(prepared: Prepared, i: number): void {
    prepared.fill(i, this.#arena, this.#place);
  }

  /** An event that is not to be learned; what comes after it may depend on it. */
  pass(prepared: Prepared, i: number): void {
    if (!this.#remembers) return;
    const { count } = this.#arena;
    this.fill(prepared, i);
    this.#arena.truncate(count);
  }

  async flush(labels: readonly number[], at: readonly number[]): Promise<void> {
    await this.#writer.add(this.#arena.view(), labels, null, at);
    this.#arena.reset();
  }

  finish = (): Promise<void> => this.#writer.finish();
  abandon = (): Promise<void> => this.#writer.abandon();
}

/** Writes all files, or rejects with what a source or a task throws, TRAINING_FAILED, or the reason of `signal`. */
export async function featurize(
  messages: AsyncIterable<Message>,
  options: FeaturizeOptions,
): Promise<Featurized> {
  const { tasks, paths } = options;
  const targets = await Promise.all(tasks.map((task, i) => Target.open(task, i, paths[i])));
  try {
    const result = await withWorkers(tasks, options.workers ?? 0, (pool) =>
      fill(messages, targets, options, pool),
    );
    await Promise.all(targets.map((target) => target.finish()));
    return result;
  } catch (error) {
    await Promise.all(targets.map((target) => target.abandon().catch(() => undefined)));
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw failed('the disk is full', error);
    throw error;
  }
}

async function fill(
  messages: AsyncIterable<Message>,
  targets: readonly Target[],
  { tasks, signal, onProgress }: FeaturizeOptions,
  pool: Pool | null,
): Promise<Featurized> {
  const dead: Partial<Record<ErrorCode, number>> = {};
  let [rows, unlabelled, clock] = [0, 0, Number.NEGATIVE_INFINITY];
  let labels: number[] = [];
  let at: number[] = [];
  const flush = async (): Promise<void> => {
    signal?.throwIfAborted();
    for (const target of targets) await target.flush(labels, at);
    rows += labels.length;
    [labels, at] = [[], []];
    onProgress?.(rows);
  };
  for await (const prepared of prepare(messages, tasks, pool)) {
    const { message, events, refusal } = prepared;
    if (refusal) dead[refusal.code] = (dead[refusal.code] ?? 0) + 1;
    const truth = truthOf(message, tasks[0]);
    if (truth < 0) {
      unlabelled += events.length;
      for (let i = 0; i < events.length; i += 1) for (const target of targets) target.pass(prepared, i);
    }
    for (const [i, event] of truth < 0 ? [] : events.entries()) {
      for (const target of targets) target.fill(prepared, i);
      clock = Math.max(clock, event.at);
      labels.push(truth);
      at.push(clock);
      if (labels.length === BATCH_ROWS) await flush();
    }
  }
  await flush();
  return { rows, unlabelled, dead };
}

/** Nothing to learn from is said before anything is tried. */
export function checkEnough({ rows, dead }: Featurized): void {
  if (rows >= 10) return;
  const codes = Object.entries(dead).map(([code, count]) => `${count} ${code}`);
  const undecoded = codes.length > 0 ? `; not decoded: ${codes.join(', ')}` : '';
  throw new SluiceError('INPUT_INVALID', `${rows} labelled events are too few to learn from${undecoded}`);
}
