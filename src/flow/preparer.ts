/**
 * How the messages of a lane become events and rows: at once and here, or in worker threads. Either way they reach the
 * lane in the order in which they were offered, each once, used or refused; what is under way is bounded, and while it
 * is all that may be, `hasRoom` is false. Neither ever throws.
 */
import type { Event, Message, Rows } from '../contract.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import type { RowArena } from '../features/rows.ts';
import { type Batch, type Pool, type Stream, setAside } from '../task/preparation.ts';
import type { Task } from '../task/task.ts';
import type { Slot } from './settle.ts';

/** The side of the lane. */
export interface Taker {
  /** False: nothing may be taken until `goOn` is called. */
  hasRoom(): boolean;
  /** Where the rows of the next message go, behind those that are there. */
  arena(): RowArena;
  /** The rows of these events have been written. */
  take(slot: Slot, events: readonly Event[]): void;
  /** Whether a batch can be taken now. */
  mayScore(): boolean;
  /** A whole batch of rows that lie elsewhere, until `release` is called; owners[i] brought events[i], of row i. */
  score(rows: Rows, release: () => void, owners: Slot[], events: Event[]): void;
  refuse(slot: Slot, error: SluiceError): void;
  /** The message waits, unsettled, for another one; the lane counts as dry without it. */
  setAside(slot: Slot): void;
  /** It is in hand again: used or refused next. */
  takeUp(slot: Slot): void;
  /** Nothing more is at hand. */
  rest(): void;
}

export interface Preparer {
  /** False: wait until the lane has room again. */
  readonly hasRoom: boolean;
  /** `again`: a dead letter that is replayed. */
  offer(slot: Slot, again: boolean): void;
  /** The source has nothing more at hand. */
  flush(): void;
  /** The taker has room. */
  goOn(): void;
  /** Called every second or so. */
  tick?(): void;
  /** Nothing more is read. `forGood`: nothing will be delivered again either. */
  end?(forGood: boolean): void;
}

/** Adds the rows of a message's events. After a failure (which throws) the arena is as it was before. */
export function fillRows(
  task: Task,
  { source, position }: Message,
  events: readonly Event[],
  arena: RowArena,
): void {
  const before = arena.count;
  try {
    task.memory?.enter(source, position);
    for (const event of events) task.fill(event, arena);
    task.memory?.applied();
  } catch (thrown) {
    arena.truncate(before);
    throw thrown;
  }
}

/** Here, where the message is offered. */
export class InlinePreparer implements Preparer {
  readonly #task: Task;
  readonly #taker: Taker;

  constructor(task: Task, taker: Taker) {
    this.#task = task;
    this.#taker = taker;
  }

  get hasRoom(): boolean {
    return this.#taker.hasRoom();
  }

  offer(slot: Slot): void {
    let events: readonly Event[];
    try {
      events = this.#task.decode(slot.message);
      fillRows(this.#task, slot.message, events, this.#taker.arena());
    } catch (thrown) {
      this.#taker.refuse(slot, asSluiceError(thrown, 'DECODE_UNEXPECTED'));
      return;
    }
    this.#taker.take(
      slot,
      events.map((event) => setAside(event, slot.message, this.#task)),
    );
  }

  flush(): void {
    this.#taker.rest();
  }

  goOn(): void {}
}

/** In the threads of a pool, whose loads are scored where they lie. */
export class PooledPreparer implements Preparer {
  readonly #taker: Taker;
  readonly #stream: Stream<Slot>;

  /** `most`: messages in a batch. */
  constructor(pool: Pool, group: number, most: number, taker: Taker) {
    this.#taker = taker;
    this.#stream = pool.stream(group, () => this.goOn(), most);
  }

  get hasRoom(): boolean {
    return this.#stream.hasRoom;
  }

  offer(slot: Slot): void {
    this.#stream.add(slot.message, slot);
  }

  flush(): void {
    this.#stream.flush();
    this.#taker.rest();
  }

  goOn(): void {
    while (this.#taker.mayScore()) {
      const batch = this.#stream.take();
      if (batch === null) break;
      this.#hand(batch);
    }
    this.#taker.rest();
  }

  #hand(batch: Batch<Slot>): void {
    const events: Event[] = [];
    const owners: Slot[] = [];
    for (const [i, slot] of batch.tags.entries()) {
      const refusal = batch.refusal(i);
      const found = refusal ? [] : batch.events(i);
      if (refusal) this.#taker.refuse(slot, refusal);
      else if (found.length === 0) this.#taker.take(slot, found);
      for (const event of found) {
        events.push(event);
        owners.push(slot);
      }
    }
    const release = (): void => this.#stream.release(batch);
    if (events.length === 0) release();
    else this.#taker.score(batch.rows(0), release, owners, events);
  }
}
