/**
 * Apache Kafka as a transport: consumer groups with manual commits in, an idempotent producer out. Promises at least
 * once in both directions and survives brokers that die and come back. Refuses transactions (exactly once
 * would need the store inside them) and regular expressions for topics. The client package stays inside
 * this folder, so that another can take its place.
 */
import { randomUUID } from 'node:crypto';
import type { Board, IoContext, Sink, Source, Transport } from '../contract.ts';
import { TransportBoard } from './board.ts';
import {
  type KafkaSinkOptions,
  type KafkaSourceOptions,
  sinkOptions,
  sourceOptions,
} from './kafka/options.ts';
import { KafkaSink } from './kafka/sink.ts';
import { KafkaSource } from './kafka/source.ts';
import { createCompacted, deleteGroup } from './kafka/topics.ts';
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
    openBoard,
    openFleet: (reader, options, task, whats, context) => {
      const topics = whats.map((what) => topicFrom(DEFAULT_TOPIC, context.site, task, what, options.topics));
      return openReader(
        `${reader}-${task}`,
        options,
        `sluice-${context.site}-${reader}-${task}`,
        topics,
        context,
      );
    },
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
  const tasks = [...topics].sort().map((topic) => topic.replace(/^sluice\./, '').replace(/\.feedback$/, ''));
  const group = `sluice-${context.site}-${tasks.join('-')}-feedback`;
  return openReader(name, options, group, topics, context);
}

/** A source on the brokers of a sink, in a group of its own, from the beginning. */
function openReader(
  name: string,
  options: KafkaSinkOptions,
  group: string,
  topics: readonly string[],
  context: IoContext,
): Source {
  const { brokers, clientId, tls, sasl, connectTimeout, requestTimeout, createTopics } = options;
  const connection = { brokers, clientId, tls, sasl, connectTimeout, requestTimeout };
  const defaults = sourceOptions.parse({ brokers, topics });
  const own = { ...defaults, ...connection, createTopics, group, fromBeginning: true };
  return new KafkaSource(name, own, context);
}

/**
 * One compacted topic for each task, `sluice.<task>.models` (or what `topics.models` names), with one partition, so that
 * values keep their order across names. Names say their task in the third level. A watch reads the topic from its
 * beginning, in a group that is removed afterwards.
 */
function openBoard(name: string, options: KafkaSinkOptions, context: IoContext): Board {
  const topicOf = (value: string): string =>
    topicFrom(DEFAULT_TOPIC, context.site, value.split('/')[2] ?? '', 'models', options.topics);
  const ready = new Map<string, Promise<void>>();
  const prepare = (value: string): Promise<void> => {
    const topic = topicOf(value);
    const begun = ready.get(topic) ?? createCompacted(options, context.site, topic);
    ready.set(topic, begun);
    begun.catch(() => ready.delete(topic));
    return begun;
  };
  return new TransportBoard(
    {
      sink: new KafkaSink(`${name}-board`, options, context),
      prepare: options.createTopics ? prepare : undefined,
      place: (value) => ({ topic: topicOf(value), key: value }),
      nameOf: ({ key }) => key,
      open: (pattern) => {
        const group = `sluice-${context.site}-${name}-board-${randomUUID()}`;
        const source = openReader(
          `${name}-board`,
          { ...options, createTopics: false },
          group,
          [topicOf(pattern)],
          context,
        );
        return { source, ended: () => deleteGroup(options, context.site, group) };
      },
    },
    context,
  );
}
