/**
 * Self-training in a real gateway on a real broker: mails that nobody labels are learned where the model is sure, and a
 * gateway that was killed in the middle of it runs the same model again, to the bit of a verdict.
 */
import { expect, test } from 'vitest';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { MAIL_LABELS, mailOf, truthOf } from '../task/mail-kit.ts';
import { type Bus, mqttBus } from './bus.ts';
import { type GatewayProcess, makeGateway } from './gateway.ts';
import { patience, sleep, until } from './scale.ts';

const LABELLED = 330;
const FREE = 300;

const PROBE = 9_999;

const config = (url: string) => `
site: mail
sources:
  mail: { type: mqtt, url: "${url}", topics: ["mail/+"] }
sinks:
  out: { type: mqtt, url: "${url}" }
tasks:
  spam: { from: [mail], event: email, labels: [ham, spam], features: { bits: 12 } }
monitor: { window: 1s }`;

interface Verdict {
  readonly event: string;
  readonly score: number;
  readonly model: string;
}

/** Verdicts by the number of their mail, the newest of each. */
async function listen(bus: Bus): Promise<Map<number, Verdict>> {
  const verdicts = new Map<number, Verdict>();
  await bus.subscribe('sluice/mail/spam/verdict', (payload) => {
    const { event, score, model, device } = JSON.parse(payload.toString()).data;
    verdicts.set(Number(String(device).split('/').at(-1)), { event, score, model });
  });
  return verdicts;
}

async function metric(gateway: GatewayProcess, name: string): Promise<number> {
  const line = (await gateway.metrics()).split('\n').find((each) => each.startsWith(`${name}{`));
  return Number(line?.split(' ').at(-1) ?? 0);
}

test.skipIf(mosquittoMissing)(
  'sure mails that nobody labels teach, and a killed gateway runs what they made of its model',
  async () => {
    const broker = await Mosquitto.start();
    const gateway = await makeGateway(config(broker.url));
    const bus = await mqttBus(broker.url);
    try {
      await gateway.start();
      const verdicts = await listen(bus);
      const send = (n: number) => bus.publish(`mail/${n}`, mailOf(n).payload);
      const have = (n: number) => {
        const what = () => `${verdicts.size} of ${n} verdicts\n${gateway.log}`;
        return until(() => verdicts.size >= n, patience, what);
      };
      for (let n = 0; n < LABELLED; n++) await send(n);
      await have(LABELLED);
      for (let n = 0; n < LABELLED; n++) {
        const said = { event: verdicts.get(n)!.event, label: MAIL_LABELS[truthOf(n)], origin: 'test' };
        await bus.publish('sluice/mail/spam/feedback', JSON.stringify(said));
      }
      const learned = async () => (await metric(gateway, 'sluice_labels_learned_total')) >= LABELLED;
      await until(learned, patience, () => gateway.log);
      for (let n = LABELLED; n < LABELLED + FREE; n++) await send(n);
      await have(LABELLED + FREE);
      const asked = () => metric(gateway, 'sluice_self_trained_total');
      await until(
        async () => (await asked()) > 20,
        patience,
        () => gateway.log,
      );
      await sleep(300); // what is on its way into the journal lands
      expect(await asked()).toBeLessThanOrEqual(FREE);
      // What the same model says of the same mail is the same number; this one is not sure, and teaches nothing.
      const probe = async (): Promise<Verdict> => {
        verdicts.delete(PROBE);
        await bus.publish(`mail/${PROBE}`, 'Subject: something else\r\n\r\nneither fish nor fowl\r\n');
        await have(LABELLED + FREE + 1);
        return verdicts.get(PROBE)!;
      };
      const before = await probe();
      expect(before.model).toMatch(new RegExp(`\\+${LABELLED}$`));
      await gateway.kill();
      await gateway.start();
      expect(await probe()).toEqual(before);
      expect(await gateway.stop()).toBe(0);
    } finally {
      await gateway.remove();
      await bus.close();
      await broker.stop();
    }
  },
  patience,
);
