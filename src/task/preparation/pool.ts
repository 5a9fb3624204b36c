/**
 * Threads that turn messages into events and rows beside the main one. Promises: the events and rows are those of
 * task.ts, bit for bit, and come in the order of the messages of their stream; a message that ends its worker twice
 * (DECODE_CRASHED), or holds it up beyond the limit (DECODE_TIMEOUT), is refused, the worker replaced, and nothing else
 * lost; memory is bounded by a few loads a thread, and whoever adds without waiting for room is at fault.
 *
 * A load leaves when it is full or when a worker has nothing to do: no timer is in the path. The limit counts the ticks
 * of a timer of this process, so that a process or machine that was halted blames no mail.
 */
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock, Health, Message } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import type { Task, TaskSpec } from '../task.ts';
import { type Batch, LOAD_MESSAGES, Load } from './load.ts';
import { PLACES, Thread } from './thread.ts';

/** The largest mail that is allowed, made as dear as mails can be, takes a few seconds. */
const LIMIT_MS = 30_000;
const TICK_MS = 250;
const HEAP_MIB = 1_024;
/** Payloads of one stream that are under way beyond one load; a single larger message passes. */
const MOST_BYTES = 32 * 1024 ** 2;
/** A thread that cannot even begin is tried again after this. */
const PAUSE_MS = 1_000;

export interface PoolOptions {
  /** At least 1. */
  readonly threads: number;
  /** What streams are of: tasks of one decoder and the same labels, which make rows each in their own way. */
  readonly groups: readonly (readonly Task[])[];
  readonly clock: Clock;
  /** Told when a thread ended that should not have. */
  readonly onLost?: (reason: string) => void;
  /** For one message; default 30 s. */
  readonly limitMs?: number;
  /** JavaScript heap that a thread may fill, MiB; default 1,024: of a mail of 50 MiB all is held a few times over. */
  readonly heapMiB?: number;
  /** The compiled script of a worker; default: beside this file. */
  readonly script?: string;
}

/** Messages on their way through the pool, in order. */
export interface Stream<Tag> {
  /** False: wait for the next batch to be released before the next `add`. */
  readonly hasRoom: boolean;
  add(message: Message, tag: Tag): void;
  /** What was added leaves although more would fit, as soon as a worker has nothing to do. */
  flush(): void;
  /** The oldest messages, once they are prepared; then those after them. Each batch is to be released. */
  take(): Batch<Tag> | null;
  release(batch: Batch<Tag>): void;
  /** Nothing was added that is not taken. */
  readonly empty: boolean;
}

/** What a worker needs of it: a configuration may hold more. */
function specOf({ name, spec }: Task): TaskSpec {
  if (!spec) throw new SluiceError('INTERNAL', `task ${name} cannot be bound in another thread`);
  const { event, labels, positive, decode, features, model, decision, seed } = spec;
  return { name, event, labels, positive, decode, features, model, decision, seed };
}

const ownScript = (): string => {
  const own = fileURLToPath(import.meta.url);
  return join(own, '..', `worker${extname(own)}`);
};

export class Pool {
  readonly #options: PoolOptions;
  readonly #limit: number;
  readonly #closed = new AbortController();
  readonly #threads: Thread[] = [];
  readonly #streams: LoadStream[] = [];
  /** Loads that wait for a thread, the oldest first. */
  readonly #queue: Load[] = [];
  /** Of the load that it answered. */
  readonly #holders = new Map<Load, Thread>();
  #started: { resolve(): void; reject(error: SluiceError): void } | null = null;
  #watching = false;
  #trouble: string | null = null;

  private constructor(options: PoolOptions) {
    this.#options = options;
    this.#limit = options.limitMs ?? LIMIT_MS;
  }

  /** Starts the threads. Rejects with WORKER_FAILED where one cannot begin. */
  static async open(options: PoolOptions): Promise<Pool> {
    const pool = new Pool(options);
    const started = new Promise<void>((resolve, reject) => {
      pool.#started = { resolve, reject };
    });
    try {
      for (let i = 0; i < options.threads; i++) pool.#begin();
      await started;
      pool.#started = null;
    } catch (error) {
      await pool.close();
      throw error;
    }
    return pool;
  }

  /** Not ok while no thread can be had. */
  health(): Health {
    const some = this.#threads.some(({ ready }) => ready);
    return some || this.#trouble === null
      ? { ok: true }
      : { ok: false, reason: `mail cannot be prepared: ${this.#trouble}` };
  }

  /** A stream of messages for a group, at most `size` a batch. `onReady` is called when there is something to take. */
  stream<Tag>(group: number, onReady: () => void, size: number = LOAD_MESSAGES): Stream<Tag> {
    const [task] = this.#options.groups[group];
    const most = this.#options.threads * PLACES;
    const stream = new LoadStream({
      ...{ group, task, most, size, onReady },
      send: (load) => {
        this.#queue.push(load);
        this.#pump();
      },
      spare: () => this.#spare(),
      release: (load) => this.#release(load),
    });
    this.#streams.push(stream);
    return stream as unknown as Stream<Tag>;
  }

  /** Ends the threads; what is under way is forgotten. */
  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  #begin(): void {
    const thread = new Thread({
      script: this.#options.script ?? ownScript(),
      heapMiB: this.#options.heapMiB ?? HEAP_MIB,
      groups: this.#options.groups.map((tasks) => tasks.map(specOf)),
      onReady: () => this.#ready(),
      onAnswer: (load) => this.#answered(thread, load),
      onEnd: (ended, reason) => this.#ended(ended, reason),
    });
    this.#threads.push(thread);
  }

  #ready(): void {
    this.#trouble = null;
    if (this.#threads.every(({ ready }) => ready)) this.#started?.resolve();
    this.#pump();
  }

  /** A thread without anything to do. */
  #spare(): boolean {
    return (
      this.#queue.length === 0 && this.#threads.some((thread) => thread.hasPlace && thread.waiting === 0)
    );
  }

  #answered(thread: Thread, load: Load): void {
    this.#holders.set(load, thread);
    this.#pump();
    for (const stream of this.#streams) if (stream.first === load) stream.tell();
  }

  #release(load: Load): void {
    this.#holders.get(load)?.release(load);
    this.#holders.delete(load);
    this.#pump();
  }

  /** Loads to threads, each to the one with the least to do; then what is not full where a thread would have nothing. */
  #pump(): void {
    while (this.#queue.length > 0) {
      const free = this.#threads.filter(({ hasPlace }) => hasPlace);
      if (free.length === 0) return;
      const least = free.reduce((a, b) => (b.waiting < a.waiting ? b : a));
      least.post(this.#queue.shift()!);
      void this.#watch();
    }
    for (const stream of this.#streams) if (this.#spare()) stream.push();
  }

  /** Looks at the threads now and then while they work. */
  async #watch(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    const tick = Math.min(TICK_MS, this.#limit / 4);
    const { signal } = this.#closed;
    while (!signal.aborted && this.#threads.some(({ waiting }) => waiting > 0)) {
      const before = performance.now();
      await this.#options.clock.sleep(tick, signal);
      const passed = Math.min(performance.now() - before, 2 * tick);
      for (const thread of this.#threads) thread.look(passed, this.#limit);
    }
    this.#watching = false;
  }

  #ended(thread: Thread, reason: string): void {
    if (this.#closed.signal.aborted) return;
    this.#threads.splice(this.#threads.indexOf(thread), 1);
    this.#started?.reject(new SluiceError('WORKER_FAILED', reason));
    this.#options.onLost?.(reason);
    thread.blame(reason, this.#limit);
    this.#queue.unshift(...thread.loads);
    if (thread.ready) {
      this.#begin();
      return;
    }
    this.#trouble = reason;
    void this.#options.clock.sleep(PAUSE_MS, this.#closed.signal).then(() => {
      if (!this.#closed.signal.aborted) this.#begin();
    });
  }
}

interface StreamContext {
  readonly group: number;
  readonly task: Task;
  /** Loads that may be under way. */
  readonly most: number;
  /** Messages of a load. */
  readonly size: number;
  readonly onReady: () => void;
  readonly send: (load: Load) => void;
  readonly spare: () => boolean;
  readonly release: (load: Load) => void;
}

class LoadStream implements Stream<unknown> {
  readonly #context: StreamContext;
  /** Sent and not taken, in order. */
  readonly #sent: Load[] = [];
  /** Sent and not released, and the bytes of their payloads. */
  #loads = 0;
  #bytes = 0;
  #open: Load;
  /** Whoever adds has nothing more at hand. */
  #flushed = false;

  constructor(context: StreamContext) {
    this.#context = context;
    this.#open = this.#next();
  }

  get hasRoom(): boolean {
    return this.#loads < this.#context.most && this.#bytes < MOST_BYTES;
  }

  get empty(): boolean {
    return this.#sent.length === 0 && this.#open.messages.length === 0;
  }

  get first(): Load | undefined {
    return this.#sent[0];
  }

  take(): Load | null {
    return this.first?.ready ? this.#sent.shift()! : null;
  }

  add(message: Message, tag: unknown): void {
    this.#flushed = false;
    this.#open.add(message, tag);
    if (this.#open.full) this.#send();
  }

  flush(): void {
    this.#flushed = true;
    if (this.#context.spare()) this.push();
  }

  /** A thread has nothing to do. */
  push(): void {
    if (this.#flushed && this.#open.messages.length > 0 && this.hasRoom) this.#send();
  }

  tell(): void {
    this.#context.onReady();
  }

  release(load: Load): void {
    this.#loads -= 1;
    this.#bytes -= load.bytes;
    this.#context.release(load);
  }

  #send(): void {
    const load = this.#open;
    this.#open = this.#next();
    this.#sent.push(load);
    this.#loads += 1;
    this.#bytes += load.bytes;
    this.#context.send(load);
  }

  #next(): Load {
    const { group, task, size } = this.#context;
    return new Load(group, task, size);
  }
}
