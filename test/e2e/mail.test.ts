/** The main job on real mail: published to real brokers, labelled when seen, learned from, and accurate. */
import { expect, test } from 'vitest';
import { startKafka, whyNoKafka } from '../servers/kafka.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { type Bus, kafkaBus, mqttBus } from './bus.ts';
import { makeGateway } from './gateway.ts';
import { dataFolder, type MailTopics, readMails, streamMail } from './mail.ts';
import { full, patience, scale } from './scale.ts';

const folder = dataFolder();
const kafkaMissing = await whyNoKafka();
/** Prequential accuracy from the first labelled verdict on; the short stream has learned less. */
const BAR = full ? 0.98 : 0.93;

async function stream(
  bus: Bus,
  topics: MailTopics,
  source: string,
  sink: string,
  open: number,
): Promise<void> {
  const mails = await readMails(folder!, scale.mails);
  const gateway = await makeGateway(`
site: mail
sources:
  mail: ${source}
sinks:
  out: ${sink}
tasks:
  spam: { from: [mail], event: email, labels: [ham, spam] }
monitor: { window: 1s }`);
  try {
    await gateway.start();
    const account = await streamMail(bus, topics, mails, open);
    console.log(
      `mail (${Number.isFinite(open) ? `${open} open` : 'unpaced'}) ${topics.input}:`,
      JSON.stringify(account),
    );
    expect(account.verdicts).toBe(mails.length);
    if (Number.isFinite(open)) {
      expect(account.accuracy).toBeGreaterThanOrEqual(BAR);
      // The gateway's own account is the sender's.
      expect(Math.abs(account.accuracy - account.countedAccuracy)).toBeLessThan(1e-6);
    }
    expect(await gateway.stop()).toBe(0);
  } finally {
    await gateway.remove();
    await bus.close();
  }
}

for (const open of [8, Number.POSITIVE_INFINITY]) {
  const pace = Number.isFinite(open) ? `at most ${open} open` : 'unpaced';

  test.skipIf(mosquittoMissing || !folder)(
    `real mail over MQTT, ${pace}: every mail has its verdict${Number.isFinite(open) ? ' and accuracy holds' : ''}`,
    async () => {
      const broker = await Mosquitto.start();
      const source = `{ type: mqtt, url: "${broker.url}", topics: ["mail/+"] }`;
      const what = (name: string) => `sluice/mail/spam/${name}`;
      const topics = {
        input: 'mail/+',
        verdict: what('verdict'),
        feedback: what('feedback'),
        metrics: what('metrics'),
      };
      try {
        await stream(await mqttBus(broker.url), topics, source, `{ type: mqtt, url: "${broker.url}" }`, open);
      } finally {
        await broker.stop();
      }
    },
    patience,
  );

  test.skipIf(kafkaMissing || !folder)(
    `real mail over Kafka, ${pace}: every mail has its verdict${Number.isFinite(open) ? ' and accuracy holds' : ''}`,
    async () => {
      const broker = await startKafka();
      const what = (name: string) => `sluice.spam.${name}`;
      const topics = {
        input: 'mail.inbound',
        verdict: what('verdict'),
        feedback: what('feedback'),
        metrics: what('metrics'),
      };
      const brokers = `brokers: ["${broker.brokers[0]}"]`;
      try {
        const bus = await kafkaBus(broker.brokers, Object.values(topics), 1);
        await stream(
          bus,
          topics,
          `{ type: kafka, ${brokers}, topics: [mail.inbound] }`,
          `{ type: kafka, ${brokers} }`,
          open,
        );
      } finally {
        await broker.stop();
      }
    },
    patience,
  );
}
