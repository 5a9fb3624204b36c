/**
 * Between the lanes and one sink. `submit` resolves when the broker has confirmed the messages or the outbox
 * holds them durably; until then its caller acknowledges nothing. While anything waits in the outbox all new
 * messages queue behind it, so order per sink is kept. A message that the broker refuses for good is
 * taken out alone and buried; it never blocks those behind it.
 */
import type { Clock, Outgoing, Sink, Store } from '../contract.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';

/** One publish call carries at most this much; everything waiting is combined up to here. */
const MAX_MESSAGES = 4_096;
const MAX_BYTES = 8 * 1024 * 1024;
const BACKOFF_MS = { first: 250, most: 10_000 };
/** Longest wait for room in the outbox: it may be drained quickly. */
const FULL_MS = 1_000;
/** How often to look whether a sink is back. */
const LOOK_MS = 250;

interface Pending {
  readonly messages: readonly Outgoing[];
  readonly resolve: () => void;
  readonly reject: (error: SluiceError) => void;
}

export interface PublisherContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Called with a message the sink refuses for good. Resolves when it is kept elsewhere. */
  readonly refused: (sink: string, message: Outgoing, error: SluiceError) => Promise<void>;
}

export class Publisher {
  readonly #sink: Sink;
  readonly #context: PublisherContext;
  readonly #stop = new AbortController();
  readonly #released = new AbortController();
  /** Once a message was refused, all behind it are: a smaller one must not overtake it. */
  #refusal: SluiceError | null = null;
  #queue: Pending[] = [];
  #wake: (() => void) | null = null;
  #draining: Promise<void> | null = null;
  /** Something was appended since the drain last looked. */
  #more = false;
  readonly #loop: Promise<void>;

  constructor(sink: Sink, context: PublisherContext) {
    this.#sink = sink;
    this.#context = context;
    if (this.#outboxWaits()) this.#startDraining();
    this.#loop = this.#run();
  }

  get name(): string {
    return this.#sink.name;
  }

  /** Resolves when every message is confirmed or durable in the outbox. It waits, and rejects only after `release`. */
  submit(messages: readonly Outgoing[]): Promise<void> {
    if (messages.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#queue.push({ messages, resolve, reject });
      this.#wake?.();
    });
  }

  /** From now on what neither sink nor outbox takes is refused instead of waited for: a stop must end. */
  release(): void {
    this.#released.abort();
  }

  /** Hands what is queued to the sink or the outbox, then ends. */
  async stop(): Promise<void> {
    this.release();
    this.#stop.abort();
    this.#wake?.();
    await this.#loop;
    await this.#draining;
  }

  #outboxWaits(): boolean {
    return this.#context.store.outbox.size(this.#sink.name).messages > 0;
  }

  async #run(): Promise<void> {
    for (;;) {
      if (this.#queue.length === 0) {
        if (this.#stop.signal.aborted) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
        continue;
      }
      const group = this.#takeGroup();
      try {
        if (this.#refusal) throw this.#refusal;
        await this.#place(group.flatMap((pending) => pending.messages));
        for (const pending of group) pending.resolve();
      } catch (thrown) {
        this.#refusal = asSluiceError(thrown, 'STORE_FAILED');
        for (const pending of group) pending.reject(this.#refusal);
      }
    }
  }

  #takeGroup(): Pending[] {
    let messages = 0;
    let bytes = 0;
    let n = 0;
    for (; n < this.#queue.length; n++) {
      const next = this.#queue[n].messages;
      const size = next.reduce((sum, message) => sum + message.payload.length, 0);
      if (n > 0 && (messages + next.length > MAX_MESSAGES || bytes + size > MAX_BYTES)) break;
      messages += next.length;
      bytes += size;
    }
    return this.#queue.splice(0, n);
  }

  /** Confirmed by the broker, or durable in the outbox. Throws only after `release`. */
  async #place(messages: readonly Outgoing[]): Promise<void> {
    let wait = BACKOFF_MS.first;
    for (;;) {
      try {
        if (!this.#draining && !this.#outboxWaits()) {
          const error = await this.#publish(messages);
          if (!error) return;
          this.#tellRetry(error);
        }
        await this.#context.store.outbox.append(this.name, messages);
        this.#context.telemetry.count('outbox_used', { sink: this.name }, messages.length);
        this.#startDraining();
        return;
      } catch (thrown) {
        // The outbox is full or the disk fails: nothing may be acknowledged, so wait. The sources stand still meanwhile.
        this.#context.telemetry.error(asSluiceError(thrown, 'STORE_FAILED'), { sink: this.name });
        await this.#context.clock.sleep(jitter(wait), this.#released.signal);
        if (this.#released.signal.aborted) throw thrown;
        wait = Math.min(wait * 2, FULL_MS);
      }
    }
  }

  #tellRetry(error: SluiceError): void {
    this.#context.telemetry.count('publish_retried', { sink: this.name }, 1, { reason: error.message });
  }

  /** null when all are confirmed (or buried); else the error worth trying again. */
  async #publish(messages: readonly Outgoing[]): Promise<SluiceError | null> {
    try {
      await this.#sink.publish(messages);
      return null;
    } catch (thrown) {
      const error = asSluiceError(thrown, 'PUBLISH_FAILED');
      if (error.retry) return error;
      if (messages.length === 1) {
        await this.#context.refused(this.name, messages[0], error);
        return null;
      }
      const half = messages.length >> 1;
      return (await this.#publish(messages.slice(0, half))) ?? (await this.#publish(messages.slice(half)));
    }
  }

  /**
   * Called after each durable append. The size of the outbox decides nothing here: it counts what is not on disk
   * yet, and looking for that again and again without a pause would keep its commit from ever being told.
   */
  #startDraining(): void {
    if (this.#stop.signal.aborted) return;
    this.#more = true;
    if (this.#draining) return;
    this.#draining = this.#drain().finally(() => {
      this.#draining = null;
      if (this.#more) this.#startDraining();
    });
  }

  async #drain(): Promise<void> {
    const { store, telemetry } = this.#context;
    let wait = BACKOFF_MS.first;
    while (!this.#stop.signal.aborted) {
      this.#more = false;
      try {
        const { messages, through } = store.outbox.peek(this.name, MAX_MESSAGES, MAX_BYTES);
        if (messages.length === 0) return;
        const error = await this.#publish(messages);
        if (!error) {
          await store.outbox.remove(this.name, through);
          wait = BACKOFF_MS.first;
          continue;
        }
        this.#tellRetry(error);
      } catch (thrown) {
        telemetry.error(asSluiceError(thrown, 'STORE_FAILED'), { sink: this.name });
      }
      await this.#pause(jitter(wait));
      wait = Math.min(wait * 2, BACKOFF_MS.most);
    }
  }

  /** Ends early when a sink that was away is back. */
  async #pause(ms: number): Promise<void> {
    const { clock } = this.#context;
    const { signal } = this.#stop;
    const end = clock.now() + ms;
    const away = !this.#sink.health().ok;
    for (let left = ms; left > 0 && !signal.aborted; left = end - clock.now()) {
      if (away && this.#sink.health().ok) return;
      await clock.sleep(Math.min(left, LOOK_MS), signal);
    }
  }
}

/** Full jitter on the upper half, so that a fleet does not knock in step. */
const jitter = (ms: number): number => ms / 2 + Math.random() * (ms / 2);
