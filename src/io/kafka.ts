/**
 * Apache Kafka as a transport: consumer groups with manual commits in, an idempotent producer out. Promises at least
 * once in both directions and survives brokers that die and come back. Refuses transactions (exactly once
 * would need the store inside them) and regular expressions for topics. The client package stays inside
 * this folder, so that another can take its place.
 */
import type { IoContext, Sink, Source, Transport } from '../contract.ts';
import {
  type KafkaSinkOptions,
  type KafkaSourceOptions,
  sinkOptions,
  sourceOptions,
} from './kafka/options.ts';
import { KafkaSink } from './kafka/sink.ts';
import { KafkaSource } from './kafka/source.ts';
import { topicFrom } from './topics.ts';

export type { KafkaSinkOptions, KafkaSourceOptions } from './kafka/options.ts';

const DEFAULT_TOPIC = 'sluice.{task}.{what}';

type KafkaTransport = Transport<KafkaSourceOptions, KafkaSinkOptions>;

export const kafka: KafkaTransport & { readonly sink: NonNullable<KafkaTransport['sink']> } = {
  summary: 'Apache Kafka 2.4 and later: consumer groups, committed only when settled; idempotent producer.',
  source: {
    options: sourceOptions,
    open: (name, options, context): Source => new KafkaSource(name, options, context),
  },
  sink: {
    options: sinkOptions,
    open: (name, options, context): Sink => new KafkaSink(name, options, context),
    topic: (...names) => topicFrom(DEFAULT_TOPIC, ...names),
    openFeedback,
  },
};

/**
 * Reads feedback in a group of this gateway's own, from the beginning: every gateway sees every label. The group is
 * named for what it reads (`sluice-<site>-spam-feedback`), so two tasks do not share positions.
 */
function openFeedback(
  name: string,
  options: KafkaSinkOptions,
  topics: readonly string[],
  context: IoContext,
): Source {
  const { brokers, clientId, tls, sasl, connectTimeout, requestTimeout, createTopics } = options;
  const tasks = [...topics].sort().map((topic) => topic.replace(/^sluice\./, '').replace(/\.feedback$/, ''));
  const connection = { brokers, clientId, tls, sasl, connectTimeout, requestTimeout };
  const defaults = sourceOptions.parse({ brokers, topics });
  const group = `sluice-${context.site}-${tasks.join('-')}-feedback`;
  return new KafkaSource(
    name,
    { ...defaults, ...connection, createTopics, group, fromBeginning: true },
    context,
  );
}
