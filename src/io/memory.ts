/**
 * Channels within the process, for tests: no broker, no network, everything at hand to look at.
 *
 * A channel keeps all that was pushed. A source reads it under its name like a persistent session: what
 * is not settled `done` when it closes comes again when a source of that name opens. Its sink stores
 * batches and can be made to fail, or to wait. Refuses nothing else, and loses everything with the process.
 */
import { z } from 'zod';
import type {
  Board,
  Delivery,
  Health,
  IoContext,
  Message,
  Outcome,
  Outgoing,
  Sink,
  Source,
  Transport,
} from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { demandName, matcher } from './board.ts';

const sourceOptions = z.strictObject({
  channel: z.string().min(1).describe('Name of the channel within this process.'),
  topics: z
    .array(z.string().min(1))
    .optional()
    .describe('Read only these topics, by their exact names. Default: all.'),
});
const sinkOptions = z.strictObject({
  channel: z.string().min(1).describe('Name of the channel within this process.'),
});

export type MemorySourceOptions = z.output<typeof sourceOptions>;
export type MemorySinkOptions = z.output<typeof sinkOptions>;

/** A message as a test pushes it; what is left out is empty, `at` is the source's clock. */
export type Pushed = Pick<Message, 'topic'> &
  Partial<Pick<Message, 'key' | 'headers' | 'at' | 'position' | 'label'>> & {
    readonly payload: Uint8Array | string;
  };

/** How a source of a name stands: which of the pushed messages are done. */
interface Session {
  readonly done: Set<number>;
  /** Asked for again by `settle('retry')`, or unsettled at close. */
  again: number[];
  next: number;
}

export class MemoryChannel {
  /** Everything pushed, in order. */
  readonly pushed: Pushed[] = [];
  /** Every message a sink confirmed, in order. */
  readonly published: Outgoing[] = [];
  /** Every settlement, in order, by index into `pushed`. */
  readonly settled: { readonly source: string; readonly index: number; readonly outcome: Outcome }[] = [];
  /** Where set, every `publish` rejects with it and stores nothing. */
  failWith: SluiceError | null = null;
  /** A broker in miniature: what a sink publishes can be read by sources of the channel. */
  loops = false;
  /** Where set, every `publish` waits for it first. */
  slowness: (() => Promise<void>) | null = null;
  /** What boards keep, and who is called when it changes. */
  readonly kept = new Map<string, Uint8Array>();
  readonly watchers = new Set<(name: string, payload: Uint8Array) => void>();
  readonly #sessions = new Map<string, Session>();
  readonly #listeners = new Set<() => void>();

  push(...messages: readonly Pushed[]): void {
    this.pushed.push(...messages);
    this.wake();
  }

  /** How many of the pushed messages a source has settled `done`. */
  doneBy(source: string): number {
    return this.#sessions.get(source)?.done.size ?? 0;
  }

  /** For sources: their place in the channel. */
  session(name: string): Session {
    const found = this.#sessions.get(name);
    if (found) return found;
    const session = { done: new Set<number>(), again: [], next: 0 };
    this.#sessions.set(name, session);
    return session;
  }

  /** For sources: called at each push; returns how to stop that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  wake(): void {
    for (const listener of this.#listeners) listener();
  }
}

const channels = new Map<string, MemoryChannel>();

/** The channel of that name, made when first asked for. */
export function memoryChannel(name: string): MemoryChannel {
  const found = channels.get(name);
  if (found) return found;
  const channel = new MemoryChannel();
  channels.set(name, channel);
  return channel;
}

/** Forgets a channel; sources and sinks that are open keep the old one. */
export function dropMemoryChannel(name: string): void {
  channels.delete(name);
}

class MemorySource implements Source {
  readonly name: string;
  readonly #channel: MemoryChannel;
  readonly #wants: (topic: string) => boolean;
  readonly #context: IoContext;
  readonly #session: Session;
  readonly #open = new Map<number, number>();
  #bytes = 0;
  #closed = false;

  constructor(
    name: string,
    options: MemorySourceOptions,
    context: IoContext,
    wants: (topic: string) => boolean = (topic) => options.topics?.includes(topic) ?? true,
  ) {
    this.name = name;
    this.#channel = memoryChannel(options.channel);
    this.#wants = wants;
    this.#context = context;
    this.#session = this.#channel.session(name);
  }

  async *read(signal: AbortSignal): AsyncIterable<readonly Delivery[]> {
    while (!signal.aborted && !this.#closed) {
      const batch = this.#take();
      if (batch.length > 0) yield batch;
      else await this.#woken(signal);
    }
  }

  health(): Health {
    return this.#closed ? { ok: false, reason: 'closed' } : { ok: true };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#session.again = [...this.#open.keys(), ...this.#session.again].sort((a, b) => a - b);
    this.#open.clear();
    this.#channel.wake();
  }

  #woken(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        stop();
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const stop = this.#channel.listen(finish);
      signal.addEventListener('abort', finish);
    });
  }

  #take(): Delivery[] {
    const batch: Delivery[] = [];
    for (;;) {
      const index = this.#nextIndex();
      if (index < 0) return batch;
      const message = this.#message(this.#channel.pushed[index]);
      if (!this.#fits(message.payload.length)) {
        this.#session.again.unshift(index);
        return batch;
      }
      this.#open.set(index, message.payload.length);
      this.#bytes += message.payload.length;
      batch.push({ message, settle: (outcome) => this.#settle(index, outcome) });
    }
  }

  #nextIndex(): number {
    const again = this.#session.again.shift();
    if (again !== undefined) return again;
    const { pushed } = this.#channel;
    while (this.#session.next < pushed.length) {
      const index = this.#session.next++;
      if (this.#wants(pushed[index].topic)) return index;
    }
    return -1;
  }

  #fits(bytes: number): boolean {
    if (this.#open.size === 0) return true;
    const { maxInFlight, maxInFlightBytes } = this.#context;
    return this.#open.size < maxInFlight && this.#bytes + bytes <= maxInFlightBytes;
  }

  #settle(index: number, outcome: Outcome): void {
    const bytes = this.#open.get(index);
    if (bytes === undefined) return; // settled before, or closed: it comes again
    this.#open.delete(index);
    this.#bytes -= bytes;
    this.#channel.settled.push({ source: this.name, index, outcome });
    if (outcome === 'done') this.#session.done.add(index);
    else this.#session.again.push(index);
    this.#channel.wake();
  }

  #message({ topic, payload, key = null, headers = {}, at, position = '', label }: Pushed): Message {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const fixed = { source: this.name, topic, key, payload: bytes, headers, position };
    return { ...fixed, at: at ?? this.#context.clock.now(), ...(label === undefined ? {} : { label }) };
  }
}

class MemorySink implements Sink {
  readonly name: string;
  readonly #channel: MemoryChannel;
  #closed = false;

  constructor(name: string, options: MemorySinkOptions) {
    this.name = name;
    this.#channel = memoryChannel(options.channel);
  }

  async publish(batch: readonly Outgoing[]): Promise<void> {
    await this.#channel.slowness?.();
    if (this.#closed) throw new SluiceError('PUBLISH_FAILED', `${this.name} is closed`);
    if (this.#channel.failWith) throw this.#channel.failWith;
    this.#channel.published.push(...batch);
    if (this.#channel.loops) this.#channel.push(...batch);
  }

  health(): Health {
    const { failWith } = this.#channel;
    if (this.#closed) return { ok: false, reason: 'closed' };
    return failWith ? { ok: false, reason: failWith.message } : { ok: true };
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

class MemoryBoard implements Board {
  readonly #channel: MemoryChannel;
  readonly #own = new Set<(name: string, payload: Uint8Array) => void>();

  constructor({ channel }: MemorySinkOptions) {
    this.#channel = memoryChannel(channel);
  }

  async put(name: string, payload: Uint8Array | string | null): Promise<void> {
    demandName(name);
    await this.#channel.slowness?.();
    if (this.#channel.failWith) throw this.#channel.failWith;
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    if (!bytes) this.#channel.kept.delete(name);
    else {
      this.#channel.kept.set(name, bytes);
      for (const watcher of [...this.#channel.watchers]) watcher(name, bytes);
    }
  }

  watch(pattern: string, seen: (name: string, payload: Uint8Array) => void): { stop(): Promise<void> } {
    const matches = matcher(pattern);
    const watcher = (name: string, payload: Uint8Array) => {
      if (matches(name)) queueMicrotask(() => this.#own.has(watcher) && seen(name, payload));
    };
    this.#own.add(watcher);
    this.#channel.watchers.add(watcher);
    for (const [name, payload] of this.#channel.kept) watcher(name, payload);
    return {
      stop: async () => {
        this.#own.delete(watcher);
        this.#channel.watchers.delete(watcher);
      },
    };
  }

  health(): Health {
    const { failWith } = this.#channel;
    return failWith ? { ok: false, reason: failWith.message } : { ok: true };
  }

  async close(): Promise<void> {
    for (const watcher of this.#own) this.#channel.watchers.delete(watcher);
    this.#own.clear();
  }
}

type MemoryTransport = Transport<MemorySourceOptions, MemorySinkOptions>;

export const memory: MemoryTransport & { readonly sink: NonNullable<MemoryTransport['sink']> } = {
  summary: 'Channels within the process, for tests.',
  source: {
    options: sourceOptions,
    open: (name, options, context) => new MemorySource(name, options, context),
  },
  sink: {
    options: sinkOptions,
    open: (name, options) => new MemorySink(name, options),
    topic: (site, task, what) => `sluice/${site}/${task}/${what}`,
    openFeedback: (name, { channel }, topics, context) =>
      new MemorySource(name, { channel, topics: [...topics] }, context),
    openBoard: (_name, options) => new MemoryBoard(options),
    openFleet: (reader, { channel }, task, whats, context) => {
      const topics = whats.map((what) => matcher(`sluice/+/${task}/${what}`));
      return new MemorySource(`${reader}-${task}`, { channel }, context, (topic) =>
        topics.some((matches) => matches(topic)),
      );
    },
  },
};
