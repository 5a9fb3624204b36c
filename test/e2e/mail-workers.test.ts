/** A gateway with worker threads on a real broker: nothing is lost under a kill, nor by changing their number. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MailGenerator } from '../../firmware-sim/mail.ts';
import { identify } from '../../src/decode/identity.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { type Bus, mqttBus } from './bus.ts';
import { collect, Operated, untilSeen } from './ops-kit.ts';

const TOPIC = 'mail/in';

let broker: Mosquitto;
let bus: Bus;
let gateway: Operated;

beforeEach(async () => {
  if (mosquittoMissing) return;
  broker = await Mosquitto.start();
  bus = await mqttBus(broker.url);
});

afterEach(async () => {
  await gateway?.remove();
  await bus?.close();
  await broker?.stop();
});

const config = (workers: number) => `
site: mail
sources: { mail: { type: mqtt, url: "${broker.url}", topics: [${TOPIC}], session: mail-workers } }
sinks: { out: { type: mqtt, url: "${broker.url}" } }
tasks: { spam: { from: [mail], event: email, labels: [ham, spam] } }
workers: ${workers}`;

const generator = new MailGenerator({ seed: 9, garbage: 0 });
let sent = 0;

/** Publishes so many mails; resolves to the names their verdicts will have. */
async function send(count: number): Promise<string[]> {
  const raws = Array.from({ length: count }, () => generator.next(Date.UTC(2026, 0, 1) + sent++ * 1_000).raw);
  await Promise.all(raws.map((raw) => bus.publish(TOPIC, raw)));
  const rest = { source: '', key: null, headers: {}, at: 0, position: '' };
  return raws.map((payload) => identify({ ...rest, topic: TOPIC, payload }).id);
}

test.skipIf(mosquittoMissing)(
  'mails prepared by two threads all have their verdict or dead letter, after a kill and over a reload with one and with none',
  async () => {
    gateway = await Operated.make(config(2));
    const seen = await collect(bus, 'sluice/mail/spam/verdict');
    await gateway.start();
    const first = await send(200);
    await gateway.untilMetric('settled', {}, 20);
    const second = send(200);
    await gateway.stop('SIGKILL');
    await gateway.start();
    const mails = [...first, ...(await second)];
    await bus.publish(TOPIC, '\n\n');
    await untilSeen(mails, seen, gateway);
    await gateway.untilMetric('dead_letters', { task: 'spam', code: 'DECODE_EMPTY' }, 1);
    for (const [reloads, workers] of [1, 0].entries()) {
      const during = send(50);
      await gateway.write(config(workers));
      gateway.signal('SIGHUP');
      await gateway.untilMetric('config_reloaded', {}, reloads + 1);
      mails.push(...(await during), ...(await send(20)));
      await untilSeen(mails, seen, gateway);
    }
    expect(new Set(seen.map(({ event }) => event))).toEqual(new Set(mails));
    expect(await gateway.stop()).toBe(0);
    expect(gateway.signals('worker_lost')).toEqual([]);
  },
);
