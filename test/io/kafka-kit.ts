/** What the Kafka tests share: a context, sources and sinks with test-sized timeouts, and waiting for a condition. */
import { randomUUID } from 'node:crypto';
import type { Delivery, IoContext, Message, Sink, Source } from '../../src/contract.ts';
import { kafka } from '../../src/io/kafka.ts';
import { Telemetry } from '../../src/telemetry.ts';

export const silent = () => new Telemetry({ level: 'silent' });

export const wallClock = {
  now: () => Date.now(),
  sleep: (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      if (signal?.aborted) return resolve();
      const finish = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal?.addEventListener('abort', finish);
    }),
};

export function context(more: Partial<IoContext> = {}): IoContext {
  return {
    site: 'test',
    clock: wallClock,
    telemetry: silent(),
    maxInFlight: 1_000,
    maxInFlightBytes: 64 * 1024 * 1024,
    ...more,
  };
}

export const unique = (name: string) => `${name}-${randomUUID().slice(0, 8)}`;

export function openSource(
  brokers: readonly string[],
  topic: string,
  options: Record<string, unknown> = {},
  more: Partial<IoContext> = {},
): Source {
  const parsed = kafka.source.options.parse({
    brokers: [...brokers],
    topics: [topic],
    group: `group-${topic}`,
    sessionTimeout: '3s',
    rebalanceTimeout: '6s',
    commitInterval: '50ms',
    fetchWait: '100ms',
    ...options,
  });
  return kafka.source.open('in', parsed, context(more));
}

export function openSink(
  brokers: readonly string[],
  options: Record<string, unknown> = {},
  more: Partial<IoContext> = {},
): Sink {
  const parsed = kafka.sink.options.parse({ brokers: [...brokers], ...options });
  return kafka.sink.open('out', parsed, context(more));
}

export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  ms = 20_000,
): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await wallClock.sleep(20);
  }
}

/** Reads in the background; `each` decides about every delivery. */
export function consume(source: Source, each: (delivery: Delivery) => void | Promise<void>) {
  const stop = new AbortController();
  const seen: Message[] = [];
  const ended = (async () => {
    for await (const deliveries of source.read(stop.signal))
      for (const delivery of deliveries) {
        seen.push(delivery.message);
        await each(delivery);
      }
  })();
  return {
    seen,
    async stop() {
      stop.abort();
      await ended;
    },
    async close() {
      stop.abort();
      await ended;
      await source.close();
    },
  };
}

export const text = (message: Message) => Buffer.from(message.payload).toString('utf8');

/** Publishes `count` numbered messages, `0` first, over `keys` keys. */
export async function publishNumbers(
  sink: Sink,
  topic: string,
  count: number,
  keys = 8,
  from = 0,
): Promise<void> {
  for (let at = from; at < from + count; at += 500) {
    const size = Math.min(500, from + count - at);
    await sink.publish(
      Array.from({ length: size }, (_, i) => ({
        topic,
        key: `k${(at + i) % keys}`,
        payload: String(at + i),
      })),
    );
  }
}
