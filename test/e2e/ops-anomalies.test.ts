/** Anomaly scores in the verdicts of a gateway that has no label yet, over a restart. */
import { expect, test } from 'vitest';
import { mosquittoMissing } from '../servers/mosquitto.ts';
import { collect, freshSite, plainTask, reading, untilSeen } from './ops-kit.ts';

const site = freshSite();

test.skipIf(mosquittoMissing)(
  'a gateway on its first day tells which readings are unusual, and still knows it after a restart',
  async () => {
    await site.operate(`
site: new
monitor: { window: 1s }
sources: { plant: { type: mqtt, url: "${site.broker.url}", topics: ["new/+"] } }
sinks: { floor: { type: mqtt, url: "${site.broker.url}" } }
${plainTask('plant').replace('minLabels: 0', 'minLabels: 20')}`);
    const seen = await collect(site.bus, 'sluice/new/machine/verdict');
    const give = async (from: number, to: number, value: (n: number) => number) => {
      const ids = Array.from({ length: to - from }, (_, i) => `/press/${from + i}`);
      await Promise.all(
        ids.map((_, i) => site.bus.publish('new/press', reading('press', from + i, value(from + i)))),
      );
      await untilSeen(ids, seen, site.gateway);
      const of = new Map(seen.map((verdict) => [verdict.event, verdict]));
      return ids.map((id) => of.get(id));
    };
    const usual = (n: number) => 50 + 3 * Math.sin(n) + (n % 7) / 10;
    await site.gateway.start();
    const first = await give(0, 400, usual);
    expect(first.every((verdict) => verdict?.label === null)).toBe(true);
    expect(first[0]).not.toHaveProperty('anomaly');
    const [odd] = await give(400, 401, () => 90);
    expect(odd?.anomaly).toBeGreaterThan(0.99);
    expect(await site.gateway.stop()).toBe(0);
    await site.gateway.start();
    const [still, plain] = [await give(401, 402, () => 10), await give(402, 410, usual)];
    expect(still[0]?.anomaly).toBeGreaterThan(0.99);
    expect(Math.min(...plain.map((verdict) => verdict?.anomaly ?? 1))).toBeLessThan(0.9);
    await site.gateway.untilMetric('anomalies', { task: 'machine' }, 1);
  },
  60_000,
);
