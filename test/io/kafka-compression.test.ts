import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, expect, it, test } from 'vitest';
import type { Sink, Source } from '../../src/contract.ts';
import { compressions, installCodecs } from '../../src/io/kafka/compression.ts';
import { lz4Bound, snappyBlocks, snappySize } from '../../src/io/kafka/frames.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { type KafkaServer, startKafka, whyNoKafka, withAdmin } from '../servers/kafka.ts';
import { consume, openSink, openSource, text, unique, until } from './kafka-kit.ts';

const MiB = 1024 ** 2;
const names = ['gzip', 'snappy', 'lz4', 'zstd'] as const;
type Name = (typeof names)[number];

interface KafkaCodec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(packed: Buffer): Promise<Buffer>;
}

function codecOf(name: Name): KafkaCodec {
  installCodecs();
  return (kafkajs.CompressionCodecs as Record<number, () => KafkaCodec>)[compressions[name]]();
}

/** Bytes as an answer brings them: memory of their own, so that each test has a bound of its own. */
const alone = (bytes: Uint8Array): Buffer => Buffer.from(new Uint8Array(bytes).buffer);

describe.each(names)('the %s codec', (name) => {
  test('gives back what was packed, small, large, empty and incompressible', async () => {
    const codec = codecOf(name);
    const noise = Buffer.from(
      Array.from({ length: 200_000 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 255),
    );
    const words = Buffer.from('{"temperature": 21.5, "mode": "run"}\n'.repeat(20_000));
    for (const plain of [noise, words, Buffer.from('x'), Buffer.alloc(0)]) {
      const packed = await codec.compress({ buffer: plain });
      expect((await codec.decompress(alone(packed))).equals(plain)).toBe(true);
    }
  });

  test('refuses what would unpack beyond the bound, and the batches of one answer together keep to it', async () => {
    const codec = codecOf(name);
    const bomb = await codec.compress({ buffer: Buffer.alloc(40 * MiB) });
    await expect(codec.decompress(alone(bomb))).rejects.toMatchObject({
      cause: { code: 'BATCH_UNREADABLE' },
      message: expect.stringContaining(`more than ${16 * MiB} bytes`),
    });
    const batch = await codec.compress({ buffer: Buffer.alloc(6 * MiB) });
    const answer = alone(Buffer.concat([batch, batch, batch]));
    const slice = (i: number) => answer.subarray(i * batch.length, (i + 1) * batch.length);
    expect(await codec.decompress(slice(0))).toHaveLength(6 * MiB);
    expect(await codec.decompress(slice(1))).toHaveLength(6 * MiB);
    // The name by which kafkajs ends the answer here and fetches again.
    await expect(codec.decompress(slice(2))).rejects.toMatchObject({ name: 'KafkaJSPartialMessageError' });
    expect(await codec.decompress(alone(batch))).toHaveLength(6 * MiB);
  });

  test('answers damage with an error or with other bytes, never with anything else', async () => {
    const codec = codecOf(name);
    const packed = await codec.compress({ buffer: Buffer.from('{"temperature": 21.5}\n'.repeat(300)) });
    const damaged = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .array(fc.tuple(fc.nat(packed.length - 1), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        })
        .map((changes) => {
          const bytes = Buffer.from(packed);
          for (const [at, value] of changes) bytes[at] = value;
          return bytes;
        }),
      fc.nat(packed.length - 1).map((length) => packed.subarray(0, length)),
    );
    const check = fc.asyncProperty(damaged, async (bytes) => {
      const result = await codec.decompress(alone(bytes)).catch((error) => error);
      if (Buffer.isBuffer(result)) expect(result.length).toBeLessThanOrEqual(16 * MiB);
      else expect(result).toMatchObject({ retriable: false, cause: { code: 'BATCH_UNREADABLE' } });
    });
    await fc.assert(check, { seed: 3, numRuns: 300 });
  });
});

describe('frames', () => {
  test('xerial frames are taken apart, a bare block stays whole, a cut one is refused', () => {
    const header = Buffer.from([0x82, ...Buffer.from('SNAPPY'), 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    const framed = Buffer.concat([header, Buffer.from([0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9])]);
    expect(snappyBlocks(framed).map((block) => [...block])).toEqual([[7, 8], [9]]);
    expect(snappyBlocks(header)).toEqual([]);
    expect(snappyBlocks(Buffer.from([1, 2]))).toEqual([Buffer.from([1, 2])]);
    for (let cut = header.length + 1; cut < framed.length; cut++)
      if (cut !== header.length + 6) expect(() => snappyBlocks(framed.subarray(0, cut))).toThrow('cut off');
  });

  test('a claim of gigabytes is read as such', () => {
    expect(snappySize(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]))).toBe(2 ** 32 - 1);
    expect(() => snappySize(Buffer.from([0xff, 0xff]))).toThrow('size');
    const frame = (descriptor: number, ...words: number[]) => {
      const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, descriptor, 0]);
      const blocks = words.map((length) => {
        const block = Buffer.alloc(4 + (length & 0x7fffffff));
        block.writeUInt32LE(length >>> 0);
        return block;
      });
      return Buffer.concat([head, ...blocks]);
    };
    expect(lz4Bound(frame(0x40, 1_000, 1_000, 0))).toBe(2 * 65_536);
    expect(lz4Bound(frame(0x70, 10, 0))).toBe(2_550);
    expect(lz4Bound(frame(0x40, 0x80000000 + 500, 0))).toBe(500);
    expect(() => lz4Bound(frame(0x40, 10))).toThrow('cut off');
    expect(() => lz4Bound(Buffer.from('no frame'))).toThrow('not an LZ4 frame');
  });
});

const missing = await whyNoKafka();

describe.skipIf(missing)('compressed topics', () => {
  let server: KafkaServer;
  const opened: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(thing: T): T => {
    opened.push(thing);
    return thing;
  };

  beforeAll(async () => {
    server = await startKafka();
  });
  afterAll(() => server?.stop());
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((thing) => thing.close()));
  });

  const sink = (options = {}): Sink => keep(openSink(server.brokers, options));
  // The smallest fetch: the bound is UNPACKED_LEAST.
  const source = (topic: string, options = {}): Source =>
    keep(openSource(server.brokers, topic, { fetchBytes: '1MiB', ...options }));

  /** With `compression`, the broker packs what comes in itself, in Java. */
  async function topicOf(name: string, compression?: string): Promise<string> {
    const topic = unique(name);
    const settings = {
      'max.message.bytes': '8000000',
      ...(compression ? { 'compression.type': compression } : {}),
    };
    const configEntries = Object.entries(settings).map(([key, value]) => ({ name: key, value }));
    await withAdmin(server.brokers, (admin) =>
      admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }], waitForLeaders: true }),
    );
    return topic;
  }

  /** One batch of `values`, as kafkajs makes it. */
  async function produce(topic: string, values: readonly (string | Buffer)[]): Promise<void> {
    const producer = new kafkajs.Kafka({ brokers: [...server.brokers] }).producer({
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    try {
      const messages = values.map((value) => ({ value }));
      await producer.send({ topic, messages, compression: kafkajs.CompressionTypes.GZIP });
    } finally {
      await producer.disconnect();
    }
  }

  const logOf = (topic: string) => path.join(server.folder, 'data', `${topic}-0`, '00000000000000000000.log');
  /** The codec number in the attributes of the first batch on disk. */
  const storedCodec = (topic: string) => readFileSync(logOf(topic))[22] & 7;

  /** Writes into the log under the running broker, which does not look at batches that it hands out. */
  async function tamper(topic: string, at: number, change: (byte: number) => number): Promise<void> {
    const file = await open(logOf(topic), 'r+');
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    await file.write(Buffer.from([change(byte[0])]), 0, 1, at);
    await file.close();
  }

  /** What an operator may do about a batch that nobody can read. */
  async function deleteBefore(topic: string, offset: string): Promise<void> {
    await withAdmin(server.brokers, async (admin) => {
      // kafkajs looks for the leader only among topics that it was asked about before.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] });
    });
  }

  async function reasonOf(input: Source): Promise<string> {
    let reason = '';
    await until('a reason', () => {
      const health = input.health();
      reason = health.ok ? '' : health.reason;
      return !/^(not started|connecting|$)/.test(reason);
    });
    return reason;
  }

  it.each(names)('reads %s as Java writes it, with keys and large and small messages', async (name) => {
    const topic = await topicOf(name, name);
    const output = sink();
    const values = Array.from(
      { length: 500 },
      (_, i) => `${i} ${'abcdef'.repeat(i % 7 === 0 ? 2_000 : i % 5)}`,
    );
    await output.publish(values.map((payload, i) => ({ topic, key: `k${i}`, payload })));
    expect(storedCodec(topic)).toBe(compressions[name]);
    const reading = consume(source(topic), (delivery) => delivery.settle('done'));
    await until('all came', () => reading.seen.length >= 500);
    expect(reading.seen.map(text)).toEqual(values);
    expect(reading.seen[7].key).toBe('k7');
    await reading.stop();
  });

  it.each(names)('publishes %s, which the broker looks through and stores', async (name) => {
    const topic = await topicOf(`out-${name}`);
    const values = Array.from({ length: 300 }, (_, i) => `${i} ${'value '.repeat(i)}`);
    await sink({ compression: name }).publish(values.map((payload) => ({ topic, key: null, payload })));
    expect(storedCodec(topic)).toBe(compressions[name]);
    const reading = consume(source(topic), (delivery) => delivery.settle('done'));
    await until('all came', () => reading.seen.length >= 300);
    expect(reading.seen.map(text)).toEqual(values);
    await reading.stop();
  });

  it('reads batches that together unpack to more than one answer may, in order and once each', async () => {
    const topic = await topicOf('many', 'zstd');
    const values = Array.from({ length: 8 }, (_, i) => String(i).padEnd(5 * MiB));
    for (const value of values) await produce(topic, [value]);
    const reading = consume(source(topic), (delivery) => delivery.settle('done'));
    await until('all came', () => reading.seen.length >= 8);
    expect(reading.seen.map((message) => text(message).trim())).toEqual(values.map((value) => value.trim()));
    await reading.stop();
  });

  it.each(names)(
    'names a %s bomb with its offset, stays alive, and goes on once it is behind it',
    async (name) => {
      const topic = await topicOf(`bomb-${name}`, name);
      await produce(topic, ['before']);
      await produce(
        topic,
        Array.from({ length: 40 }, () => Buffer.alloc(MiB)),
      );
      await produce(topic, ['after']);
      const input = source(topic);
      const reading = consume(input, (delivery) => delivery.settle('done'));
      const reason = await reasonOf(input);
      expect(reason).toMatch(
        new RegExp(`^a ${name} batch of \\d+ bytes at offset 1 is damaged or unpacks to more`),
      );
      expect(reading.seen.map(text)).toEqual(['before']);
      await deleteBefore(topic, '41');
      await until('it goes on', () => reading.seen.length >= 2);
      expect(reading.seen.map(text)).toEqual(['before', 'after']);
      await until('healthy', () => input.health().ok);
      await reading.stop();
    },
  );

  it.each([
    [
      'a damaged batch',
      61 + 20,
      (byte: number) => byte ^ 0xff,
      'BATCH_UNREADABLE',
      /^a zstd batch .*offset 0 is damaged/,
    ],
    ['an unknown codec', 22, () => 6, 'COMPRESSION_UNSUPPORTED', /^a batch has codec 6, which is not known/],
    [
      'a batch whose records end too early',
      60,
      () => 200,
      'BATCH_UNREADABLE',
      /^a batch is damaged: .*bounds/,
    ],
  ] as const)('%s leaves the consumer alive with a reason', async (_what, at, change, code, expected) => {
    const topic = await topicOf('tampered', 'zstd');
    await produce(
      topic,
      Array.from({ length: 100 }, (_, i) => `value ${i}`),
    );
    await produce(topic, ['after']);
    await tamper(topic, at, change);
    const lines: string[] = [];
    const telemetry = new Telemetry({ destination: { write: (line) => lines.push(line) } });
    const input = keep(openSource(server.brokers, topic, {}, { telemetry }));
    const reading = consume(input, (delivery) => delivery.settle('done'));
    expect(await reasonOf(input)).toMatch(expected);
    expect(lines.join()).toContain(`"code":"${code}"`);
    await deleteBefore(topic, '100');
    await until('it goes on', () => reading.seen.length >= 1);
    expect(reading.seen.map(text)).toEqual(['after']);
    await reading.stop();
  });

  // Last: the bound is the process's own and only rises.
  it('takes a larger batch where the source fetches more at once', async () => {
    const topic = await topicOf('large', 'zstd');
    await produce(
      topic,
      Array.from({ length: 20 }, () => Buffer.alloc(MiB)),
    );
    const reading = consume(source(topic, { fetchBytes: '8MiB' }), (delivery) => delivery.settle('done'));
    await until('all came', () => reading.seen.length >= 20);
    expect(reading.seen.every(({ payload }) => payload.length === MiB)).toBe(true);
    await reading.stop();
  });
});
