/** At least once over a real Kafka: the gateway is killed, and in a second stream the broker. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type KafkaServer, startKafka, whyNoKafka } from '../servers/kafka.ts';
import { type Bus, kafkaBus } from './bus.ts';
import { type GatewayProcess, makeGateway } from './gateway.ts';
import { expectModelIsFoldOfJournal, machineTask, streamUnderKills } from './killing.ts';
import { patience, scale, sleep } from './scale.ts';

const missing = await whyNoKafka();
let broker: KafkaServer;

beforeAll(async () => {
  if (!missing) broker = await startKafka();
});

afterAll(async () => {
  if (!missing) await broker.stop();
});

async function scenario(
  site: string,
  disturb?: (gateway: GatewayProcess) => () => Promise<void>,
): Promise<void> {
  const topics = { input: `plant-${site}`, verdict: `verdict-${site}`, feedback: `feedback-${site}` };
  const bus: Bus = await kafkaBus(broker.brokers, Object.values(topics));
  const gateway = await makeGateway(`
site: ${site}
sources:
  plant: { type: kafka, brokers: ["${broker.brokers[0]}"], topics: [${topics.input}], group: ${site}, sessionTimeout: 6s }
sinks:
  core: { type: kafka, brokers: ["${broker.brokers[0]}"], topics: { verdict: ${topics.verdict}, feedback: ${topics.feedback} } }
${machineTask('plant')}`);
  try {
    await gateway.start();
    const account = await streamUnderKills(bus, topics, gateway, disturb?.(gateway));
    console.log(`kill kafka (${site}):`, JSON.stringify(account));
    expect(await gateway.stop()).toBe(0);
    await expectModelIsFoldOfJournal(gateway, account.labels);
  } finally {
    await gateway.remove();
    await bus.close();
  }
}

test.skipIf(missing)(
  'killed again and again over Kafka: every event has its verdict, every label is learned once, the model is the fold of the journal',
  () => scenario('north'),
  patience,
);

test.skipIf(missing)(
  'the Kafka broker is killed and comes back: nothing is lost, the gateway lives on',
  async () => {
    let left = Math.min(scale.kills, 2);
    await scenario('east', (gateway) => async () => {
      if (left-- <= 0) return;
      await broker.kill();
      await sleep(500);
      await broker.start();
      expect(gateway.running).toBe(true);
    });
  },
  patience,
);
