/**
 * Messages to events that know how to write their rows, in order: here, or in worker threads where some are asked for
 * and the messages are mail (a reading costs less than its way to another thread). Both ways give the same events, rows
 * and refusals. Memory holds a few hundred messages at most, however long the stream is.
 */
import { systemClock } from '../clock.ts';
import type { Event, Message } from '../contract.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import type { RowArena } from '../features/rows.ts';
import { Pool, type Stream } from './preparation/pool.ts';
import type { Task } from './task.ts';

export type { Batch } from './preparation/load.ts';
export { setAside } from './preparation/mail.ts';
export { Pool, type PoolOptions, type Stream } from './preparation/pool.ts';

/** One message. Valid until the next one is asked for. */
export interface Prepared {
  readonly message: Message;
  /** None where the message is refused. */
  readonly events: readonly Event[];
  /** Why it cannot be used: what becomes a dead letter in a gateway. */
  readonly refusal: SluiceError | null;
  /** Adds the row of event i as task k makes it (default: the first). Throws DECODE_*, leaving the arena as it was. */
  fill(i: number, arena: RowArena, k?: number): void;
}

/** Whether worker threads are of any use to a task. */
export const gainsByWorkers = ({ event, spec }: Task): boolean => event === 'email' && spec !== undefined;

/**
 * Runs `use` with a pool of so many threads for these tasks (of one decoder and the same labels), or with null where
 * none are asked for or they would be of no use. Rejects with WORKER_FAILED and what `use` does.
 */
export async function withWorkers<T>(
  tasks: readonly Task[],
  threads: number,
  use: (pool: Pool | null) => Promise<T>,
): Promise<T> {
  if (threads === 0 || !tasks.every(gainsByWorkers)) return use(null);
  const pool = await Pool.open({ threads, groups: [tasks], clock: systemClock });
  try {
    return await use(pool);
  } finally {
    await pool.close();
  }
}

/** All messages, in order. `pool`: of `withWorkers` for the same tasks. Throws what `messages` throws, after those before it. */
export function prepare(
  messages: AsyncIterable<Message>,
  tasks: readonly Task[],
  pool: Pool | null,
): AsyncGenerator<Prepared> {
  return pool ? prepareApart(messages, pool) : prepareHere(messages, tasks);
}

async function* prepareHere(
  messages: AsyncIterable<Message>,
  tasks: readonly Task[],
): AsyncGenerator<Prepared> {
  for await (const message of messages) {
    let events: readonly Event[] = [];
    let refusal: SluiceError | null = null;
    try {
      events = tasks[0].decode(message);
    } catch (thrown) {
      refusal = asSluiceError(thrown, 'DECODE_UNEXPECTED');
    }
    yield { message, events, refusal, fill: (i, arena, k = 0) => tasks[k].fill(events[i], arena) };
  }
}

async function* prepareApart(messages: AsyncIterable<Message>, pool: Pool): AsyncGenerator<Prepared> {
  let tell = (): void => {};
  const stream = pool.stream<null>(0, () => tell());
  const feeder = new Feeder(messages, stream, () => tell());
  try {
    while (!feeder.ended || !stream.empty) {
      const batch = stream.take();
      if (batch === null) {
        await new Promise<void>((resolve) => {
          tell = resolve;
        });
        continue;
      }
      for (let i = 0; i < batch.messages.length; i++) {
        const first = batch.row(i);
        yield {
          message: batch.messages[i],
          refusal: batch.refusal(i),
          events: batch.events(i),
          fill: (event, arena, k = 0) => arena.append(batch.rows(k), first + event),
        };
      }
      stream.release(batch);
      feeder.goOn();
    }
  } finally {
    await feeder.end();
  }
}

/** Adds messages to a stream as far as there is room. */
class Feeder {
  readonly #messages: AsyncIterable<Message>;
  readonly #stream: Stream<null>;
  readonly #onEnd: () => void;
  readonly #done: Promise<void>;
  #wake = (): void => {};
  #stopped = false;
  ended = false;

  constructor(messages: AsyncIterable<Message>, stream: Stream<null>, onEnd: () => void) {
    this.#messages = messages;
    this.#stream = stream;
    this.#onEnd = onEnd;
    this.#done = this.#run();
    this.#done.catch(() => undefined); // heard of in `end`
  }

  /** There may be room again. */
  goOn(): void {
    this.#wake();
  }

  /** Rejects with what the messages threw. */
  async end(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#done;
  }

  async #run(): Promise<void> {
    try {
      for await (const message of this.#messages) {
        while (!this.#stream.hasRoom && !this.#stopped)
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        if (this.#stopped) return;
        this.#stream.add(message, null);
      }
    } finally {
      this.ended = true;
      this.#stream.flush();
      this.#onEnd();
    }
  }
}
