/**
 * How the simulated fleet reaches a broker: one sink for what it sends, one source for what comes back,
 * and the names of the topics. Everything goes through the same transports that users get, as a client
 * of its own with a session of its own, so that nothing of the gateway is shared.
 */
import { systemClock } from '../src/clock.ts';
import type { Clock, IoContext, Sink, Source, Transport } from '../src/contract.ts';
import { SluiceError } from '../src/errors.ts';
import { transports } from '../src/io/index.ts';
import { Telemetry } from '../src/telemetry.ts';
import { ANSWERS } from './answers.ts';
import { spread } from './spread.ts';

export interface Wire {
  readonly sink: Sink;
  /** Brings verdicts, dead letters and drift alarms of all tasks. */
  readonly answers: Source;
  /** Topic of `what` (`verdict`, `dead`, `drift`, `feedback`) of a task. */
  topic(task: string, what: string): string;
  /** Where a reading or a mail goes; `name` is the device or the mailbox. */
  address(kind: 'reading' | 'mail', name: string): { readonly topic: string; readonly key: string | null };
  /** True where messages need `ce_source` and `ce_id` headers, because the broker's position would name them. */
  readonly headers: boolean;
}

export interface WireOptions {
  readonly site: string;
  readonly tasks: readonly string[];
  /** Session and group of the simulator; two simulators on one broker need different ones. Default `sluice-sim-<site>`. */
  readonly session?: string;
  readonly clock?: Clock;
  readonly telemetry?: Telemetry;
}

/** The computer's clock, with fractions of a millisecond: a verdict may come within one. */
export const fineClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  sleep: systemClock.sleep,
};

/** Answers taken and not worked off yet, at most. They are small and worked off at once. */
const ANSWERS_IN_FLIGHT = 4_096;
const SESSION_EXPIRY_MS = 600_000;

/** What a transport gets from the simulator. */
export function contextOf(options: Pick<WireOptions, 'site' | 'clock' | 'telemetry'>): IoContext {
  return {
    site: options.site,
    clock: options.clock ?? fineClock,
    telemetry: options.telemetry ?? new Telemetry({ level: 'warn' }),
    maxInFlight: ANSWERS_IN_FLIGHT,
    maxInFlightBytes: 64 * 1024 * 1024,
  };
}

/** The sending half of a transport; those used here have one. */
function sinkSide<A, B>(transport: Transport<A, B>): NonNullable<Transport<A, B>['sink']> {
  if (!transport.sink) throw new SluiceError('INTERNAL', 'this transport cannot publish');
  return transport.sink;
}

const MQTT_INPUTS = { reading: 'plant', mail: 'mail/inbound' };

/**
 * MQTT: `plant/<device>/telemetry` and `mail/inbound/<mailbox>`, or under `inputs`. Version 4 is MQTT 3.1.1 (the embedded
 * broker).
 */
export function overMqtt(
  url: string | readonly string[],
  options: WireOptions & {
    readonly version?: 4 | 5;
    readonly inputs?: Readonly<Record<'reading' | 'mail', string>>;
    /** User, password, certificates: as in a configuration. */
    readonly access?: Readonly<Record<string, unknown>>;
    /** Connections that the devices share; default 1. */
    readonly connections?: number;
  },
): Wire {
  const inputs = options.inputs ?? MQTT_INPUTS;
  const { mqtt } = transports;
  const outward = sinkSide(mqtt);
  const context = contextOf(options);
  const session = options.session ?? `sluice-sim-${options.site}`;
  const version = options.version ?? 5;
  const topic = (task: string, what: string): string => outward.topic(options.site, task, what);
  const topics = options.tasks.flatMap((task) => ANSWERS.map((what) => topic(task, what)));
  const sinks = Array.from({ length: options.connections ?? 1 }, (_, i) => {
    const own = { ...options.access, url, version, session: `${session}-out${i === 0 ? '' : `-${i}`}` };
    return outward.open('simulator', outward.options.parse(own), context);
  });
  const source = mqtt.source.options.parse({
    ...options.access,
    url,
    version,
    topics,
    session,
    sessionExpiry: SESSION_EXPIRY_MS,
  });
  return {
    sink: spread(sinks),
    answers: mqtt.source.open('simulator-answers', source, context),
    topic,
    address: (kind, name) => ({
      topic: kind === 'mail' ? `${inputs.mail}/${name}` : `${inputs.reading}/${name}/telemetry`,
      key: null,
    }),
    headers: false,
  };
}

const KAFKA_INPUTS = { reading: 'plant.telemetry', mail: 'mail.inbound' };

/**
 * Kafka: topics `plant.telemetry` and `mail.inbound` (or `inputs`), keyed by device and mailbox. Topics that are
 * missing are made: otherwise simulator and gateway would wait for each other's first message.
 */
export function overKafka(
  brokers: readonly string[],
  options: WireOptions & {
    readonly inputs?: Readonly<Record<'reading' | 'mail', string>>;
    /** TLS and SASL: as in a configuration. */
    readonly access?: Readonly<Record<string, unknown>>;
  },
): Wire {
  const { kafka } = transports;
  const outward = sinkSide(kafka);
  const context = contextOf(options);
  const topic = (task: string, what: string): string => outward.topic(options.site, task, what);
  const topics = options.tasks.flatMap((task) => ANSWERS.map((what) => topic(task, what)));
  const sink = outward.options.parse({ ...options.access, brokers, createTopics: true });
  const group = options.session ?? `sluice-sim-${options.site}`;
  const source = kafka.source.options.parse({
    ...{ ...options.access, brokers, topics },
    ...{ group, createTopics: true },
  });
  return {
    sink: outward.open('simulator', sink, context),
    answers: kafka.source.open('simulator-answers', source, context),
    topic,
    address: (kind, name) => ({ topic: (options.inputs ?? KAFKA_INPUTS)[kind], key: name }),
    headers: true,
  };
}
