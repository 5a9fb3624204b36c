import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiled } from '../compiled.ts';
import { type KafkaServer, startKafka, whyNoKafka, withAdmin } from '../servers/kafka.ts';
import { consume, openSink, openSource, publishNumbers, silent, text, unique, until } from './kafka-kit.ts';

const missing = await whyNoKafka();

/** mulberry32, so that the moments of the kills are the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe.skipIf(missing)('nothing is lost', () => {
  let server: KafkaServer;
  beforeAll(async () => {
    server = await startKafka();
  });
  afterAll(() => server?.stop());

  async function topicOf(name: string, partitions: number): Promise<string> {
    const topic = unique(name);
    await withAdmin(server.brokers, (admin) =>
      admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true }),
    );
    return topic;
  }

  const ends = (topic: string) =>
    withAdmin(server.brokers, async (admin) =>
      (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0),
    );

  it('when the consuming process is killed, again and again', { timeout: 120_000 }, async () => {
    const topic = await topicOf('killed', 3);
    const output = openSink(server.brokers);
    await publishNumbers(output, topic, 8_000, 50);
    await output.close();
    const program = await compiled('test/io/kafka-child.ts');
    const random = seeded(11);
    const seen = new Map<string, number>();
    for (let life = 0; life < 20 && seen.size < 8_000; life++) {
      const child = spawn(process.execPath, [program, server.brokers[0], topic], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let rest = '';
      let here = 0;
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() as string;
        here += lines.length;
        for (const line of lines) seen.set(line, (seen.get(line) ?? 0) + 1);
      });
      const closed = new Promise((resolve) => child.once('close', resolve));
      const enough = 1 + Math.floor(random() * 3_000);
      await until('it has done some', () => here >= enough || seen.size === 8_000, 30_000);
      child.kill('SIGKILL');
      await closed;
    }
    expect(seen.size).toBe(8_000);
  });

  it('when the broker is killed and comes back, on both sides', { timeout: 120_000 }, async () => {
    const input = await topicOf('in', 3);
    const result = await topicOf('out', 2);
    const telemetry = silent();
    const feed = openSink(server.brokers, { publishTimeout: '60s' });
    const source = openSource(server.brokers, input, {}, { telemetry });
    const sink = openSink(server.brokers, { publishTimeout: '3s' }, { telemetry });
    // The main job in small: a message is settled only when what follows from it is confirmed.
    const copying = new AbortController();
    const copied = (async () => {
      for await (const deliveries of source.read(copying.signal)) {
        try {
          await sink.publish(
            deliveries.map(({ message }) => ({ topic: result, key: message.key, payload: message.payload })),
          );
          for (const delivery of deliveries) delivery.settle('done');
        } catch {
          for (const delivery of deliveries) delivery.settle('retry');
        }
      }
    })();
    const feeding = publishNumbers(feed, input, 20_000, 50);
    await until('some went through', async () => (await ends(result)) > 1_000);
    await server.kill();
    await until('both notice', () => !source.health().ok && !sink.health().ok);
    await server.start();
    await feeding;
    await until('both recover', () => source.health().ok && sink.health().ok, 40_000);
    const check = consume(openSource(server.brokers, result), (delivery) => delivery.settle('done'));
    const seen = new Set<string>();
    let read = 0;
    await until(
      'everything arrived',
      () => {
        for (; read < check.seen.length; read++) seen.add(text(check.seen[read]));
        return seen.size === 20_000;
      },
      60_000,
    );
    await check.close();
    copying.abort();
    await copied;
    await Promise.all([source.close(), sink.close(), feed.close()]);
    expect(await telemetry.value('source_lost')).toBeGreaterThanOrEqual(1);
    expect(await telemetry.value('sink_lost')).toBeGreaterThanOrEqual(1);
  });
});
