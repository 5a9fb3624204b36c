/**
 * MQTT 5 and 3.1.1 over mqtt.js: sources that acknowledge last (see mqtt/source.ts), sinks that confirm
 * or fail (mqtt/sink.ts). Refuses QoS 2 in sources, where mqtt.js would confirm before the work is done.
 *
 * mqtt.js is pinned: sources build on what `handleMessage` does with an error; test/io/mqtt.client.test.ts
 * holds that down.
 */
import type { Transport } from '../contract.ts';
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
      const { url, version, user, password, tls, keepalive, connectTimeout, reconnect, sessionExpiry } =
        options;
      const session = feedbackIdOf(context.site, name, options.session);
      const own: MqttSourceOptions = {
        ...{ url, version, user, password, tls, keepalive, connectTimeout, reconnect, sessionExpiry },
        ...{ session, topics: [...topics], qos: 1, retryAfter: 1_000 },
      };
      return new MqttSource(name, own, context);
    },
  },
};
