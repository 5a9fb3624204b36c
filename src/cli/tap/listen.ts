/**
 * An onlooker's connections: for each broker a source of its own, QoS 0, in a session that the broker
 * forgets at once (Kafka: in a consumer group made up for this run, from the newest message on). It never uses
 * the ids of the gateway, so the gateway's sessions, groups and retained messages are untouched.
 */
import { randomUUID } from 'node:crypto';
import { topicOf } from '../../app/transport.ts';
import type { Config } from '../../config.ts';
import type { IoContext, Source } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { type KafkaSinkOptions, kafka } from '../../io/kafka.ts';
import { mqtt } from '../../io/mqtt.ts';
import { type Kind, type Place, usualPlace } from './happening.ts';

export interface Tap {
  readonly source: Source;
  /** Where a topic belongs; null: not ours. */
  place(topic: string): Place | null;
}

const session = (): string => `sluice-tap-${randomUUID().slice(0, 8)}`;

/** Everything of the usual topic names on one MQTT broker. Throws USAGE for an address that is none. */
export function tapUrl(
  url: string,
  what: readonly Kind[],
  task: string | undefined,
  version: 4 | 5,
  io: IoContext,
): Tap {
  const topics = what.map((kind) => mqtt.sink.topic('+', task ?? '+', kind));
  const given = { url, version, topics, qos: 0, session: session(), sessionExpiry: 0 };
  const options = mqtt.source.options.safeParse(given);
  if (!options.success)
    throw new SluiceError(
      'USAGE',
      `${options.error.issues[0].message} (${options.error.issues[0].path.join('.')})`,
    );
  return { source: mqtt.source.open('tap', options.data, io), place: usualPlace };
}

/** The topics of a configuration's sinks, one tap a sink; those of one task where it is named. */
export function tapConfig(
  config: Config,
  what: readonly Kind[],
  task: string | undefined,
  io: IoContext,
): Tap[] {
  if (task !== undefined && !Object.hasOwn(config.tasks, task))
    throw new SluiceError(
      'USAGE',
      `there is no task ${task}; there are ${Object.keys(config.tasks).join(', ')}`,
    );
  const taps = Object.keys(config.sinks).flatMap((sink) => tapSink(config, sink, what, task, io) ?? []);
  if (taps.length === 0)
    throw new SluiceError('USAGE', 'the configuration has no MQTT or Kafka sink for this');
  return taps;
}

function tapSink(
  config: Config,
  name: string,
  what: readonly Kind[],
  task: string | undefined,
  io: IoContext,
): Tap | null {
  const options = config.sinks[name];
  const tasks = (options.tasks ?? Object.keys(config.tasks)).filter(
    (own) => task === undefined || own === task,
  );
  const places = new Map<string, Place>();
  for (const own of tasks)
    for (const kind of what)
      places.set(topicOf(config, name, own, kind), { kind, site: config.site, task: own });
  const topics = [...places.keys()];
  if (topics.length === 0) return null;
  const place = (topic: string): Place | null => places.get(topic) ?? null;
  if (options.type === 'mqtt') {
    const { url, version, user, password, tls, keepalive, connectTimeout, reconnect } = options;
    const connection = { url, version, user, password, tls, keepalive, connectTimeout, reconnect };
    const own = { topics, qos: 0, session: session(), sessionExpiry: 0, retryAfter: 1_000 } as const;
    return { source: mqtt.source.open(`tap-${name}`, { ...connection, ...own, topics }, io), place };
  }
  // The type of the configuration does not tell Kafka sinks apart; the schema did.
  if ((options.type as string) === 'kafka') {
    const given = options as unknown as KafkaSinkOptions;
    const { brokers, clientId, tls, sasl, connectTimeout, requestTimeout } = given;
    const own = kafka.source.options.parse({ brokers, topics, group: session(), fromBeginning: false });
    const connection = { brokers, clientId, tls, sasl, connectTimeout, requestTimeout };
    return { source: kafka.source.open(`tap-${name}`, { ...own, ...connection }, io), place };
  }
  return null;
}
