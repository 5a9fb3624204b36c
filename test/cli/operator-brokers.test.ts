/** The operator's tools on real brokers: MQTT 5 with users, and Kafka. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { consume, context, openSink, openSource, unique, until } from '../io/kafka-kit.ts';
import { sharedKafka, whyNoKafka } from '../servers/kafka.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const noKafka = await whyNoKafka();

describe.skipIf(mosquittoMissing)('on mosquitto', () => {
  let server: Mosquitto;
  beforeAll(async () => {
    server = await Mosquitto.start({ users: { ann: 'p@ss word' } });
  });
  afterAll(() => server.stop());
  const address = (user: string) => server.url.replace('//', `//${user}@`);

  it('init logs in with what the address says and leaves it to the environment; feedback does the same', async () => {
    const sink = mqtt.sink.open(
      'out',
      mqtt.sink.options.parse({ url: server.url, user: 'ann', password: 'p@ss word' }),
      context(),
    );
    const out = join(folder.path, 'mosquitto.yaml');
    const made = sluice(['init', address('ann:p%40ss%20word'), 'hall/#', '--for', '1s', '--out', out]);
    await sink.publish([
      { topic: 'hall/press-1/state', key: null, payload: '{"t":21.5,"on":true}', retain: true },
    ]);
    expect(await made).toMatchObject({ code: 0, err: '' });
    await sink.close();
    const text = readFileSync(out, 'utf8');
    expect(text).not.toMatch(/p@ss|p%40ss|version: 4/);
    const env = { MQTT_USER: 'ann', MQTT_PASSWORD: 'p@ss word' };
    expect(parseConfig(text, out, { env }).sources.hall).toMatchObject({ topics: ['hall/#'], user: 'ann' });
    const sent = await sluice(['feedback', '-c', out, '--event', 'x', '--label', 'ok'], { env });
    expect(sent).toMatchObject({ code: 0, out: expect.stringContaining('sent 1 of 1') });
    const denied = await sluice(['feedback', '-c', out, '--event', 'x', '--label', 'ok'], {
      env: { ...env, MQTT_PASSWORD: 'wrong' },
    });
    expect(denied.code).toBe(1);
    expect(denied.err).toMatch(/BROKER_AUTH|PUBLISH_FAILED/);
  });

  it('init says that it was refused, without the password', async () => {
    const ran = await sluice([
      'init',
      address('ann:wr0ngsecret'),
      '--for',
      '1s',
      '--out',
      join(folder.path, 'no.yaml'),
    ]);
    expect(ran).toMatchObject({ code: 1, err: expect.stringContaining('BROKER_AUTH') });
    expect(ran.err + ran.out).not.toContain('wr0ngsecret');
  });
});

describe.skipIf(noKafka)('on Kafka', () => {
  it('init reads what topics hold, by key, and feedback keeps the labels of an event in one partition', async () => {
    const brokers = await sharedKafka();
    const topic = unique('init-readings');
    const sink = openSink(brokers);
    const rows = Array.from({ length: 40 }, (_, i) => ({
      topic,
      key: `press-${i % 4}`,
      payload: JSON.stringify({ t: 20 + (i % 9), mode: 'run' }),
    }));
    await sink.publish(rows);
    await sink.close();
    const out = join(folder.path, 'kafka.yaml');
    const made = await sluice(['init', `kafka://${brokers[0]}`, topic, '--for', '3s', '--out', out]);
    expect(made).toMatchObject({ code: 0, err: '' });
    expect(made.out).toContain('heard 40 messages on 1 topics');
    const text = readFileSync(out, 'utf8');
    expect(text).toContain('# The device is the Kafka key.');
    const config = parseConfig(text, out);
    const [task] = Object.keys(config.tasks);
    expect(config.tasks[task].decode.options).toMatchObject({
      fields: { t: { type: 'number' }, mode: { type: 'category' } },
    });
    const missing = await sluice([
      'init',
      `kafka://${brokers[0]}`,
      'no-such-topic',
      '--out',
      join(folder.path, 'x.yaml'),
    ]);
    expect(missing).toMatchObject({ code: 1, err: expect.stringContaining('has no topic no-such-topic') });

    const sent = await sluice(['feedback', '-c', out, '--event', 'a/0/1', '--label', 'fault', '--json', '-']);
    const { topic: feedback } = JSON.parse(sent.out);
    expect(feedback).toBe(`sluice.${task}.feedback`);
    const watch = consume(openSource(brokers, feedback), (delivery) => delivery.settle('done'));
    await until('the label', () => watch.seen.length > 0);
    expect(watch.seen[0]).toMatchObject({ key: 'a/0/1' });
    await watch.close();
  }, 40_000);
});
