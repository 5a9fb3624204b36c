import { createHash, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { mailFeed, readingFeed } from '../../firmware-sim/feeds.ts';
import { startFleet } from '../../firmware-sim/fleet.ts';
import { fineClock, overKafka, overMqtt, type Wire } from '../../firmware-sim/wire.ts';
import type { IoContext, Message, Sink, Source } from '../../src/contract.ts';
import { kafka } from '../../src/io/kafka.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { sharedKafka, whyNoKafka } from '../servers/kafka.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';

const telemetry = new Telemetry({ level: 'silent' });
const site = 'north';
const context: IoContext = {
  ...{ site, clock: fineClock, telemetry },
  ...{ maxInFlight: 5_000, maxInFlightBytes: 1e8 },
};

interface Gateway {
  readonly source: Source;
  readonly sink: Sink;
  identify(message: Message): string;
  taskOf(message: Message): string;
  topic(task: string, what: string): string;
}

/** Answers every message: a dead letter for what is no JSON and no mail, a verdict for the rest. */
async function serve(gateway: Gateway, signal: AbortSignal): Promise<void> {
  const { source, sink } = gateway;
  for await (const deliveries of source.read(signal)) {
    const out = deliveries.map(({ message }) => {
      const event = gateway.identify(message);
      const task = gateway.taskOf(message);
      const text = Buffer.from(message.payload).toString('latin1');
      const broken = task.startsWith('machine') && !/^\{.*"mode":"\w+"\}$/.test(text);
      const data = broken
        ? {
            code: 'DECODE_JSON',
            topic: message.topic,
            key: message.key,
            headers: message.headers,
            payload: Buffer.from(text, 'latin1').toString('base64'),
          }
        : { event, label: null };
      return {
        topic: gateway.topic(task, broken ? 'dead' : 'verdict'),
        key: null,
        payload: JSON.stringify({ specversion: '1.0', data }),
      };
    });
    await sink.publish(out);
    for (const delivery of deliveries) delivery.settle('done');
  }
}

async function run(gateway: Gateway, open: () => Wire, tasks: readonly [string, string]) {
  const stop = new AbortController();
  const serving = serve(gateway, stop.signal);
  while (!gateway.source.health().ok) await fineClock.sleep(20);
  const fleet = startFleet({
    wire: open(),
    telemetry,
    seed: 3,
    streams: [
      {
        task: tasks[0],
        feed: readingFeed({ seed: 3, devices: 6 }),
        rate: 500,
        labels: { delay: 0, fraction: 0.5 },
      },
      { task: tasks[1], feed: mailFeed({ seed: 3, garbage: 0 }), rate: 50 },
    ],
  });
  while (fleet.counts().tasks.some((task) => task.verdicts < 60)) await fineClock.sleep(20);
  const summary = await fleet.drain(15_000);
  await fleet.stop();
  stop.abort();
  await serving;
  await gateway.source.close();
  await gateway.sink.close();
  return summary;
}

const missing = await whyNoKafka();

describe('the fleet beside real brokers', () => {
  it.skipIf(mosquittoMissing)('loses nothing over mosquitto and MQTT 5', async () => {
    const broker = await Mosquitto.start();
    const { url } = broker;
    const topics = ['plant/+/telemetry', 'mail/inbound/+'];
    const gateway: Gateway = {
      source: mqtt.source.open('gateway', mqtt.source.options.parse({ url, topics }), context),
      sink: mqtt.sink.open('gateway-out', mqtt.sink.options.parse({ url }), context),
      identify: ({ topic, payload }) =>
        `sha256:${createHash('sha256').update(`${topic}\0\0`).update(payload).digest('hex').slice(0, 32)}`,
      taskOf: ({ topic }) => (topic.startsWith('plant/') ? 'machine' : 'spam'),
      topic: (task, what) => `sluice/${site}/${task}/${what}`,
    };
    const open = () => overMqtt(url, { site, tasks: ['machine', 'spam'], telemetry });
    const summary = await run(gateway, open, ['machine', 'spam']);
    await broker.stop();
    expect(summary).toMatchObject({ lost: 0, refused: 0, unreadableAnswers: 0 });
    for (const task of summary.tasks)
      expect(task).toMatchObject({ duplicates: 0, foreign: 0, outstanding: 0 });
  });

  it.skipIf(missing)(
    'loses nothing over Kafka, where its own headers name the messages',
    { timeout: 90_000 },
    async () => {
      const brokers = await sharedKafka();
      const run8 = randomUUID().slice(0, 8);
      const inputs = { reading: `plant-${run8}`, mail: `mail-${run8}` };
      const tasks = [`machine-${run8}`, `spam-${run8}`] as const;
      const source = { brokers, topics: Object.values(inputs), group: `gateway-${run8}`, createTopics: true };
      const gateway: Gateway = {
        source: kafka.source.open('gateway', kafka.source.options.parse(source), context),
        sink: kafka.sink!.open(
          'gateway-out',
          kafka.sink!.options.parse({ brokers, createTopics: true }),
          context,
        ),
        identify: ({ headers }) => `${headers.ce_source}/${headers.ce_id}`,
        taskOf: ({ topic }) => (topic === inputs.reading ? tasks[0] : tasks[1]),
        topic: (task, what) => `sluice.${task}.${what}`,
      };
      const open = () => overKafka(brokers, { site, tasks, telemetry, inputs, session: `sim-${run8}` });
      const summary = await run(gateway, open, tasks);
      expect(summary).toMatchObject({ lost: 0, refused: 0, unreadableAnswers: 0 });
      for (const task of summary.tasks)
        expect(task).toMatchObject({ duplicates: 0, foreign: 0, outstanding: 0 });
    },
  );
});
