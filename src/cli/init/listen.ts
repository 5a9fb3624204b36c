/**
 * Listens on a broker for a while: in a session or group made up for this run, confirming nothing that another client
 * waits for, and holding no payload. Ends when its time is over, when it has heard enough, or when it is
 * stopped. Refuses brokers that cannot be reached or that refuse us (BROKER_UNREACHABLE, BROKER_AUTH).
 */
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../clock.ts';
import type { IoContext, Source } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { listTopics } from '../../io/kafka/topics.ts';
import { kafka } from '../../io/kafka.ts';
import { mqtt } from '../../io/mqtt.ts';
import { Telemetry } from '../../telemetry.ts';
import type { Address } from './address.ts';
import { Heard } from './heard.ts';

export interface ListenOptions {
  readonly address: Address;
  /** Filters or topics; empty: everything, within bounds. */
  readonly topics: readonly string[];
  /** null: found out. */
  readonly version: 4 | 5 | null;
  readonly ca: string | undefined;
  readonly sasl: string;
  /** How long, ms, from the moment it hears. */
  readonly ms: number;
  /** Called now and then. */
  readonly progress: (heard: Heard, seconds: number) => void;
}

export interface Listened {
  readonly heard: Heard;
  readonly version: 4 | 5;
  readonly seconds: number;
}

const CONNECT_MS = 15_000;
const POLL_MS = 50;
/** So much of every topic, and no new topic for so long, is enough. */
const ENOUGH_MESSAGES = 300;
const QUIET_MS = 10_000;
const MOST_MESSAGES = 200_000;
/** Of a Kafka that nobody named topics of. */
const MOST_TOPICS = 100;

/** Listens until one of the ends; `signal` is a person's wish to stop. */
export async function listen(options: ListenOptions, signal: AbortSignal): Promise<Listened> {
  const versions: readonly (4 | 5)[] = options.version === null ? [5, 4] : [options.version];
  for (const version of versions) {
    const source = await open(options, version);
    const more = version === 5 && versions.length > 1;
    const listened = await listenTo(source, options, more, signal);
    if (listened) return { ...listened, version };
  }
  throw new SluiceError('BROKER_UNREACHABLE', `${options.address.shown}: it speaks neither MQTT 5 nor 3.1.1`);
}

async function open({ address, topics, ca, sasl }: ListenOptions, version: 4 | 5): Promise<Source> {
  const io: IoContext = {
    site: 'init',
    clock: systemClock,
    telemetry: new Telemetry({ level: 'silent' }),
    maxInFlight: 2_000,
    maxInFlightBytes: 16 * 1024 ** 2,
  };
  const session = `sluice-init-${randomUUID().slice(0, 8)}`;
  const { secrets } = address;
  if (address.kind === 'mqtt') {
    const parsed = mqtt.source.options.safeParse({
      url: 'MQTT_QUERY' in secrets ? `${address.url}?${secrets.MQTT_QUERY}` : address.url,
      version,
      user: secrets.MQTT_USER,
      password: secrets.MQTT_PASSWORD,
      ...(ca === undefined ? {} : { tls: { ca } }),
      topics: topics.length > 0 ? topics : ['#'],
      qos: 0,
      session,
      sessionExpiry: 0,
    });
    return mqtt.source.open('init', orUsage(parsed), io);
  }
  const connection = {
    brokers: [...address.brokers],
    tls: address.tls && ca !== undefined ? { ca } : address.tls,
    ...('KAFKA_USER' in secrets
      ? { sasl: { mechanism: sasl, username: secrets.KAFKA_USER, password: secrets.KAFKA_PASSWORD ?? '' } }
      : {}),
  };
  const first = orUsage(kafka.source.options.safeParse({ ...connection, topics: ['any'], group: session }));
  const found = await existing(await listTopics(first, 'init'), topics, address.shown);
  return kafka.source.open('init', { ...first, topics: found }, io);
}

async function existing(
  there: ReadonlySet<string>,
  asked: readonly string[],
  shown: string,
): Promise<string[]> {
  const missing = asked.filter((topic) => !there.has(topic));
  if (missing.length > 0)
    throw new SluiceError('INPUT_NOT_FOUND', `${shown} has no topic ${missing.join(', ')}`);
  if (asked.length > 0) return [...asked];
  const all = [...there].filter((topic) => !/^(?:_|sluice\.)/.test(topic)).sort();
  if (all.length === 0) throw new SluiceError('NOTHING_HEARD', `${shown} has no topics`);
  if (all.length > MOST_TOPICS)
    throw new SluiceError(
      'USAGE',
      `${shown} has ${all.length} topics; name those that matter after the address`,
    );
  return all;
}

type Parsed<T> =
  | { readonly success: true; readonly data: T }
  | {
      readonly success: false;
      readonly error: {
        readonly issues: readonly { readonly message: string; readonly path: readonly PropertyKey[] }[];
      };
    };

function orUsage<T>(parsed: Parsed<T>): T {
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SluiceError('USAGE', `${issue.path.join('.')}: ${issue.message}`);
}

/** null where the broker does not speak this version and another may be tried. */
async function listenTo(
  source: Source,
  options: ListenOptions,
  more: boolean,
  signal: AbortSignal,
): Promise<{ heard: Heard; seconds: number } | null> {
  const stop = new AbortController();
  const abort = () => stop.abort();
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  const heard = new Heard();
  const reading = read(source, heard, stop.signal);
  try {
    if (!(await hears(source, more, stop.signal))) return null;
    const began = systemClock.now();
    const seconds = () => (systemClock.now() - began) / 1_000;
    while (!stop.signal.aborted && seconds() * 1_000 < options.ms && !enough(heard)) {
      await systemClock.sleep(Math.min(POLL_MS, options.ms), stop.signal);
      options.progress(heard, seconds());
    }
    return { heard, seconds: seconds() };
  } finally {
    stop.abort();
    signal.removeEventListener('abort', abort);
    await reading;
    await source.close();
  }
}

async function read(source: Source, heard: Heard, signal: AbortSignal): Promise<void> {
  for await (const deliveries of source.read(signal)) {
    for (const delivery of deliveries) {
      if (!signal.aborted) heard.add(delivery.message, systemClock.now());
      delivery.settle('done');
    }
  }
}

/** Resolves to true when it hears, to false where another version may be spoken. Throws what keeps it from that. */
async function hears(source: Source, more: boolean, signal: AbortSignal): Promise<boolean> {
  const since = systemClock.now();
  while (!signal.aborted) {
    const health = source.health();
    if (health.ok) return true;
    const { reason } = health;
    if (more && /version/.test(reason)) return false;
    const text = reason.replace(/^[A-Z_]+: /, '');
    if (reason.startsWith('BROKER_AUTH')) throw new SluiceError('BROKER_AUTH', text);
    if (systemClock.now() - since > CONNECT_MS) throw new SluiceError('BROKER_UNREACHABLE', text);
    await systemClock.sleep(POLL_MS, signal);
  }
  return true;
}

function enough(heard: Heard): boolean {
  if (heard.messages >= MOST_MESSAGES) return true;
  if (heard.topics.size === 0 || systemClock.now() - heard.newestTopicAt < QUIET_MS) return false;
  return [...heard.topics.values()].every(({ messages }) => messages >= ENOUGH_MESSAGES);
}
