import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Outgoing, Sink } from '../../src/contract.ts';
import { kafka } from '../../src/io/kafka.ts';
import { sharedKafka, whyNoKafka, withAdmin } from '../servers/kafka.ts';
import { consume, openSink, openSource, publishNumbers, silent, text, unique, until } from './kafka-kit.ts';

const missing = await whyNoKafka();

describe.skipIf(missing)('a Kafka sink', () => {
  let brokers: readonly string[];
  const open: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(thing: T): T => {
    open.push(thing);
    return thing;
  };
  const sink = (options = {}, more = {}): Sink => keep(openSink(brokers, options, more));

  beforeAll(async () => {
    brokers = await sharedKafka();
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((thing) => thing.close()));
  });

  /** Everything in a topic, by a group of its own. */
  async function contents(topic: string, count: number): Promise<string[]> {
    const reading = consume(openSource(brokers, topic, { group: unique('check') }), (d) => d.settle('done'));
    await until(`${count} messages`, () => reading.seen.length >= count);
    await reading.stop();
    return reading.seen.map(text);
  }

  const end = (topic: string) =>
    withAdmin(brokers, async (admin) =>
      (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0),
    );

  it('has every message at the broker when publish resolves', async () => {
    const topic = unique('confirmed');
    const output = sink();
    await publishNumbers(output, topic, 2_500);
    expect(await end(topic)).toBe(2_500);
    expect((await contents(topic, 2_500)).map(Number)).toEqual(Array.from({ length: 2_500 }, (_, i) => i));
  });

  it('keeps publishes made at the same time whole and in order', async () => {
    const topic = unique('together');
    const output = sink();
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => output.publish([{ topic, key: 'k', payload: String(i) }])),
    );
    expect((await contents(topic, 50)).map(Number)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  it('splits what is more than the broker takes at once', async () => {
    const topic = unique('big');
    const batch: Outgoing[] = Array.from({ length: 40 }, (_, i) => ({
      topic,
      key: 'k',
      payload: String(i).padEnd(100_000, 'x'),
    }));
    await sink().publish(batch);
    expect(await end(topic)).toBe(40);
  });

  it('halves a request that exceeds the limit of its topic, and sends all that fit alone', async () => {
    const topic = unique('limit');
    await withAdmin(brokers, (admin) =>
      admin.createTopics({
        topics: [{ topic, configEntries: [{ name: 'max.message.bytes', value: '20000' }] }],
      }),
    );
    const output = sink();
    const batch: Outgoing[] = Array.from({ length: 16 }, (_, i) => ({
      topic,
      key: 'k',
      payload: String(i).padEnd(9_000, 'x'),
    }));
    await output.publish(batch);
    expect(await end(topic)).toBeGreaterThanOrEqual(16);
    await expect(output.publish([{ topic, key: 'k', payload: 'x'.repeat(30_000) }])).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      retry: false,
    });
    await output.publish([{ topic, key: 'k', payload: 'after' }]);
    await until('healthy', () => output.health().ok);
  });

  it('refuses a message above its own limit before anything is sent', async () => {
    const topic = unique('oversize');
    const output = sink({ maxMessageBytes: '10kB' });
    await output.publish([{ topic, key: null, payload: 'first' }]);
    const batch = [
      { topic, key: null, payload: 'small' },
      { topic, key: null, payload: new Uint8Array(10_001) },
    ];
    await expect(output.publish(batch)).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE', retry: false });
    expect(await end(topic)).toBe(1);
  });

  it('does not fail the publishes that went together with a refused one', async () => {
    const topic = unique('neighbours');
    await withAdmin(brokers, (admin) =>
      admin.createTopics({
        topics: [{ topic, configEntries: [{ name: 'max.message.bytes', value: '20000' }] }],
      }),
    );
    const output = sink();
    const results = await Promise.allSettled(
      [10, 30_000, 10, 10].map((size) => output.publish([{ topic, key: 'k', payload: 'x'.repeat(size) }])),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
  });

  it('carries key, headers and bytes unchanged, with and without compression', async () => {
    for (const compression of ['none', 'gzip']) {
      const topic = unique(compression);
      const payload = new Uint8Array([1, 2, 0, 255]);
      await sink({ compression }).publish([{ topic, key: 'ü', payload, headers: { ce_id: 'ä' } }]);
      const reading = consume(openSource(brokers, topic), (d) => d.settle('done'));
      await until('it came', () => reading.seen.length === 1);
      await reading.stop();
      expect(reading.seen[0].key).toBe('ü');
      expect({ ...reading.seen[0].headers }).toEqual({ ce_id: 'ä' });
      expect([...reading.seen[0].payload]).toEqual([1, 2, 0, 255]);
    }
  });

  it('names topics by task, or by the templates of the sink', () => {
    expect(kafka.sink.topic('north', 'spam', 'verdict')).toBe('sluice.spam.verdict');
    const templates = { verdict: 'plant.{site}.{task}' };
    expect(kafka.sink.topic('north', 'spam', 'verdict', templates)).toBe('plant.north.spam');
    expect(kafka.sink.topic('north', 'spam', 'dead', templates)).toBe('sluice.spam.dead');
  });

  it('creates no topic where that is not allowed, and says what is missing', async () => {
    const topic = unique('forbidden');
    const output = sink({ createTopics: false, publishTimeout: '1500ms' });
    await until('healthy', () => output.health().ok);
    await expect(output.publish([{ topic, key: null, payload: 'x' }])).rejects.toMatchObject({
      code: 'PUBLISH_FAILED',
      retry: true,
    });
    expect(await withAdmin(brokers, (admin) => admin.listTopics())).not.toContain(topic);
  });

  it('rejects in bounded time when no broker answers, and tells why', async () => {
    const telemetry = silent();
    const output = keep(openSink(['127.0.0.1:1'], { publishTimeout: '1s' }, { telemetry }));
    const started = Date.now();
    await expect(output.publish([{ topic: 't', key: null, payload: 'x' }])).rejects.toMatchObject({
      retry: true,
    });
    expect(Date.now() - started).toBeLessThan(10_000);
    const health = output.health();
    expect(health.ok).toBe(false);
    expect(!health.ok && health.reason).toMatch(/ECONNREFUSED/);
  });

  it('refuses to publish once it is closed', async () => {
    const output = sink();
    await output.close();
    await expect(output.publish([{ topic: 't', key: null, payload: 'x' }])).rejects.toMatchObject({
      code: 'PUBLISH_FAILED',
    });
    expect(output.health()).toEqual({ ok: false, reason: 'closed' });
    await output.close();
  });

  it('describes every option', () => {
    const schemas = [kafka.source.options, kafka.sink.options];
    for (const schema of schemas)
      for (const [name, field] of Object.entries((schema as unknown as { shape: object }).shape))
        expect((field as { description?: string }).description, name).toBeTruthy();
  });
});
