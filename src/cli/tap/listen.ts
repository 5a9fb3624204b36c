/**
 * An onlooker's connections, one listener a sink: QoS 0, in a session that the broker forgets at once (Kafka: see
 * kafka.ts). It never uses the ids of the gateway, so the gateway's sessions, groups and retained messages
 * are untouched. Each listener stands alone: a broker that is away takes none of the others along.
 */
import { randomUUID } from 'node:crypto';
import { topicOf } from '../../app/transport.ts';
import type { Config } from '../../config.ts';
import type { IoContext, Source } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import type { KafkaSinkOptions } from '../../io/kafka.ts';
import { mqtt } from '../../io/mqtt.ts';
import { type Kind, type Place, usualPlace } from './happening.ts';
import { KafkaListener } from './kafka.ts';
import { follow, type Listener } from './listener.ts';

const session = (): string => `sluice-tap-${randomUUID().slice(0, 8)}`;

function listener(name: string, source: Source, place: (topic: string) => Place | null): Listener {
  return {
    name,
    health: () => source.health(),
    async run(hear, _tell, signal) {
      try {
        await follow(source, place, hear, signal);
      } finally {
        await source.close();
      }
    },
  };
}

/** Everything of the usual topic names on one MQTT broker. Throws USAGE for an address that is none. */
export function listenUrl(
  url: string,
  what: readonly Kind[],
  task: string | undefined,
  version: 4 | 5,
  io: IoContext,
): Listener {
  const topics = what.map((kind) => mqtt.sink.topic('+', task ?? '+', kind));
  const given = { url, version, topics, qos: 0, session: session(), sessionExpiry: 0 };
  const options = mqtt.source.options.safeParse(given);
  if (!options.success)
    throw new SluiceError(
      'USAGE',
      `${options.error.issues[0].message} (${options.error.issues[0].path.join('.')})`,
    );
  return listener('url', mqtt.source.open('tap', options.data, io), usualPlace);
}

/** The topics of a configuration's sinks, one listener a sink; those of one task where it is named. */
export function listenConfig(
  config: Config,
  what: readonly Kind[],
  task: string | undefined,
  io: IoContext,
): Listener[] {
  if (task !== undefined && !Object.hasOwn(config.tasks, task))
    throw new SluiceError(
      'USAGE',
      `there is no task ${task}; there are ${Object.keys(config.tasks).join(', ')}`,
    );
  const all = Object.keys(config.sinks).flatMap((sink) => listenSink(config, sink, what, task, io) ?? []);
  if (all.length === 0)
    throw new SluiceError('USAGE', 'the configuration has no MQTT or Kafka sink for this');
  return all;
}

function listenSink(
  config: Config,
  name: string,
  what: readonly Kind[],
  task: string | undefined,
  io: IoContext,
): Listener | null {
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
  if (options.type === 'mqtt') {
    const { url, version, user, password, tls, keepalive, connectTimeout, reconnect } = options;
    const connection = { url, version, user, password, tls, keepalive, connectTimeout, reconnect };
    const own = { topics, qos: 0, session: session(), sessionExpiry: 0, retryAfter: 1_000 } as const;
    const source = mqtt.source.open(`tap-${name}`, { ...connection, ...own }, io);
    return listener(name, source, (topic) => places.get(topic) ?? null);
  }
  // The type of the configuration does not tell Kafka sinks apart; the schema did.
  if ((options.type as string) === 'kafka')
    return new KafkaListener(name, options as unknown as KafkaSinkOptions, places, session, io);
  return null;
}
