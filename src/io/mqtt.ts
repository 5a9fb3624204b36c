/**
 * MQTT 5 and 3.1.1 over mqtt.js: sources that acknowledge last (see mqtt/source.ts), sinks that confirm
 * or fail (mqtt/sink.ts). Refuses QoS 2 in sources, where mqtt.js would confirm before the work is done.
 *
 * mqtt.js is pinned: sources build on what `handleMessage` does with an error; test/io/mqtt.client.test.ts
 * holds that down.
 */
import { randomUUID } from 'node:crypto';
import type { Board, IoContext, Source, Transport } from '../contract.ts';
import { TransportBoard } from './board.ts';
import { feedbackIdOf } from './mqtt/ids.ts';
import { type MqttSinkOptions, type MqttSourceOptions, sinkOptions, sourceOptions } from './mqtt/options.ts';
import { MqttSink } from './mqtt/sink.ts';
import { MqttSource } from './mqtt/source.ts';
import { topicFrom } from './topics.ts';

export type { MqttSinkOptions, MqttSourceOptions } from './mqtt/options.ts';

const DEFAULT_TOPIC = 'sluice/{site}/{task}/{what}';

type MqttTransport = Transport<MqttSourceOptions, MqttSinkOptions>;

export const mqtt: MqttTransport & { readonly sink: NonNullable<MqttTransport['sink']> } = {
  summary: 'MQTT 5 and 3.1.1 brokers such as mosquitto, HiveMQ or EMQX.',
  source: {
    options: sourceOptions,
    open: (name, options, context) => new MqttSource(name, options, context),
  },
  sink: {
    options: sinkOptions,
    open: (name, options, context) => new MqttSink(name, options, context),
    topic: (...names) => topicFrom(DEFAULT_TOPIC, ...names),
    openFeedback: (name, options, topics, context) => {
      const session = feedbackIdOf(context.site, name, options.session);
      return openReader(name, options, session, topics, context);
    },
    openBoard,
    openFleet: (reader, options, task, whats, context) => {
      const topics = whats.map((what) => topicFrom(DEFAULT_TOPIC, '+', task, what, options.topics));
      const session = `${options.session ?? `sluice-${context.site}`}-${reader}-${task}`;
      return openReader(`${reader}-${task}`, options, session, topics, context);
    },
  },
};

/** A source on the broker of a sink, in a session of its own. `expiry` 0: the broker keeps nothing but retained messages. */
function openReader(
  name: string,
  options: MqttSinkOptions,
  session: string,
  topics: readonly string[],
  context: IoContext,
  sessionExpiry = options.sessionExpiry,
): Source {
  const { url, version, user, password, tls, keepalive, connectTimeout, reconnect } = options;
  const own: MqttSourceOptions = {
    ...{ url, version, user, password, tls, keepalive, connectTimeout, reconnect, sessionExpiry },
    ...{ session, topics: [...topics], qos: 1, retryAfter: 1_000 },
  };
  return new MqttSource(name, own, context);
}

/** Retained messages under `sluice/`, or under the prefix that `topics.models` names. */
function openBoard(name: string, options: MqttSinkOptions, context: IoContext): Board {
  const prefix = `${options.topics.models ?? 'sluice'}/`;
  const own = `${options.session ?? `sluice-${context.site}`}-${name}-board`;
  const session = () => `${own}-${randomUUID().slice(0, 8)}`;
  const { will: _will, birth: _birth, ...plain } = options;
  const qos = plain.qos === 0 ? 1 : plain.qos;
  return new TransportBoard(
    {
      sink: new MqttSink(`${name}-board`, { ...plain, qos, session: session() }, context),
      place: (value) => ({ topic: prefix + value, key: null }),
      nameOf: ({ topic }) => (topic.startsWith(prefix) ? topic.slice(prefix.length) : null),
      open: (pattern) => ({
        source: openReader(`${name}-board`, options, session(), [prefix + pattern], context, 0),
      }),
    },
    context,
  );
}
