/** Several tasks on a source, several events in a message, and sinks that shape what they publish. */
import { expect, test } from 'vitest';
import { mosquittoMissing } from '../servers/mosquitto.ts';
import { collect, freshSite, plainTask, reading, type SeenVerdict, SOON_MS, untilSeen } from './ops-kit.ts';
import { until } from './scale.ts';

const site = freshSite();

test.skipIf(mosquittoMissing)(
  'two tasks on one source each give a verdict, one that cannot decode gives a dead letter, and the message is acknowledged once',
  async () => {
    await site.operate(`
site: both
sources: { plant: { type: mqtt, url: "${site.broker.url}", topics: ["both/+"] } }
sinks: { floor: { type: mqtt, url: "${site.broker.url}" } }
${plainTask('plant')}
  strict:
    from: [plant]
    event: sensor
    fields: { y: { type: number, required: true } }
    labels: [low, high]
    minLabels: 0
    minPerLabel: 0`);
    const machine = await collect(site.bus, 'sluice/both/machine/verdict');
    const strict = await collect(site.bus, 'sluice/both/strict/verdict');
    let dead = 0;
    await site.bus.subscribe('sluice/both/strict/dead', () => {
      dead += 1;
    });
    await site.gateway.start();
    const ids = Array.from({ length: 20 }, (_, n) => `/press/${n}`);
    for (let n = 0; n < 20; n++) {
      const one = reading('press', n);
      await site.bus.publish('both/press', n % 2 === 0 ? one.replace('"x":', '"y":1,"x":') : one);
    }
    await untilSeen(ids, machine, site.gateway);
    await untilSeen(
      ids.filter((_, n) => n % 2 === 0),
      strict,
      site.gateway,
    );
    await until(
      () => dead === 10,
      SOON_MS,
      () => `10 dead letters, have ${dead}`,
    );
    expect(strict).toHaveLength(10);
    await site.gateway.untilMetric('settled', { source: 'plant' }, 20);
    expect(await site.gateway.metric('settled', { source: 'plant' })).toBe(20);
    expect((await site.gateway.status()).inFlight.events).toBe(0);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a message of many readings gives as many verdicts, numbered; batch, envelope and publish shape what each sink gets',
  async () => {
    const url = `url: "${site.broker.url}"`;
    await site.operate(`
site: many
sources: { plant: { type: mqtt, ${url}, topics: ["many/+"] } }
sinks:
  all: { type: mqtt, ${url}, topics: { verdict: all/verdict } }
  bare: { type: mqtt, ${url}, topics: { verdict: bare/verdict }, batch: 10, envelope: none }
  changes: { type: mqtt, ${url}, topics: { verdict: changes/verdict }, publish: changes }
  rare: { type: mqtt, ${url}, topics: { verdict: rare/verdict }, publish: "every:1h" }
${plainTask('plant', 'feedback: [all]\n    device: { topicLevel: 1 }')}`);
    const sizes: number[] = [];
    const bare: SeenVerdict[] = [];
    await site.bus.subscribe('bare/verdict', (payload) => {
      const batch = JSON.parse(payload.toString());
      sizes.push(batch.length);
      bare.push(...batch);
    });
    const all = await collect(site.bus, 'all/verdict');
    const changes = await collect(site.bus, 'changes/verdict');
    const rare = await collect(site.bus, 'rare/verdict');
    await site.gateway.start();

    await site.bus.publish('many/press', JSON.stringify(Array.from({ length: 25 }, (_, x) => ({ x }))));
    await until(
      () => all.length === 25 && bare.length === 25,
      SOON_MS,
      () => `25 verdicts, have ${all.length} and ${bare.length}\n${site.gateway.log}`,
    );
    const [stem] = all[0].event.split('#');
    expect(stem).toMatch(/^sha256:[0-9a-f]{32}$/);
    expect(all.map(({ event }) => event)).toEqual(Array.from({ length: 25 }, (_, n) => `${stem}#${n}`));
    expect(new Set(all.map((one) => (one as { identity?: string }).identity))).toEqual(new Set(['weak']));
    expect(sizes).toEqual([10, 10, 5]);
    expect(bare.map(({ event }) => event)).toEqual(all.map(({ event }) => event));
    // The same message again: the same identities.
    await site.bus.publish('many/press', JSON.stringify(Array.from({ length: 25 }, (_, x) => ({ x }))));
    await until(
      () => all.length === 50,
      SOON_MS,
      () => 'the verdicts of the repeated message',
    );
    expect(all[49].event).toBe(all[24].event);

    const teach = all.slice(0, 25).map(({ event }, x) => ({ event, label: x < 12 ? 'ok' : 'fault' }));
    await site.bus.publish('sluice/many/machine/feedback', JSON.stringify(teach));
    await until(
      async () => (await site.gateway.status()).tasks.machine.learned === 25,
      SOON_MS,
      () => `25 labels learned\n${site.gateway.log}`,
    );
    for (const x of [0, 1, 24, 23, 100, 2]) await site.bus.publish('many/press', JSON.stringify({ x }));
    await site.bus.publish('many/lathe', '{"x":24}');
    await until(
      () => all.length === 57 && bare.length === 57,
      SOON_MS,
      () => `57 verdicts, have ${all.length} and ${bare.length}`,
    );
    const expected = all.filter(({ device, label }, n) => {
      const before = all.slice(0, n).findLast((one) => one.device === device);
      return before?.label !== label;
    });
    expect(expected.length, 'the labels do change').toBeGreaterThan(3);
    await until(
      () => changes.length >= expected.length && rare.length >= 2,
      SOON_MS,
      () => `${expected.length} changes, have ${changes.length}`,
    );
    expect(changes).toEqual(expected);
    expect(rare.map(({ device }) => device)).toEqual(['press', 'lathe']);
  },
  60_000,
);
