/** Whatever is sent ends as a verdict or as a dead letter; the gateway lives on and stays small. */
import { expect, test } from 'vitest';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { mqttBus } from './bus.ts';
import { makeGateway } from './gateway.ts';
import { malformedPayloads } from './malformed.ts';
import { patience, scale, until } from './scale.ts';

/** Node itself, the models, and a few payloads of 60 MiB with their copies; not the 1,000 payloads together. */
const MEMORY_MIB = 1_100;

test.skipIf(mosquittoMissing)(
  'malformed payloads of every kind end in the dead-letter topic or a verdict, and good events after them are scored',
  async () => {
    const broker = await Mosquitto.start();
    const bus = await mqttBus(broker.url);
    const gateway = await makeGateway(`
site: junk
sources:
  plant: { type: mqtt, url: "${broker.url}", topics: ["reading/+"] }
  post: { type: mqtt, url: "${broker.url}", topics: ["mail/+"] }
sinks:
  out: { type: mqtt, url: "${broker.url}" }
tasks:
  machine:
    from: [plant]
    event: sensor
    fields:
      temperature: { type: number, range: [-50, 150] }
      vibration: { type: number, range: [0, 100] }
      mode: { type: category }
    device: { topicLevel: 1 }
    labels: [ok, fault]
  spam: { from: [post], event: email, labels: [ham, spam] }`);
    try {
      await gateway.start();
      const ended = new Set<string>();
      const codes = new Map<string, number>();
      for (const [task, prefix] of [
        ['machine', 'reading'],
        ['spam', 'mail'],
      ]) {
        await bus.subscribe(`sluice/junk/${task}/verdict`, (payload) => {
          const { device } = JSON.parse(payload.toString()).data;
          ended.add(`${prefix}/${String(device).split('/').at(-1)}`);
        });
        await bus.subscribe(`sluice/junk/${task}/dead`, (payload) => {
          const { topic, code } = JSON.parse(payload.toString()).data;
          ended.add(topic);
          codes.set(code, (codes.get(code) ?? 0) + 1);
        });
      }
      const payloads = malformedPayloads(scale.malformed, 3);
      // An empty array holds no event: there is nothing to judge, and it is acknowledged.
      const silent = new Set<string>();
      for (const [n, { task, one }] of payloads.entries()) {
        if (one.kind === 'empty array') silent.add(`${task}/${n}`);
        await bus.publish(`${task}/${n}`, one.payload);
      }
      const missing = () =>
        payloads.flatMap(({ task, one }, n) =>
          ended.has(`${task}/${n}`) || silent.has(`${task}/${n}`) ? [] : [`${task}: ${one.kind}`],
        );
      await until(
        () => missing().length === 0,
        patience / 2,
        () =>
          `${missing().length} without an end, e.g. ${missing().slice(0, 5).join('; ')}\n${gateway.log.slice(-1500)}`,
      );
      expect(gateway.running).toBe(true);
      expect([...codes.keys()].filter((code) => code === 'DECODE_UNEXPECTED' || code === 'INTERNAL')).toEqual(
        [],
      );
      await bus.publish('reading/last', '{"temperature":20,"vibration":1,"mode":"auto"}');
      await until(
        () => ended.has('reading/last'),
        10_000,
        () => 'the good reading after them',
      );
      const rss = await gateway.rssMiB();
      console.log(
        `malformed: ${payloads.length} payloads, codes ${JSON.stringify(Object.fromEntries(codes))}, peak ${Math.round(rss)} MiB`,
      );
      expect(rss).toBeLessThan(MEMORY_MIB);
      await until(
        async () => (await gateway.status()).inFlight.events === 0,
        10_000,
        () => 'something stays unsettled',
      );
      expect(await gateway.stop()).toBe(0);
    } finally {
      await gateway.remove();
      await bus.close();
      await broker.stop();
    }
  },
  patience,
);
