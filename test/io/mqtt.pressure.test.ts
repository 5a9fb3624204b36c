/**
 * Back-pressure where the broker gives none: the embedded broker (aedes, 3.1.1) bounds nothing in flight,
 * so the source stops its reader, and must live through that for longer than the keepalive.
 */
import { type AddressInfo, connect, createServer } from 'node:net';
import { Aedes } from 'aedes';
import { connect as mqttConnect } from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Broker, startBroker } from '../../src/io/broker.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import {
  contextOf,
  fresh,
  numbered,
  openSink,
  openSource,
  pause,
  Reader,
  range,
  ready,
  settleDone,
} from './mqtt.kit.ts';

async function embedded(): Promise<Broker> {
  const broker = await startBroker();
  onTestFinished(() => broker.close());
  return broker;
}

describe('the embedded broker', () => {
  it('listens on loopback, counts its clients, and closes with clients connected', async () => {
    const broker = await startBroker();
    expect(broker.url).toMatch(/^mqtt:\/\/127\.0\.0\.1:\d+$/);
    expect(broker.connected).toBe(0);
    const source = openSource({ url: broker.url, version: 4, topics: ['x'] });
    await ready(source);
    expect(broker.connected).toBe(1);
    await broker.close();
    const port = Number(new URL(broker.url).port);
    await expect(
      new Promise((resolve, reject) =>
        connect(port, '127.0.0.1').once('connect', resolve).once('error', reject),
      ),
    ).rejects.toThrow('ECONNREFUSED');
  });

  it('names the version it speaks to a client of MQTT 5', async () => {
    const broker = await embedded();
    const source = openSource({ url: broker.url, topics: ['x'], connectTimeout: 1_000 });
    await expect
      .poll(() => JSON.stringify(source.health()), { timeout: 10_000 })
      .toContain('BROKER_UNREACHABLE');
    expect(source.health().ok).toBe(false);
  });
});

describe('a source whose subscription is refused', () => {
  it('is not healthy, names the topics, and does not stop trying', async () => {
    let asked = 0;
    const aedes = await Aedes.createBroker({
      authorizeSubscribe: (_client, subscription, callback) => {
        asked += 1;
        callback(null, asked < 4 ? null : subscription);
      },
    });
    const server = createServer((socket) => void aedes.handle(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      aedes.close();
      server.close();
    });
    const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const source = openSource({ url, version: 4, topics: ['secret/#'], reconnect: { min: 100, max: 100 } });
    await expect.poll(() => JSON.stringify(source.health())).toMatch(/BROKER_AUTH: .* refused .* secret\/#/);
    await ready(source);
    expect(asked).toBe(4);
  });
});

describe('a source on a broker that bounds nothing', () => {
  it('holds at most maxInFlight and maxInFlightBytes, and everything comes in order', async () => {
    const broker = await embedded();
    const topic = fresh('t');
    const source = openSource(
      { url: broker.url, version: 4, topics: [topic] },
      contextOf({ maxInFlight: 100, maxInFlightBytes: 20_000 }),
    );
    const sink = openSink({ url: broker.url, version: 4 });
    await ready(source, sink);
    const reader = new Reader(source);
    const sent = sink.publish(numbered(topic, 3_000, 300));
    await reader.has(66);
    await pause(200);
    expect(reader.deliveries.length).toBe(66); // 66 * 300 bytes are the last below 20,000
    let settled = 0;
    while (settled < 3_000) {
      const came = reader.deliveries.length;
      expect(came - settled).toBeLessThanOrEqual(66);
      while (settled < came) reader.deliveries[settled++].settle('done');
      await pause(1);
    }
    await sent;
    expect(reader.texts.map((text) => text.trim())).toEqual(range(3_000));
  });

  it('is healthy though a backlog larger than its credit waits unread', async () => {
    const broker = await embedded();
    const topic = fresh('t');
    const options = { url: broker.url, version: 4, topics: [topic], session: fresh('session') };
    const first = openSource(options);
    const sink = openSink({ url: broker.url, version: 4 });
    await ready(first, sink);
    await first.close();
    await sink.publish(numbered(topic, 200));
    const source = openSource(options, contextOf({ maxInFlight: 10 }));
    await ready(source); // nobody reads yet
    await pause(50);
    expect(source.health()).toEqual({ ok: true });
    const reader = new Reader(source, settleDone);
    await reader.has(200);
    expect(reader.texts).toEqual(range(200));
  });

  it('lets others publish and read while its reader stands still', async () => {
    const broker = await embedded();
    const topic = fresh('t');
    const stuck = openSource(
      { url: broker.url, version: 4, topics: [topic] },
      contextOf({ maxInFlight: 10 }),
    );
    const other = openSource({ url: broker.url, version: 4, topics: ['other'] });
    const verdicts = openSink({ url: broker.url, version: 4 });
    await ready(stuck, other, verdicts);
    const held = new Reader(stuck);
    const reader = new Reader(other, settleDone);
    // More publishers than aedes has places in its queue, and more bytes than the socket buffers take.
    const fleet = Array.from({ length: 120 }, () => mqttConnect(broker.url, { reconnectPeriod: 0 }));
    onTestFinished(() => {
      for (const device of fleet) device.end(true);
    });
    for (const device of fleet)
      for (let i = 0; i < 4; i++) device.publish(topic, Buffer.alloc(50_000), { qos: 1 });
    await held.has(10);
    await pause(300);
    for (let i = 0; i < 20; i++) await verdicts.publish(numbered('other', 50));
    await reader.has(1_000);
    expect(held.deliveries.length).toBe(10);
    for (let i = 0; i < 480; i++) {
      await held.has(i + 1);
      held.deliveries[i].settle('done');
    }
  });
});

describe.skipIf(mosquittoMissing)('a source whose reader stands still', () => {
  it.each(['mosquitto', 'embedded'] as const)(
    '%s: keeps its connection for many keepalives',
    async (kind) => {
      const mosquitto = kind === 'mosquitto' ? await Mosquitto.start() : null;
      if (mosquitto) onTestFinished(() => mosquitto.stop());
      const broker = mosquitto ?? (await embedded());
      const topic = fresh('t');
      const context = contextOf({ maxInFlight: 100, maxInFlightBytes: 1_000 });
      const options = { url: broker.url, version: 4, topics: [topic], keepalive: '1s' };
      const source = openSource(options, context);
      const sink = openSink({ url: broker.url, version: 4 });
      await ready(source, sink);
      const reader = new Reader(source);
      await sink.publish(numbered(topic, 50, 300));
      await reader.has(3);
      await pause(4_000);
      expect(source.health()).toEqual({ ok: true });
      expect(await context.telemetry.value('source_lost')).toBe(0);
      for (let i = 0; i < 50; i++) {
        await reader.has(i + 1);
        reader.deliveries[i].settle('done');
      }
      expect(reader.texts.map((text) => text.trim())).toEqual(range(50));
      await pause(2_000); // and the ordinary keepalive works again
      expect(await context.telemetry.value('source_lost')).toBe(0);
    },
  );
});
