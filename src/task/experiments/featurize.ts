/**
 * Messages to row files: each message is decoded once, its events become a row in every feature space. Promises:
 * memory holds one batch of rows a feature space, whatever the input; rows stand in stream order and time never
 * falls; events without a label are left out. Refuses (INPUT_INVALID) labels that the task does not have; a full
 * disk is TRAINING_FAILED.
 */
import type { Event, Message } from '../../contract.ts';
import { asSluiceError, type ErrorCode, SluiceError } from '../../errors.ts';
import { RowArena } from '../../features/rows.ts';
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
  readonly signal?: AbortSignal;
  /** Events so far, now and then. */
  readonly onProgress?: (events: number) => void;
}

class Target {
  readonly #task: Task;
  readonly #arena: RowArena;
  readonly #writer: RowFileWriter;

  constructor(task: Task, writer: RowFileWriter) {
    this.#task = task;
    this.#arena = new RowArena(task.shape.dims, task.shape.denseDims);
    this.#writer = writer;
  }

  static async open(task: Task, path: string): Promise<Target> {
    return new Target(task, await RowFileWriter.create(path, task.features, task.shape.denseDims));
  }

  fill(event: Event): void {
    this.#task.fill(event, this.#arena);
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
  const targets = await Promise.all(tasks.map((task, i) => Target.open(task, paths[i])));
  try {
    const result = await fill(messages, targets, options);
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
  for await (const message of messages) {
    const events = decode(tasks[0], message, dead);
    const truth = truthOf(message, tasks[0]);
    if (truth < 0) unlabelled += events.length;
    for (const event of truth < 0 ? [] : events) {
      for (const target of targets) target.fill(event);
      clock = Math.max(clock, event.at);
      labels.push(truth);
      at.push(clock);
      if (labels.length === BATCH_ROWS) await flush();
    }
  }
  await flush();
  return { rows, unlabelled, dead };
}

function decode(task: Task, message: Message, dead: Partial<Record<ErrorCode, number>>): readonly Event[] {
  try {
    return task.decode(message);
  } catch (error) {
    const { code } = asSluiceError(error, 'DECODE_UNEXPECTED');
    dead[code] = (dead[code] ?? 0) + 1;
    return [];
  }
}

/** Nothing to learn from is said before anything is tried. */
export function checkEnough({ rows, dead }: Featurized): void {
  if (rows >= 10) return;
  const codes = Object.entries(dead).map(([code, count]) => `${count} ${code}`);
  const undecoded = codes.length > 0 ? `; not decoded: ${codes.join(', ')}` : '';
  throw new SluiceError('INPUT_INVALID', `${rows} labelled events are too few to learn from${undecoded}`);
}
