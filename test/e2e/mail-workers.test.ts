/** A gateway with worker threads on a real broker: nothing is lost under a kill, nor by changing their number. */
import { expect, test } from 'vitest';
import { MailGenerator } from '../../firmware-sim/mail.ts';
import { identify } from '../../src/decode/identity.ts';
import { mosquittoMissing } from '../servers/mosquitto.ts';
import { collect, freshSite, untilSeen } from './ops-kit.ts';

const TOPIC = 'mail/in';

const site = freshSite();

const config = (workers: number) => `
site: mail
sources: { mail: { type: mqtt, url: "${site.broker.url}", topics: [${TOPIC}], session: mail-workers } }
sinks: { out: { type: mqtt, url: "${site.broker.url}" } }
tasks: { spam: { from: [mail], event: email, labels: [ham, spam] } }
workers: ${workers}`;

const generator = new MailGenerator({ seed: 9, garbage: 0 });
let sent = 0;

/** Publishes so many mails; resolves to the names their verdicts will have. */
async function send(count: number): Promise<string[]> {
  const raws = Array.from({ length: count }, () => generator.next(Date.UTC(2026, 0, 1) + sent++ * 1_000).raw);
  await Promise.all(raws.map((raw) => site.bus.publish(TOPIC, raw)));
  const rest = { source: '', key: null, headers: {}, at: 0, position: '' };
  return raws.map((payload) => identify({ ...rest, topic: TOPIC, payload }).id);
}

test.skipIf(mosquittoMissing)(
  'mails prepared by two threads all have their verdict or dead letter, after a kill and over a reload with one and with none',
  async () => {
    await site.operate(config(2));
    const seen = await collect(site.bus, 'sluice/mail/spam/verdict');
    await site.gateway.start();
    const first = await send(200);
    await site.gateway.untilMetric('settled', {}, 20);
    const second = send(200);
    await site.gateway.stop('SIGKILL');
    await site.gateway.start();
    const mails = [...first, ...(await second)];
    await site.bus.publish(TOPIC, '\n\n');
    await untilSeen(mails, seen, site.gateway);
    await site.gateway.untilMetric('dead_letters', { task: 'spam', code: 'DECODE_EMPTY' }, 1);
    for (const [reloads, workers] of [1, 0].entries()) {
      const during = send(50);
      await site.gateway.write(config(workers));
      site.gateway.signal('SIGHUP');
      await site.gateway.untilMetric('config_reloaded', {}, reloads + 1);
      mails.push(...(await during), ...(await send(20)));
      await untilSeen(mails, seen, site.gateway);
    }
    expect(new Set(seen.map(({ event }) => event))).toEqual(new Set(mails));
    expect(await site.gateway.stop()).toBe(0);
    expect(site.gateway.signals('worker_lost')).toEqual([]);
  },
);
