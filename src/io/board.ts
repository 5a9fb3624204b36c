/**
 * A board over any transport that keeps the last value of a name: a sink to put, and for each watch a source of its own
 * that begins with everything that is kept. Promises: a value is seen at least once, also after the connection was
 * lost; values of one name in the order in which they were put. Refuses names with empty levels or wildcards
 * (BROKER_REFUSED). Values that cannot be read by whoever watches are that one's affair: nothing is held back.
 */
import type { Board, Delivery, Health, IoContext, Message, Outgoing, Sink, Source } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';

const AGAIN_MS = 1_000;

/** What a transport brings. */
export interface BoardParts {
  readonly sink: Sink;
  /** Called before a value is put or names are watched (then with a pattern); creates what the broker lacks. */
  prepare?(name: string): Promise<void>;
  /** Where the value of a name lies. */
  place(name: string): Pick<Outgoing, 'topic' | 'key'>;
  /** The name of a message, or null where it is none of ours. */
  nameOf(message: Message): string | null;
  /** A source that gives everything that is kept under the pattern, and what comes. `ended` after it was closed. */
  open(pattern: string): { readonly source: Source; ended?(): Promise<void> };
}

type Seen = (name: string, payload: Uint8Array) => void;

export class TransportBoard implements Board {
  readonly #parts: BoardParts;
  readonly #context: IoContext;
  readonly #watches = new Set<{ readonly source: Source; stop(): Promise<void> }>();
  #closed = false;

  constructor(parts: BoardParts, context: IoContext) {
    this.#parts = parts;
    this.#context = context;
  }

  async put(name: string, payload: Uint8Array | string | null): Promise<void> {
    demandName(name);
    await this.#parts.prepare?.(name);
    // An empty retained message removes (MQTT 5, 3.3.1.3); the Kafka sink writes a tombstone for it.
    await this.#parts.sink.publish([{ ...this.#parts.place(name), payload: payload ?? '', retain: true }]);
  }

  watch(pattern: string, seen: Seen): { stop(): Promise<void> } {
    const { source, ended } = this.#parts.open(pattern);
    const stopping = new AbortController();
    const reading = this.#read(source, pattern, seen, stopping.signal);
    const watch = {
      source,
      stop: async () => {
        if (!this.#watches.delete(watch)) return;
        stopping.abort();
        await reading;
        await source.close();
        await ended?.();
      },
    };
    this.#watches.add(watch);
    return watch;
  }

  health(): Health {
    if (this.#closed) return { ok: false, reason: 'closed' };
    const parts = [this.#parts.sink.health(), ...[...this.#watches].map(({ source }) => source.health())];
    return parts.find((health) => !health.ok) ?? { ok: true };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#watches].map((watch) => watch.stop()));
    await this.#parts.sink.close();
  }

  async #read(source: Source, pattern: string, seen: Seen, signal: AbortSignal): Promise<void> {
    const matches = matcher(pattern);
    // Who watches a board that nobody has put anything on waits for values, not for the board. Where it may not be made,
    // reading says what is missing.
    const stopped = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([this.#parts.prepare?.(pattern).catch(() => undefined), stopped]);
    while (!signal.aborted) {
      try {
        for await (const deliveries of source.read(signal)) this.#take(deliveries, matches, seen);
        return;
      } catch (thrown) {
        this.#context.telemetry.error(asSluiceError(thrown), { source: source.name });
        await this.#context.clock.sleep(AGAIN_MS, signal);
      }
    }
  }

  #take(deliveries: readonly Delivery[], matches: (name: string) => boolean, seen: Seen): void {
    for (const delivery of deliveries) {
      const { message } = delivery;
      const name = this.#parts.nameOf(message);
      try {
        if (name !== null && matches(name) && message.payload.length > 0) seen(name, message.payload);
      } catch (thrown) {
        this.#context.telemetry.error(asSluiceError(thrown), { name: name ?? '' });
      }
      delivery.settle('done');
    }
  }
}

/** Throws BROKER_REFUSED for a name with empty levels or wildcards. */
export function demandName(name: string): void {
  const whole = name.split('/').every((level) => level !== '' && !/[+#\0]/.test(level));
  if (!whole) throw new SluiceError('BROKER_REFUSED', `${JSON.stringify(name)} is no name of a board`);
}

/** `+` stands for one whole level. */
export function matcher(pattern: string): (name: string) => boolean {
  const wanted = pattern.split('/');
  return (name) => {
    const levels = name.split('/');
    return (
      levels.length === wanted.length && wanted.every((level, i) => level === '+' || level === levels[i])
    );
  };
}
