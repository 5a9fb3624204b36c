/**
 * A stand for each row of the table of transports, on real brokers, so that the contract tests know nothing of any
 * of them. A transport without a row here does not type check.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/clock.ts';
import type { Board, IoContext, Sink, Source } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { files } from '../../src/io/files.ts';
import { HttpSource, http } from '../../src/io/http.ts';
import type { TransportName } from '../../src/io/index.ts';
import { kafka } from '../../src/io/kafka.ts';
import { dropMemoryChannel, memory, memoryChannel } from '../../src/io/memory.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { sharedKafka, whyNoKafka, withAdmin } from '../servers/kafka.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';

export interface Rig {
  /** A source on what `feed` gives; the same name is the same session, group or reader. */
  source(name: string, context?: Partial<IoContext>): Source;
  feed(payloads: readonly string[]): Promise<void>;
  /** Whether `feed` comes before the source opens (files), or after (a broker that keeps nothing for strangers). */
  readonly fedFirst: boolean;
  /** Whether what was settled is known to the next source of the name. */
  readonly remembers: boolean;
  readonly sink: SinkRig | null;
  close(): Promise<void>;
}

export interface SinkRig {
  open(name: string): Sink;
  /** On a place where nobody is. */
  away(name: string): Sink;
  /** One that takes messages of about a kilobyte; null where there is no limit. */
  readonly limited: ((name: string) => Sink) | null;
  /** A topic of its own, and what has arrived on it so far, in order. */
  watch(): Promise<{ readonly topic: string; readonly texts: () => string[] }>;
  feedback(name: string, topic: string): Source;
  /** As a user gives a label. */
  label(topic: string, payload: string): Promise<void>;
  board(name: string): Board;
  /** On a place where nobody is. */
  boardAway(name: string): Board;
}

let serial = 0;
export const fresh = (what: string): string => `${what}-${process.pid}-${serial++}`;

export function contextOf(more: Partial<IoContext> = {}): IoContext {
  const telemetry = new Telemetry({ level: 'silent' });
  return {
    site: 'rig',
    clock: systemClock,
    telemetry,
    maxInFlight: 1_000,
    maxInFlightBytes: 2 ** 26,
    ...more,
  };
}

/** Reads a source in the background and keeps its payloads. */
function textsOf(source: Source, stop: AbortSignal): () => string[] {
  const texts: string[] = [];
  void (async () => {
    for await (const batch of source.read(stop))
      for (const delivery of batch) {
        texts.push(Buffer.from(delivery.message.payload).toString());
        delivery.settle('done');
      }
  })();
  return () => texts;
}

export async function healthy(part: Source | Sink): Promise<void> {
  while (!part.health().ok) await systemClock.sleep(5);
}

async function memoryRig(): Promise<Rig> {
  const name = fresh('channel');
  const away = fresh('away');
  memoryChannel(away).failWith = new SluiceError('BROKER_UNREACHABLE', 'away');
  const sinkOn = (channel: string) => (sink: string) =>
    memory.sink.open(sink, memory.sink.options.parse({ channel }), contextOf());
  return {
    source: (source, context) =>
      memory.source.open(source, memory.source.options.parse({ channel: name }), contextOf(context)),
    feed: async (payloads) =>
      memoryChannel(name).push(...payloads.map((payload) => ({ topic: 't', payload }))),
    fedFirst: false,
    remembers: true,
    sink: {
      open: sinkOn(name),
      away: sinkOn(away),
      limited: null,
      async watch() {
        const topic = fresh('topic');
        const own = () => memoryChannel(name).published.filter((message) => message.topic === topic);
        return { topic, texts: () => own().map(({ payload }) => String(payload)) };
      },
      feedback: (source, topic) =>
        memory.sink.openFeedback(source, memory.sink.options.parse({ channel: name }), [topic], contextOf()),
      label: async (topic, payload) => memoryChannel(name).push({ topic, payload }),
      board: (board) => memory.sink.openBoard(board, { channel: name }, contextOf()),
      boardAway: (board) => memory.sink.openBoard(board, { channel: away }, contextOf()),
    },
    close: async () => [name, away].forEach(dropMemoryChannel),
  };
}

async function filesRig(): Promise<Rig> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-rig-'));
  return {
    source: (name, context) =>
      files.source.open(name, files.source.options.parse({ path: folder }), contextOf(context)),
    async feed(payloads) {
      for (const [i, payload] of payloads.entries())
        writeFileSync(path.join(folder, `${String(i).padStart(4, '0')}.eml`), payload);
    },
    fedFirst: true,
    remembers: false,
    sink: null,
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Senders that come again until they are answered with a verdict; the newest source of the rig is where they go. */
async function httpRig(): Promise<Rig> {
  let door: HttpSource | null = null;
  let over = false;
  const send = async (payload: string) => {
    while (!over) {
      const entrance = door!.enter('t', null);
      if (entrance.claim(payload.length))
        entrance.send({ payload: Buffer.from(payload), key: null, headers: {} });
      if ((await entrance.reply).kind === 'verdicts') return;
      await systemClock.sleep(5);
    }
  };
  return {
    source(name, context) {
      const source = new HttpSource(name, http.source.options.parse({ deadline: '20s' }), contextOf(context));
      if (name === 'reader') door = source;
      return source;
    },
    async feed(payloads) {
      for (const payload of payloads) void send(payload);
    },
    fedFirst: false,
    remembers: true,
    sink: null,
    close: async () => {
      over = true;
    },
  };
}

async function mqttRig(): Promise<Rig> {
  const broker = await Mosquitto.start();
  const topic = fresh('in');
  const stop = new AbortController();
  const source = (name: string, filter: string, context?: Partial<IoContext>) => {
    const options = { url: broker.url, topics: [filter], session: `${topic}-${name}`, retryAfter: '50ms' };
    return mqtt.source.open(name, mqtt.source.options.parse(options), contextOf(context));
  };
  const sinkWith = (more: object) => (name: string) =>
    mqtt.sink.open(name, mqtt.sink.options.parse({ url: broker.url, ...more }), contextOf());
  const feeder = sinkWith({})('feeder');
  const watchers: Source[] = [];
  return {
    source: (name, context) => source(name, topic, context),
    feed: (payloads) => feeder.publish(payloads.map((payload) => ({ topic, key: null, payload }))),
    fedFirst: false,
    remembers: true,
    sink: {
      open: sinkWith({}),
      away: sinkWith({ url: 'mqtt://127.0.0.1:1', publishTimeout: '1s' }),
      limited: sinkWith({ maxMessageSize: 1_000 }),
      async watch() {
        const own = fresh('out');
        const watcher = source(own, own);
        watchers.push(watcher);
        const texts = textsOf(watcher, stop.signal);
        await healthy(watcher);
        return { topic: own, texts };
      },
      feedback: (name, own) =>
        mqtt.sink.openFeedback(name, mqtt.sink.options.parse({ url: broker.url }), [own], contextOf()),
      label: (own, payload) => feeder.publish([{ topic: own, key: null, payload }]),
      board: (name) => mqtt.sink.openBoard(name, mqtt.sink.options.parse({ url: broker.url }), contextOf()),
      boardAway: (name) =>
        mqtt.sink.openBoard(name, mqtt.sink.options.parse({ url: 'mqtt://127.0.0.1:1' }), contextOf()),
    },
    async close() {
      stop.abort();
      await Promise.all([feeder, ...watchers].map((part) => part.close()));
      await broker.stop();
    },
  };
}

async function kafkaRig(): Promise<Rig> {
  const brokers = await sharedKafka();
  const topic = fresh('in');
  const stop = new AbortController();
  const source = (name: string, from: string, context?: Partial<IoContext>) => {
    const group = `${topic}-${name}`;
    const options = {
      brokers,
      topics: [from],
      group,
      sessionTimeout: '3s',
      fetchWait: '50ms',
      createTopics: true,
    };
    return kafka.source.open(name, kafka.source.options.parse(options), contextOf(context));
  };
  const sinkWith = (more: object) => (name: string) =>
    kafka.sink.open(name, kafka.sink.options.parse({ brokers, ...more }), contextOf());
  await withAdmin(brokers, (admin) => admin.createTopics({ topics: [{ topic }], waitForLeaders: true }));
  const feeder = sinkWith({})('feeder');
  const watchers: Source[] = [];
  return {
    source: (name, context) => source(name, topic, context),
    feed: (payloads) => feeder.publish(payloads.map((payload) => ({ topic, key: null, payload }))),
    fedFirst: false,
    remembers: true,
    sink: {
      open: sinkWith({}),
      away: sinkWith({ brokers: ['127.0.0.1:1'], publishTimeout: '500ms' }),
      limited: sinkWith({ maxMessageBytes: 1_000 }),
      async watch() {
        const own = fresh('out');
        const watcher = source(own, own);
        watchers.push(watcher);
        return { topic: own, texts: textsOf(watcher, stop.signal) };
      },
      feedback: (name, own) =>
        kafka.sink.openFeedback(name, kafka.sink.options.parse({ brokers }), [own], contextOf()),
      label: (own, payload) => feeder.publish([{ topic: own, key: null, payload }]),
      board: (name) => kafka.sink.openBoard(name, kafka.sink.options.parse({ brokers }), contextOf()),
      boardAway: (name) => {
        const nobody = { brokers: ['127.0.0.1:1'], publishTimeout: '500ms' };
        return kafka.sink.openBoard(name, kafka.sink.options.parse(nobody), contextOf());
      },
    },
    async close() {
      stop.abort();
      await Promise.all([feeder, ...watchers].map((part) => part.close()));
    },
  };
}

export const rigs: Readonly<
  Record<TransportName, { readonly missing: string | null; readonly make: () => Promise<Rig> }>
> = {
  mqtt: { missing: mosquittoMissing, make: mqttRig },
  kafka: { missing: await whyNoKafka(), make: kafkaRig },
  http: { missing: null, make: httpRig },
  files: { missing: null, make: filesRig },
  memory: { missing: null, make: memoryRig },
};
