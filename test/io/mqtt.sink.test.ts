/** MQTT sinks against a real mosquitto: confirmed or failed, never hanging. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Outgoing, Sink } from '../../src/contract.ts';
import type { SluiceError } from '../../src/errors.ts';
import { mqtt } from '../../src/io/mqtt.ts';
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

describe('the topics of an MQTT sink', () => {
  it('are sluice/<site>/<task>/<what>, unless the sink names them otherwise', () => {
    expect(mqtt.sink.topic('north', 'spam', 'verdict')).toBe('sluice/north/spam/verdict');
    const templates = { verdict: 'plant/{site}/{task}/{what}/{other}' };
    expect(mqtt.sink.topic('n$&', 'spam', 'verdict', templates)).toBe('plant/n$&/spam/verdict/{other}');
    expect(mqtt.sink.topic('north', 'spam', 'dead', templates)).toBe('sluice/north/spam/dead');
    expect(mqtt.sink.topic('north', 'spam', 'constructor', templates)).toBe('sluice/north/spam/constructor');
  });
});

describe.skipIf(mosquittoMissing)('an MQTT sink', () => {
  let broker: Mosquitto;
  beforeAll(async () => {
    broker = await Mosquitto.start();
  });
  afterAll(() => broker?.stop());

  it.each([
    [5, 0],
    [5, 1],
    [5, 2],
    [4, 0],
    [4, 1],
    [4, 2],
  ])(
    'version %i, QoS %i: resolves when the broker has all of a batch larger than the window',
    async (version, qos) => {
      const topic = fresh('t');
      const source = openSource({ url: broker.url, version, topics: [topic] });
      const sink = openSink({ url: broker.url, version, qos, maxInFlight: 20 });
      await ready(source, sink);
      const reader = new Reader(source, settleDone);
      await Promise.all([
        sink.publish(numbered(topic, 1_500)),
        sink.publish([]),
        sink.publish(numbered(topic, 500)),
      ]);
      await reader.has(2_000);
      expect(reader.texts).toEqual([...range(1_500), ...range(500)]);
    },
  );

  it('publishes bytes and text, retained where asked', async () => {
    const topic = fresh('t');
    const sink = openSink({ url: broker.url });
    await ready(sink);
    const bytes = new Uint8Array([0, 255, 1, 2]).subarray(1, 3);
    await sink.publish([
      { topic: `${topic}/kept`, key: 'ignored', payload: bytes, retain: true },
      { topic: `${topic}/gone`, key: null, payload: 'x' },
    ]);
    const reader = new Reader(openSource({ url: broker.url, topics: [`${topic}/#`] }), settleDone);
    await reader.has(1);
    await pause(50);
    expect(reader.deliveries.map(({ message }) => [message.topic, [...message.payload]])).toEqual([
      [`${topic}/kept`, [255, 1]],
    ]);
  });

  it('passes large messages, many at a time', async () => {
    const topic = fresh('t');
    const source = openSource(
      { url: broker.url, topics: [topic] },
      contextOf({ maxInFlightBytes: 3_000_000 }),
    );
    const sink = openSink({ url: broker.url });
    await ready(source, sink);
    const reader = new Reader(source, settleDone);
    await sink.publish(numbered(topic, 20, 1_500_000));
    await reader.has(20);
    expect(reader.deliveries.every(({ message }) => message.payload.length === 1_500_000)).toBe(true);
  });

  it('waits for the first connection, but not for one that is known to fail', async () => {
    const topic = fresh('t');
    const early = openSink({ url: broker.url });
    await early.publish(numbered(topic, 10)); // nobody waited for health
    const lost = openSink({ url: 'mqtt://localhost:1' });
    await expect(lost.publish(numbered(topic, 1))).rejects.toMatchObject({
      code: 'BROKER_UNREACHABLE',
      retry: true,
    });
    await expect(lost.publish(numbered(topic, 1))).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' });
    expect(lost.health()).toMatchObject({ ok: false, reason: expect.stringContaining('ECONNREFUSED') });
  });

  it('refuses what is larger than its limit, without sending any of the batch', async () => {
    const topic = fresh('t');
    const source = openSource({ url: broker.url, topics: [topic] });
    const sink = openSink({ url: broker.url, maxMessageSize: '1kB' });
    await ready(source, sink);
    const reader = new Reader(source, settleDone);
    await expect(sink.publish(numbered(topic, 3, 2_000))).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      retry: false,
    });
    await sink.publish(numbered(topic, 1));
    await reader.has(1);
    expect(reader.texts).toEqual(['0']);
  });

  it('says after close that it is closed', async () => {
    const sink = openSink({ url: broker.url });
    await ready(sink);
    const last = sink.publish(numbered(fresh('t'), 100));
    await sink.close();
    await last;
    await expect(sink.publish(numbered('x', 1))).rejects.toMatchObject({ code: 'PUBLISH_FAILED' });
    expect(sink.health()).toEqual({ ok: false, reason: 'closed' });
  });

  it('announces itself, and its will tells when it is gone, cleanly or not', async () => {
    const topic = fresh('state');
    const state = (payload: string) => ({ topic, payload });
    const reader = new Reader(openSource({ url: broker.url, topics: [topic] }), settleDone);
    const sink = openSink({ url: broker.url, will: state('offline'), birth: state('online') });
    await ready(sink);
    await reader.has(1);
    await sink.close();
    await reader.has(2);
    const options = {
      url: broker.url,
      will: state('offline'),
      birth: state('online'),
      reconnect: { min: '1m', max: '1m' },
    };
    const name = fresh('sink');
    const victim = openSink(options, contextOf(), name);
    await ready(victim);
    await reader.has(3);
    const rival = openSink({ url: broker.url, session: `sluice-test-${name}` }); // the broker ends the victim
    await ready(rival);
    await reader.has(4);
    expect(reader.texts).toEqual(['online', 'offline', 'online', 'offline']);
  });

  it('opens feedback on the same broker in a session of its own, which keeps what comes meanwhile', async () => {
    const topic = fresh('feedback');
    const session = fresh('gateway');
    const options = mqtt.sink.options.parse({ url: broker.url, session });
    const first = mqtt.sink.openFeedback('feedback', options, [topic], contextOf());
    await ready(first);
    await first.close();
    const sink = openSink({ url: broker.url });
    await ready(sink);
    await sink.publish(numbered(topic, 10));
    const second = mqtt.sink.openFeedback('feedback', options, [topic], contextOf());
    try {
      const reader = new Reader(second, settleDone);
      await reader.has(10);
      expect(reader.texts).toEqual(range(10));
      await reader.stop();
    } finally {
      await second.close();
    }
  });

  it.each([undefined, 'north'])(
    'keeps the feedback of several tasks connected, with the session %s',
    async (name) => {
      const session = name && fresh(name);
      const options = mqtt.sink.options.parse({ url: broker.url, ...(session && { session }) });
      const context = contextOf();
      const open = ['machine', 'spam'].map((task) =>
        mqtt.sink.openFeedback(`floor-${task}`, options, [fresh(task)], context),
      );
      try {
        await ready(...open);
        await pause(300);
        expect(await context.telemetry.value('source_lost')).toBe(0);
        expect(open.map((source) => source.health())).toEqual([{ ok: true }, { ok: true }]);
      } finally {
        await Promise.all(open.map((source) => source.close()));
      }
    },
  );
});

describe.skipIf(mosquittoMissing)('an MQTT sink that may not write to every topic', () => {
  let broker: Mosquitto;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-acl-'));
    writeFileSync(join(folder, 'acl'), 'topic readwrite free/#\n', { mode: 0o600 });
    broker = await Mosquitto.start({ config: [`acl_file ${join(folder, 'acl')}`] });
  });
  afterAll(async () => {
    await broker?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each([1, 2])('has those messages refused for good with QoS %i, and the others taken', async (qos) => {
    const topic = fresh('free/t');
    const source = openSource({ url: broker.url, topics: [topic] });
    const context = contextOf();
    const sink = openSink({ url: broker.url, qos }, context);
    await ready(source, sink);
    const reader = new Reader(source, settleDone);
    for (let i = 0; i < 5; i++) {
      await expect(sink.publish([...numbered(topic, 1), ...numbered('locked', 1)])).rejects.toMatchObject({
        code: 'BROKER_REFUSED',
        retry: false,
        message: expect.stringContaining('topic locked'),
      });
      // mosquitto 2.0.11 ends the connection after the first refusal.
      await until('the others are taken', () => taken(sink, numbered(topic, 3)));
    }
    await reader.has(15);
    expect(await context.telemetry.value('sink_lost')).toBeLessThanOrEqual(1);
  });

  it('works where it may not announce its state', async () => {
    const state = (payload: string) => ({ topic: 'locked/state', payload });
    const context = contextOf();
    const sink = openSink({ url: broker.url, will: state('offline'), birth: state('online') }, context);
    for (let i = 0; i < 3; i++) await until('messages are taken', () => taken(sink, numbered('free/t', 3)));
    await until('it is connected', () => sink.health().ok);
    expect(await context.telemetry.value('sink_lost')).toBeLessThanOrEqual(1);
    await sink.close();
  });
});

/** Whether the broker confirmed them; false where it is worth trying again. */
async function taken(sink: Sink, batch: readonly Outgoing[]): Promise<boolean> {
  return sink.publish(batch).then(
    () => true,
    (error: SluiceError) => {
      if (!error.retry) throw error;
      return false;
    },
  );
}

describe.skipIf(mosquittoMissing)('an MQTT sink whose broker fails', () => {
  it('rejects what is open when the broker dies, and works again when it returns', async () => {
    const broker = await Mosquitto.start();
    try {
      const sink = openSink({ url: broker.url, reconnect: { min: 10, max: 50 } });
      await ready(sink);
      await broker.kill('SIGSTOP');
      const open = sink.publish(numbered('t', 3_000, 300));
      const outcome = expect(open).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE', retry: true });
      await pause(50);
      await broker.kill('SIGKILL');
      await outcome;
      await until('the sink noticed', () => !sink.health().ok);
      await expect(sink.publish(numbered('t', 1))).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' });
      await broker.start();
      await ready(sink);
      await sink.publish(numbered('t', 3_000, 300));
    } finally {
      await broker.stop();
    }
  });

  it('rejects when the broker confirms nothing for publishTimeout, and recovers with it', async () => {
    const broker = await Mosquitto.start();
    try {
      const sink = openSink({ url: broker.url, publishTimeout: 200, reconnect: { min: 10, max: 50 } });
      await ready(sink);
      await broker.kill('SIGSTOP');
      await expect(sink.publish(numbered('t', 10))).rejects.toMatchObject({
        code: 'PUBLISH_FAILED',
        retry: true,
      });
      await until('it gave the connection up', () => !sink.health().ok); // what it sent may be stuck for ever
      await broker.kill('SIGCONT');
      await ready(sink);
      await sink.publish(numbered('t', 10));
    } finally {
      await broker.stop();
    }
  });

  it('reports a message that the broker itself finds too large', async () => {
    const broker = await Mosquitto.start({ config: ['max_packet_size 2000'] });
    try {
      const sink = openSink({ url: broker.url });
      await ready(sink);
      await expect(sink.publish(numbered('t', 1, 3_000))).rejects.toMatchObject({
        code: 'MESSAGE_TOO_LARGE',
      });
      await sink.publish(numbered('t', 1, 1_000));
    } finally {
      await broker.stop();
    }
  });

  it('keeps to the Receive Maximum of the broker', async () => {
    const broker = await Mosquitto.start({ config: ['max_inflight_messages 5'] });
    try {
      const sink = openSink({ url: broker.url, qos: 2, reconnect: { min: 10, max: 50 } });
      await ready(sink);
      await sink.publish(numbered('t', 2_000)); // one more in flight and mosquitto would hang up (reason 147)
      expect(sink.health()).toEqual({ ok: true });
    } finally {
      await broker.stop();
    }
  });
});
