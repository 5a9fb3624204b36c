import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Broker, startBroker } from '../../src/io/broker.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { context, openSink, unique, wallClock } from '../io/kafka-kit.ts';
import { sharedKafka, whyNoKafka, withAdmin } from '../servers/kafka.ts';
import { sluice, temporaryFolder } from './run.ts';

const missing = await whyNoKafka();

describe.skipIf(missing !== null)('sluice tap on Kafka', () => {
  const folder = temporaryFolder();
  let brokers: readonly string[];
  let broker: Broker;

  beforeAll(async () => {
    brokers = await sharedKafka();
    broker = await startBroker();
  }, 90_000);
  afterAll(async () => {
    await broker.close();
    folder.remove();
  });

  const configuration = (task: string, kafka: string): string => `site: north
sources: { plant: { type: mqtt, url: "${broker.url}", version: 4, topics: ["plant/+"] } }
tasks: { ${task}: { from: [plant], event: sensor, fields: { t: {} }, labels: [ok, fault] } }
sinks:
  core: { type: kafka, brokers: ["${kafka}"] }
  floor: { type: mqtt, url: "${broker.url}", version: 4 }
store: { path: ${JSON.stringify(folder.path)} }
`;

  /** Publishes on both brokers until `sluice tap` ends. */
  async function tapping(words: readonly string[], rounds: (round: number) => Promise<void>) {
    let running = true;
    const ended = sluice(['tap', ...words, '--json']).finally(() => {
      running = false;
    });
    for (let round = 0; running; round += 1) {
      await rounds(round);
      await wallClock.sleep(50);
    }
    const { out, err, code } = await ended;
    const seen = out.split('\n').filter(Boolean);
    return { seen: seen.map((line) => JSON.parse(line) as { kind: string; data: { n: string } }), err, code };
  }

  it('hears several topics beside MQTT, says which are not there yet, and hears those when they appear', async () => {
    const task = unique('tap').replaceAll('-', '_');
    const topic = (what: string) => `sluice.${task}.${what}`;
    const old = ['verdict', 'feedback', 'metrics'];
    await withAdmin(brokers, (admin) =>
      admin.createTopics({ topics: old.map((what) => ({ topic: topic(what) })), waitForLeaders: true }),
    );
    const sink = openSink(brokers);
    const floor = mqtt.sink.open(
      'floor',
      mqtt.sink.options.parse({ url: broker.url, version: 4 }),
      context(),
    );
    const message = (name: string, n: string) => ({ topic: name, key: null, payload: JSON.stringify({ n }) });
    await sink.publish(old.map((what) => message(topic(what), 'old')));
    const file = folder.file('sluice.yaml', configuration(task, brokers[0]));
    const wanted = new Set(['verdict', 'feedback', 'metrics', 'drift', 'mqtt']);
    const { seen, err, code } = await tapping(['-c', file, '--for', '6s'], async (round) => {
      const whats = round < 30 ? old : [...old, 'drift'];
      await sink.publish(whats.map((what) => message(topic(what), `${what} ${round}`)));
      await floor.publish([message(`sluice/north/${task}/verdict`, `mqtt ${round}`)]);
    });
    expect(code).toBe(0);
    for (const { data } of seen) wanted.delete(data.n.split(' ')[0]);
    expect([...wanted]).toEqual([]);
    expect(seen.map(({ data }) => data.n)).not.toContain('old');
    // A topic that came later is heard from its first message.
    expect(seen.map(({ data }) => data.n)).toContain('drift 30');
    expect(err).toContain(
      `core: not there yet, heard as soon as they are: ${topic('drift')}, ${topic('dead')}`,
    );
    await sink.close();
    await floor.close();
  }, 40_000);

  it('goes on with the other brokers where Kafka is away, and says so', async () => {
    const floor = mqtt.sink.open(
      'floor',
      mqtt.sink.options.parse({ url: broker.url, version: 4 }),
      context(),
    );
    const file = folder.file('away.yaml', configuration('alone', '127.0.0.1:1'));
    const { seen, code } = await tapping(['-c', file, '--limit', '2'], async (round) => {
      await floor.publish([
        { topic: 'sluice/north/alone/verdict', key: null, payload: JSON.stringify({ n: String(round) }) },
      ]);
    });
    expect({ code, heard: seen.length }).toEqual({ code: 0, heard: 2 });
    const { err, code: late } = await sluice(['tap', '-c', file, '--for', '1s']);
    expect(late).toBe(0);
    expect(err).toContain('core: not heard (tried again): ');
    await floor.close();
  }, 40_000);
});
