/**
 * What goes into one produce request and whether the answer covers it. Messages are measured before they are sent; a
 * request stays below what brokers take as one record batch.
 */
import kafkajs, { type Message as KafkaMessage, type RecordMetadata } from 'kafkajs';
import type { Outgoing } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';

/** A partition's part of a request is one record batch, which the broker limits (1 MiB by default). */
const REQUEST_BYTES = 768 * 1024;
/** kafkajs groups messages in quadratic time. */
export const REQUEST_MESSAGES = 1_000;
const RECORD_OVERHEAD = 96;

/** A message ready to send; `bytes` is about its size in the log. */
export interface Prepared {
  readonly topic: string;
  readonly key: string | null;
  /** null removes the key from a compacted topic. */
  readonly value: Buffer | string | null;
  readonly headers: Record<string, string> | undefined;
  readonly bytes: number;
}

export function prepare(message: Outgoing): Prepared {
  const { topic, key, payload, headers, retain } = message;
  const text =
    typeof payload === 'string'
      ? payload
      : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const value = retain && text.length === 0 ? null : text;
  let bytes = RECORD_OVERHEAD + Buffer.byteLength(text) + (key === null ? 0 : Buffer.byteLength(key));
  for (const name in headers) bytes += Buffer.byteLength(name) + Buffer.byteLength(headers[name]) + 4;
  return { topic, key, value, headers: headers as Record<string, string> | undefined, bytes };
}

export function tooLarge(message: Prepared, limit: number): SluiceError {
  return new SluiceError(
    'MESSAGE_TOO_LARGE',
    `a message of ${message.bytes} bytes for ${message.topic} exceeds the limit of ${limit}`,
  );
}

/** The end of the request that begins at `from`: at least one message. */
export function requestEnd(messages: readonly Prepared[], from: number): number {
  let bytes = 0;
  let to = from;
  while (to < messages.length && to - from < REQUEST_MESSAGES) {
    bytes += messages[to].bytes;
    if (to > from && bytes > REQUEST_BYTES) break;
    to++;
  }
  return to;
}

/** Kafka's own choice (murmur2 of the key, else in turn), made once per message. */
export const pinningPartitioner = () => {
  const choose = kafkajs.Partitioners.DefaultPartitioner();
  return (args: Parameters<typeof choose>[0]): number => {
    args.message.partition ??= choose(args);
    return args.message.partition;
  };
};

export function groupByTopic(messages: readonly Prepared[]): Map<string, KafkaMessage[]> {
  const byTopic = new Map<string, KafkaMessage[]>();
  for (const { topic, key, value, headers } of messages) {
    const known = byTopic.get(topic);
    if (known) known.push({ key, value, headers });
    else byTopic.set(topic, [{ key, value, headers }]);
  }
  return byTopic;
}

/** Throws PUBLISH_FAILED where the answer leaves out a partition that messages were meant for. */
export function assertConfirmed(
  sent: ReadonlyMap<string, readonly KafkaMessage[]>,
  answer: readonly RecordMetadata[],
): void {
  const confirmed = new Set(answer.map(({ topicName, partition }) => `${topicName} ${partition}`));
  for (const [topic, messages] of sent)
    for (const { partition } of messages)
      if (!confirmed.has(`${topic} ${partition}`))
        throw new SluiceError('PUBLISH_FAILED', `partition ${partition} of ${topic} was not confirmed`);
}
