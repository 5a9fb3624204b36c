/** The sink is away: nothing is lost, order holds, memory and disk stay within their limits. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sharedKafka, whyNoKafka } from '../servers/kafka.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { type Bus, kafkaBus, mqttBus } from './bus.ts';
import { collect, Operated, order, plainTask, reading, SOON_MS, untilSeen } from './ops-kit.ts';
import { until } from './scale.ts';

const kafkaMissing = await whyNoKafka();
const devices = ['a', 'b', 'c'];
let north: Mosquitto;
let core: Mosquitto;
let floor: Bus;
let office: Bus;
let gateway: Operated;

beforeEach(async () => {
  if (mosquittoMissing) return;
  [north, core] = await Promise.all([Mosquitto.start(), Mosquitto.start()]);
  [floor, office] = await Promise.all([mqttBus(north.url), mqttBus(core.url)]);
});

afterEach(async () => {
  await gateway?.remove();
  await floor?.close();
  await office?.close();
  await north?.stop();
  await core?.stop();
});

const config = (site: string, more = '') => `
site: ${site}
sources: { plant: { type: mqtt, url: "${north.url}", topics: ["${site}/+"] } }
sinks: { core: { type: mqtt, url: "${core.url}", reconnect: { max: 500ms } } }
${plainTask('plant')}
${more}`;

/** Publishes numbers [from, to), each device in order. Resolves to their identities. */
async function stream(site: string, from: number, to: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = from; n < to; n++) {
    const device = devices[n % devices.length];
    await floor.publish(`${site}/${device}`, reading(device, n));
    ids.push(`/${device}/${n}`);
  }
  return ids;
}

function expectInOrder(seen: Parameters<typeof order>[1]): void {
  for (const device of devices) {
    const numbers = order(device, seen);
    expect(numbers.length, `device ${device}`).toBeGreaterThan(0);
    expect(numbers, `device ${device}`).toEqual([...numbers].sort((a, b) => a - b));
  }
}

test.skipIf(mosquittoMissing)(
  'while the sink is away sources are acknowledged and verdicts wait on disk, through a kill too, and come in order when it returns',
  async () => {
    gateway = await Operated.make(config('away'));
    const seen = await collect(office, 'sluice/away/machine/verdict');
    await gateway.start();
    const ids = await stream('away', 0, 100);
    await untilSeen(ids, seen, gateway);

    await core.kill();
    ids.push(...(await stream('away', 100, 200)));
    await gateway.untilMetric('settled', { source: 'plant' }, 200);
    expect((await gateway.status()).outbox.core.messages).toBeGreaterThanOrEqual(100);
    expect((await gateway.status()).inFlight.events).toBe(0);

    await gateway.stop('SIGKILL');
    ids.push(...(await stream('away', 200, 250)));
    gateway.launch();
    await gateway.untilMetric('settled', { source: 'plant' }, 50);
    const { status, reasons } = await gateway.ready();
    expect(status).toBe(503);
    expect(reasons.join()).toContain('sink core');

    await core.start();
    ids.push(...(await stream('away', 250, 300)));
    await untilSeen(ids, seen, gateway);
    expectInOrder(seen);
    await gateway.untilReady(200);
    await until(
      async () => (await gateway.status()).outbox.core.messages === 0,
      SOON_MS,
      () => 'the outbox to run empty',
    );
    expect(await gateway.stop()).toBe(0);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'an outbox that is full and blocks stops the source: unready with the reason, in-flight bounded, nothing lost or dropped, and it can still be stopped',
  async () => {
    const limits = 'maxInFlight: 20\nstore: { path: $STATE, outbox: { bytes: 16KiB, whenFull: block } }';
    gateway = await Operated.make(config('block', limits));
    const seen = await collect(office, 'sluice/block/machine/verdict');
    await gateway.start();
    await core.kill();
    const ids = await stream('block', 0, 150);
    await until(
      async () => (await gateway.ready()).reasons.some((reason) => reason.includes('STORE_FULL')),
      SOON_MS,
      () => `/ready to name the full outbox\n${gateway.log}`,
    );
    const settled = await gateway.metric('settled', { source: 'plant' });
    expect(settled).toBeLessThan(150);
    for (let look = 0; look < 20; look++) {
      const { inFlight, outbox } = await gateway.status();
      expect(inFlight.events).toBeLessThanOrEqual(20);
      expect(outbox.core.bytes).toBeLessThanOrEqual(16_384);
    }
    // Stopped while it stands still: what is in flight is left to its source.
    expect(await gateway.stop()).toBe(0);
    gateway.launch();
    await core.start();
    await untilSeen(ids, seen, gateway);
    expectInOrder(seen);
    expect(await gateway.metric('outbox_dropped')).toBe(0);
    await gateway.untilReady(200);
  },
  90_000,
);

test.skipIf(mosquittoMissing)(
  'an outbox that drops its oldest goes on acknowledging, counts every drop and delivers the rest in order',
  async () => {
    const limits =
      'store: { path: $STATE, outbox: { bytes: 8KiB, whenFull: drop-oldest } }\nmonitor: { window: 1h }';
    gateway = await Operated.make(config('drop', limits));
    const seen = await collect(office, 'sluice/drop/machine/verdict');
    await gateway.start();
    await core.kill();
    const ids = await stream('drop', 0, 150);
    await gateway.untilMetric('settled', { source: 'plant' }, 150);
    const dropped = await gateway.metric('outbox_dropped', { sink: 'core' });
    expect(dropped).toBeGreaterThan(0);
    await core.start();
    await untilSeen(ids.slice(dropped), seen, gateway);
    expect(new Set(seen.map(({ event }) => event)).size).toBe(150 - dropped);
    expectInOrder(seen);
  },
  60_000,
);

test.skipIf(mosquittoMissing || kafkaMissing)(
  'a stream from Kafka to an MQTT sink that goes away: offsets are committed, every verdict comes, by device in order',
  async () => {
    const brokers = await sharedKafka();
    const topic = `away-${Date.now()}`;
    const input = await kafkaBus(brokers, [topic], 2);
    try {
      gateway = await Operated.make(`
site: mixed
sources: { plant: { type: kafka, brokers: ["${brokers[0]}"], topics: [${topic}], group: ${topic} } }
sinks: { core: { type: mqtt, url: "${core.url}", reconnect: { max: 500ms } } }
${plainTask('plant')}`);
      const seen = await collect(office, 'sluice/mixed/machine/verdict');
      await gateway.start();
      const send = async (from: number, to: number) => {
        const numbers = Array.from({ length: to - from }, (_, i) => from + i);
        const names = numbers.map((n) => devices[n % devices.length]);
        await Promise.all(numbers.map((n, i) => input.publish(topic, reading(names[i], n), names[i])));
        return numbers.map((n, i) => `/${names[i]}/${n}`);
      };
      const ids = await send(0, 100);
      await untilSeen(ids, seen, gateway);
      await core.kill();
      ids.push(...(await send(100, 300)));
      await gateway.untilMetric('settled', { source: 'plant' }, 300);
      await core.start();
      await untilSeen(ids, seen, gateway);
      expectInOrder(seen);
    } finally {
      await input.close();
    }
  },
  60_000,
);
