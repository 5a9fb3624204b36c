/** What the MQTT tests share: contexts, opened sources and sinks that are closed at the end, waiting. */
import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Delivery, IoContext, Outgoing, Sink, Source } from '../../src/contract.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { Telemetry } from '../../src/telemetry.ts';

let serial = 0;

/** Another name for each use, so that no test meets another's session. */
export function fresh(prefix: string): string {
  serial += 1;
  return `${prefix}-${process.pid}-${serial}`;
}

export function contextOf(more: Partial<IoContext> = {}): IoContext {
  return {
    site: 'test',
    clock: systemClock,
    telemetry: new Telemetry({ level: 'silent' }),
    maxInFlight: 1_000,
    maxInFlightBytes: 64 * 1024 * 1024,
    ...more,
  };
}

export function openSource(
  options: Record<string, unknown>,
  context = contextOf(),
  name = fresh('source'),
): Source {
  const source = mqtt.source.open(name, mqtt.source.options.parse(options), context);
  onTestFinished(() => source.close());
  return source;
}

export function openSink(
  options: Record<string, unknown>,
  context = contextOf(),
  name = fresh('sink'),
): Sink {
  const sink = mqtt.sink.open(name, mqtt.sink.options.parse(options), context);
  onTestFinished(() => sink.close());
  return sink;
}

/** Waits for a condition; fails with its name after twenty seconds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`it never came about that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function ready(...parts: readonly (Source | Sink)[]): Promise<void> {
  for (const part of parts)
    await until(`${part.name} is healthy, but: ${JSON.stringify(part.health())}`, () => part.health().ok);
}

/** Reads in the background and keeps what comes; settles it as it is told to. */
export class Reader {
  readonly deliveries: Delivery[] = [];
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;

  constructor(source: Source, settle: (delivery: Delivery) => void = () => {}) {
    this.#done = (async () => {
      for await (const batch of source.read(this.#abort.signal))
        for (const delivery of batch) {
          this.deliveries.push(delivery);
          settle(delivery);
        }
    })();
    onTestFinished(() => this.stop());
  }

  get texts(): string[] {
    return this.deliveries.map(({ message }) => Buffer.from(message.payload).toString());
  }

  async has(count: number): Promise<void> {
    await until(`${count} messages have come`, () => this.deliveries.length >= count);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }
}

export const settleDone = (delivery: Delivery): void => delivery.settle('done');

export function numbered(topic: string, count: number, bytes = 0): Outgoing[] {
  return Array.from({ length: count }, (_, i) => ({
    topic,
    key: null,
    payload: String(i).padEnd(bytes, ' '),
  }));
}

export const range = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
