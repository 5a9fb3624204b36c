/** MQTT sources against a real mosquitto: acknowledge last, bounded, honest about their health. */
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Delivery } from '../../src/contract.ts';
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
  until,
} from './mqtt.kit.ts';

describe.skipIf(mosquittoMissing)('an MQTT source', () => {
  let broker: Mosquitto;
  beforeAll(async () => {
    broker = await Mosquitto.start();
  });
  afterAll(() => broker?.stop());

  it.each([5, 4])(
    'version %i: delivers everything in order, with topic, arrival time and payload',
    async (version) => {
      const topic = fresh('t');
      const source = openSource({ url: broker.url, version, topics: [`${topic}/+/x`] });
      const sink = openSink({ url: broker.url, version });
      await ready(source, sink);
      const reader = new Reader(source, settleDone);
      const before = Date.now();
      await sink.publish([
        ...numbered(`${topic}/a/x`, 3_000),
        { topic: `${topic}/a/y`, key: null, payload: 'no' },
      ]);
      await reader.has(3_000);
      expect(reader.texts).toEqual(range(3_000));
      const { message } = reader.deliveries[0];
      expect(message).toMatchObject({ topic: `${topic}/a/x`, key: null, position: '', source: source.name });
      expect(message.at).toBeGreaterThanOrEqual(before);
    },
  );

  it('turns user properties into headers in lower case, and the content type into content-type', async () => {
    const topic = fresh('t');
    const source = openSource({ url: broker.url, topics: [topic] });
    const sink = openSink({ url: broker.url });
    await ready(source, sink);
    const reader = new Reader(source, settleDone);
    const headers = { 'content-type': 'application/json', Ce_Id: '7', __proto__x: 'y' };
    await sink.publish([
      { topic, key: null, payload: '1', headers },
      { topic, key: null, payload: '2' },
    ]);
    await reader.has(2);
    expect({ ...reader.deliveries[0].message.headers }).toEqual({
      'content-type': 'application/json',
      ce_id: '7',
      __proto__x: 'y',
    });
    expect(reader.deliveries[1].message.headers).toEqual({});
  });

  it.each([5, 4])(
    'version %i: what was not settled is delivered again after a close, the rest is not',
    async (version) => {
      const topic = fresh('t');
      const session = fresh('session');
      const options = { url: broker.url, version, topics: [topic], session };
      const first = openSource(options);
      const sink = openSink({ url: broker.url, version });
      await ready(first, sink);
      const reader = new Reader(first);
      await sink.publish(numbered(topic, 100));
      await reader.has(100);
      const open = new Set([3, 50, 99]);
      reader.deliveries.forEach((delivery, i) => {
        if (i < 90 && !open.has(i)) delivery.settle('done');
      });
      await reader.stop();
      await first.close();

      const second = openSource(options);
      const again = new Reader(second, settleDone);
      // Acknowledged is the prefix before 3: PUBACKs go in the order of receipt.
      await again.has(97);
      await pause(50);
      expect(again.texts).toEqual(range(100).slice(3));
      await second.close();

      const third = openSource(options);
      await ready(third);
      const nothing = new Reader(third);
      await sink.publish([{ topic, key: null, payload: 'last' }]);
      await nothing.has(1);
      expect(nothing.texts).toEqual(['last']);
    },
  );

  it('acknowledges what is settled after reading has ended, until close', async () => {
    const topic = fresh('t');
    const options = { url: broker.url, topics: [topic], session: fresh('session') };
    const first = openSource(options);
    const sink = openSink({ url: broker.url });
    await ready(first, sink);
    const reader = new Reader(first);
    await sink.publish(numbered(topic, 10));
    await reader.has(10);
    await reader.stop();
    for (const delivery of reader.deliveries) delivery.settle('done');
    await first.close();
    const second = openSource(options);
    await ready(second);
    const next = new Reader(second);
    await sink.publish([{ topic, key: null, payload: 'new' }]);
    await next.has(1);
    expect(next.texts).toEqual(['new']);
  });

  it('keeps what arrives while it is away', async () => {
    const topic = fresh('t');
    const options = { url: broker.url, topics: [topic], session: fresh('session') };
    const first = openSource(options);
    const sink = openSink({ url: broker.url });
    await ready(first, sink);
    await first.close();
    await sink.publish(numbered(topic, 5_000));
    const reader = new Reader(openSource(options), settleDone);
    await reader.has(5_000);
    expect(reader.texts).toEqual(range(5_000));
  });

  it.each([5, 4])(
    'version %i: holds at most maxInFlight messages while nothing is settled',
    async (version) => {
      const topic = fresh('t');
      const source = openSource(
        { url: broker.url, version, topics: [topic] },
        contextOf({ maxInFlight: 50 }),
      );
      const sink = openSink({ url: broker.url, version });
      await ready(source, sink);
      const reader = new Reader(source);
      await sink.publish(numbered(topic, 500));
      await reader.has(50);
      await pause(100);
      expect(reader.deliveries.length).toBe(50);
      let settled = 0;
      while (settled < 500) {
        for (const delivery of reader.deliveries.slice(settled, reader.deliveries.length)) {
          delivery.settle('done');
          settled += 1;
        }
        expect(reader.deliveries.length - settled).toBeLessThanOrEqual(50);
        await pause(1);
      }
      expect(reader.texts).toEqual(range(500));
    },
  );

  it('bounds QoS 0 too, which no broker counts', async () => {
    const topic = fresh('t');
    const source = openSource({ url: broker.url, topics: [topic], qos: 0 }, contextOf({ maxInFlight: 50 }));
    const sink = openSink({ url: broker.url });
    await ready(source, sink);
    const reader = new Reader(source);
    await sink.publish(numbered(topic, 500));
    await reader.has(50);
    await pause(50);
    expect(reader.deliveries.length).toBe(50);
    for (let i = 0; i < 500; i++) {
      await reader.has(i + 1);
      reader.deliveries[i].settle('done');
    }
    expect(reader.texts).toEqual(range(500));
  });

  it('holds at most maxInFlightBytes, but lets one larger message pass alone', async () => {
    const topic = fresh('t');
    const source = openSource(
      { url: broker.url, topics: [topic] },
      contextOf({ maxInFlight: 100, maxInFlightBytes: 10_000 }),
    );
    const sink = openSink({ url: broker.url });
    await ready(source, sink);
    const held: Delivery[] = [];
    const sizes: number[] = [];
    const reader = new Reader(source, (delivery) => {
      held.push(delivery);
      sizes.push(held.reduce((sum, { message }) => sum + message.payload.length, 0));
    });
    await sink.publish([
      ...numbered(topic, 20, 1_000),
      ...numbered(topic, 1, 200_000),
      ...numbered(topic, 20, 1_000),
    ]);
    for (let done = 0; done < 41; done++) {
      await until('a message is held', () => held.length > 0);
      held.shift()?.settle('done');
    }
    expect(reader.deliveries.length).toBe(41);
    expect(Math.max(...sizes.filter((size) => size < 200_000))).toBeLessThanOrEqual(10_000);
    expect(sizes.filter((size) => size >= 200_000)).toEqual([200_000]);
  });

  it('hands a message settled with retry out again, and acknowledges it only when it is done', async () => {
    const topic = fresh('t');
    const options = { url: broker.url, topics: [topic], session: fresh('session'), retryAfter: 20 };
    const source = openSource(options);
    const sink = openSink({ url: broker.url });
    await ready(source, sink);
    const tries = new Map<string, number>();
    const reader = new Reader(source, (delivery) => {
      const text = Buffer.from(delivery.message.payload).toString();
      const count = (tries.get(text) ?? 0) + 1;
      tries.set(text, count);
      const stubborn = text === '4' || (text === '7' && count < 3);
      delivery.settle(stubborn ? 'retry' : 'done');
    });
    await sink.publish(numbered(topic, 10));
    await until('7 was tried three times', () => tries.get('7') === 3);
    await reader.stop();
    await source.close();
    expect([...tries.keys()].length).toBe(10);
    const again = new Reader(openSource(options));
    await again.has(1);
    await pause(50);
    expect(again.texts).toEqual(['4']);
  });

  it('settles once: a second call changes nothing', async () => {
    const topic = fresh('t');
    const source = openSource({ url: broker.url, topics: [topic] }, contextOf({ maxInFlight: 2 }));
    const sink = openSink({ url: broker.url });
    await ready(source, sink);
    const reader = new Reader(source);
    await sink.publish(numbered(topic, 10));
    await reader.has(2);
    for (let i = 0; i < 5; i++) reader.deliveries[0].settle('done');
    await reader.has(3);
    await pause(50);
    expect(reader.texts).toEqual(['0', '1', '2']);
  });

  it('divides the messages of a shared subscription among its members', async () => {
    const topic = fresh('t');
    const topics = [`$share/group/${topic}`];
    const members = [openSource({ url: broker.url, topics }), openSource({ url: broker.url, topics })];
    const sink = openSink({ url: broker.url });
    await ready(...members, sink);
    const readers = members.map((member) => new Reader(member, settleDone));
    await sink.publish(numbered(topic, 1_000));
    await until('all have come', () => readers[0].deliveries.length + readers[1].deliveries.length >= 1_000);
    const all = readers.flatMap((reader) => reader.texts).sort((a, b) => Number(a) - Number(b));
    expect(all).toEqual(range(1_000));
    for (const reader of readers) expect(reader.deliveries.length).toBeGreaterThan(100);
  });

  it('is not healthy before it is subscribed, nor when the broker cannot be reached, and says why', async () => {
    const source = openSource({ url: 'mqtt://localhost:1', topics: ['x'] });
    expect(source.health()).toMatchObject({ ok: false, reason: expect.stringContaining('connecting') });
    await until('the reason is named', () => JSON.stringify(source.health()).includes('ECONNREFUSED'));
    expect(JSON.stringify(source.health())).toContain('BROKER_UNREACHABLE: mqtt://localhost:1');
  });

  it('turns off the gathering of small packets, which would cost milliseconds each', async () => {
    const noDelay = vi.spyOn(Socket.prototype, 'setNoDelay');
    try {
      await ready(openSource({ url: broker.url, topics: ['x'] }));
      expect(noDelay).toHaveBeenCalledWith(true);
    } finally {
      noDelay.mockRestore();
    }
  });

  it('hands hundreds of retried messages out again', async () => {
    const topic = fresh('t');
    const source = openSource({ url: broker.url, topics: [topic], retryAfter: 10 });
    const sink = openSink({ url: broker.url });
    await ready(source, sink);
    const warned = vi.fn();
    process.once('warning', warned);
    const tried = new Set<string>();
    const reader = new Reader(source, (delivery) => {
      const text = Buffer.from(delivery.message.payload).toString();
      delivery.settle(tried.has(text) ? 'done' : 'retry');
      tried.add(text);
    });
    await sink.publish(numbered(topic, 500));
    await reader.has(1_000);
    process.off('warning', warned);
    expect(warned).not.toHaveBeenCalled();
    expect(new Set(reader.texts).size).toBe(500);
  });

  it('tries its addresses in turn', async () => {
    const source = openSource({
      url: ['mqtt://localhost:1', broker.url],
      topics: ['x'],
      reconnect: { min: 1 },
    });
    await ready(source);
  });

  it('gives way when another client takes its session over, and says so', async () => {
    const options = {
      url: broker.url,
      topics: ['x'],
      session: fresh('session'),
      reconnect: { min: '1m', max: '1m' },
    };
    const first = openSource(options);
    await ready(first);
    const second = openSource(options);
    await ready(second);
    await until('the first noticed', () => !first.health().ok);
    expect(JSON.stringify(first.health())).toContain('another client takes the same id');
  });

  it('counts connections and losses', async () => {
    const context = contextOf();
    const source = openSource({ url: broker.url, topics: ['x'] }, context);
    await ready(source);
    expect(await context.telemetry.value('source_connected', { source: source.name })).toBe(1);
    await source.close();
    expect(await context.telemetry.value('source_lost')).toBe(0);
  });
});

describe.skipIf(mosquittoMissing)('an MQTT source whose broker goes', () => {
  it('reconnects by itself, says meanwhile what is wrong, and loses nothing', async () => {
    const broker = await Mosquitto.start();
    try {
      const topic = fresh('t');
      const context = contextOf({ clock: systemClock });
      const options = { url: broker.url, topics: [topic], reconnect: { min: 10, max: 50 }, retryAfter: 300 };
      const source = openSource(options, context);
      const sink = openSink({ url: broker.url, reconnect: { min: 10, max: 50 } });
      await ready(source, sink);
      const reader = new Reader(source);
      await sink.publish(numbered(topic, 20));
      await reader.has(20);
      for (const delivery of reader.deliveries.slice(0, 10)) delivery.settle('done');
      await pause(50);
      reader.deliveries[10].settle('retry');
      await broker.kill('SIGTERM');
      await until('the loss is seen', () => !source.health().ok);
      const stale = reader.deliveries.slice(10);
      await broker.start();
      await ready(source, sink);
      await reader.has(30);
      await pause(400); // the retry of a lost connection must not come beside the redelivery
      for (const delivery of stale) delivery.settle('done'); // of the old connection: no PUBACK may come of it
      expect(reader.texts.slice(20)).toEqual(range(20).slice(10));
      expect(await context.telemetry.value('source_lost')).toBe(1);
      expect(await context.telemetry.value('source_connected')).toBe(2);
      for (const delivery of reader.deliveries.slice(20)) delivery.settle('done');
      await sink.publish([{ topic, key: null, payload: 'after' }]);
      await reader.has(31);
      expect(reader.texts.at(-1)).toBe('after');
    } finally {
      await broker.stop();
    }
  });

  it('forgets what nobody had read, for it comes again, and keeps its credit', async () => {
    const broker = await Mosquitto.start();
    try {
      const topic = fresh('t');
      const options = { url: broker.url, topics: [topic], reconnect: { min: 10, max: 50 } };
      const source = openSource(options, contextOf({ maxInFlight: 20 }));
      const sink = openSink({ url: broker.url, reconnect: { min: 10, max: 50 } });
      await ready(source, sink);
      await sink.publish(numbered(topic, 100));
      for (let i = 0; i < 3; i++) {
        await pause(50);
        await broker.kill('SIGTERM');
        await until('the loss is seen', () => !source.health().ok);
        await broker.start();
        await ready(source);
      }
      const reader = new Reader(source, settleDone);
      await reader.has(100);
      expect(reader.texts).toEqual(range(100));
    } finally {
      await broker.stop();
    }
  });

  it('loses nothing over a line that is cut again and again', async () => {
    const broker = await Mosquitto.start();
    const line = await CutLine.to(broker.port);
    try {
      const topic = fresh('t');
      const options = { url: line.url, topics: [topic], reconnect: { min: 5, max: 20 } };
      const source = openSource(options, contextOf({ maxInFlight: 100 }));
      const sink = openSink({ url: broker.url });
      await ready(source, sink);
      const seen = new Set<string>();
      let since = 0;
      let cuts = 0;
      new Reader(source, (delivery) => {
        seen.add(Buffer.from(delivery.message.payload).toString());
        setImmediate(() => delivery.settle('done'));
        since += 1;
        if (since < 250) return;
        since = 0;
        cuts += 1;
        setTimeout(() => line.cut(), 5); // some PUBACKs must get through, or there is no end to it
      });
      await sink.publish(numbered(topic, 2_000));
      await until('all have come', () => seen.size === 2_000);
      expect(cuts).toBeGreaterThan(5);
    } finally {
      line.close();
      await broker.stop();
    }
  });
});

/** A line to a broker that can be cut in the middle of anything. */
class CutLine {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      for (const [from, to] of [
        [near, far],
        [far, near],
      ]) {
        this.#sockets.add(from);
        from.on('error', () => {});
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
  }

  static async to(port: number): Promise<CutLine> {
    const line = new CutLine(port);
    await new Promise<void>((resolve) => line.#server.listen(0, '127.0.0.1', resolve));
    return line;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
