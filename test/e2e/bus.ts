/**
 * The user's side of a broker for tests: publishes inputs, sees verdicts and dead letters, sends feedback. It uses
 * the client libraries directly, so that a mistake in our own transports cannot hide itself.
 */
import kafkajs, { type Consumer, type Producer } from 'kafkajs';
import { connectAsync, type MqttClient } from 'mqtt';

const MAX_SEND_BYTES = 500_000;

export interface Bus {
  /** Resolves when the broker has it. */
  publish(topic: string, payload: Uint8Array | string, key?: string): Promise<void>;
  /** Every message of a topic from now on (MQTT) or from its start (Kafka); at least once. */
  subscribe(topic: string, onMessage: (payload: Buffer) => void): Promise<void>;
  close(): Promise<void>;
}

/** `version` 4 is MQTT 3.1.1: the embedded broker. */
export async function mqttBus(url: string, version: 4 | 5 = 5): Promise<Bus> {
  const id = Math.random().toString(36).slice(2);
  const open = (name: string) =>
    connectAsync(url, {
      protocolVersion: version,
      clientId: `bus-${name}-${id}`,
      clean: false,
      ...(version === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}),
    });
  const sender: MqttClient = await open('out');
  const reader: MqttClient = await open('in');
  const handlers = new Map<string, (payload: Buffer) => void>();
  reader.on('message', (topic, payload) => handlers.get(topic)?.(payload));
  return {
    publish: async (topic, payload) => {
      await sender.publishAsync(topic, payload as Buffer, { qos: 1 });
    },
    async subscribe(topic, onMessage) {
      handlers.set(topic, onMessage);
      await reader.subscribeAsync(topic, { qos: 1 });
    },
    async close() {
      await Promise.all([sender.endAsync(true), reader.endAsync(true)]);
    },
  };
}

export async function kafkaBus(
  brokers: readonly string[],
  topics: readonly string[],
  partitions = 3,
): Promise<Bus> {
  const kafka = new kafkajs.Kafka({
    brokers: [...brokers],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries: 30, initialRetryTime: 100, maxRetryTime: 1_000 },
  });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: topics.map((topic) => ({ topic, numPartitions: partitions })) });
  await admin.disconnect();
  const producer: Producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const consumers: Consumer[] = [];
  // One send a tick: kafkajs costs 90 us a call, and tests publish thousands one by one.
  let waiting: {
    topic: string;
    key: string | null;
    value: Buffer;
    done: () => void;
    failed: (e: unknown) => void;
  }[] = [];
  let sending: Promise<void> = Promise.resolve();
  const flush = () => {
    if (waiting.length === 0) return;
    // A broker takes a request of 1 MiB a partition by default.
    let end = 0;
    for (let bytes = 0; end < waiting.length; end++) {
      bytes += waiting[end].value.length;
      if (end > 0 && bytes > MAX_SEND_BYTES) break;
    }
    const batch = waiting.slice(0, end);
    waiting = waiting.slice(end);
    if (waiting.length > 0) setImmediate(flush);
    const topicsOf = [...new Set(batch.map((one) => one.topic))];
    const topicMessages = topicsOf.map((topic) => ({
      topic,
      messages: batch.filter((one) => one.topic === topic).map(({ key, value }) => ({ key, value })),
    }));
    sending = sending.then(() =>
      producer.sendBatch({ acks: -1, topicMessages }).then(
        () => {
          for (const one of batch) one.done();
        },
        (error) => {
          for (const one of batch) one.failed(error);
        },
      ),
    );
  };
  return {
    publish: (topic, payload, key) =>
      new Promise((resolve, reject) => {
        if (waiting.length === 0) setImmediate(flush);
        waiting.push({ topic, key: key ?? null, value: Buffer.from(payload), done: resolve, failed: reject });
      }),
    async subscribe(topic, onMessage) {
      const consumer = kafka.consumer({
        groupId: `bus-${topic}-${Math.random().toString(36).slice(2)}`,
        sessionTimeout: 10_000,
      });
      consumers.push(consumer);
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        eachBatch: async ({ batch }) => {
          for (const message of batch.messages) if (message.value) onMessage(message.value);
        },
      });
    },
    async close() {
      await sending;
      await Promise.all([...consumers.map((consumer) => consumer.disconnect()), producer.disconnect()]);
    },
  };
}
