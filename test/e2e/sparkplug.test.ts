/** A Sparkplug node, a real broker and a real gateway: missed births, gaps, restarts, kills; nothing that arrived is lost. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { type Bus, mqttBus } from './bus.ts';
import { collect, Operated, type SeenVerdict, SOON_MS, untilSeen } from './ops-kit.ts';
import { until } from './scale.ts';
import { EdgeNode } from './sparkplug-node.ts';

let broker: Mosquitto;
let bus: Bus;
let gateway: Operated;
let node: EdgeNode;
let seen: SeenVerdict[];

const config = (url: string) => `
site: north
sources: { plant: { type: mqtt, url: "${url}", topics: ["spBv1.0/plant/#"], session: north } }
sinks: { floor: { type: mqtt, url: "${url}" } }
tasks:
  machine:
    from: [plant]
    event: sensor
    decode: { kind: sparkplug, births: false }
    fields: { x: { type: number, pointer: /Inputs/x } }
    labels: [ok, fault]
    minLabels: 0
    minPerLabel: 0
`;

beforeEach(async () => {
  if (mosquittoMissing) return;
  broker = await Mosquitto.start();
  bus = await mqttBus(broker.url);
  gateway = await Operated.make(config(broker.url));
  seen = await collect(bus, 'sluice/north/machine/verdict');
});

afterEach(async () => {
  await node?.close().catch(() => undefined);
  await gateway?.remove();
  await bus?.close();
  await broker?.stop();
});

const untilRebirths = (n: number) =>
  until(
    () => node.rebirths >= n,
    SOON_MS,
    () => `${n} rebirth requests, ${node.rebirths} came\n${gateway.log.slice(-2_000)}`,
  );

test.skipIf(mosquittoMissing)(
  'births that were missed are asked for, what came before them is judged after them, and aliases survive a restart',
  async () => {
    node = await EdgeNode.connect(broker.url, 'edge');
    await node.birth();
    await gateway.start();
    for (let i = 0; i < 20; i += 1) await node.data(i);
    await untilRebirths(1);
    await untilSeen(node.sent, seen, gateway);
    expect(new Set(seen.map(({ device }) => device))).toEqual(new Set(['plant/edge/press']));
    for (let i = 0; i < 20; i += 1) await node.data(i);
    await untilSeen(node.sent, seen, gateway);
    const asked = node.rebirths;

    // Deaf: nothing but what was saved names the aliases now.
    node.isDeaf = true;
    expect(await gateway.stop()).toBe(0);
    await gateway.start();
    for (let i = 0; i < 20; i += 1) await node.data(i);
    await untilSeen(node.sent, seen, gateway);
    expect(node.rebirths).toBe(asked);
    expect((await gateway.status()).tasks.machine.dead).toBe(0);
  },
  90_000,
);

test.skipIf(mosquittoMissing)(
  'a gap in seq is counted, the births are asked for again, and what came after it is judged',
  async () => {
    await gateway.start();
    node = await EdgeNode.connect(broker.url, 'edge');
    await node.birth();
    await node.data(1);
    await untilSeen(node.sent, seen, gateway);
    expect(node.rebirths).toBe(0);
    node.skip(7);
    for (let i = 0; i < 5; i += 1) await node.data(i);
    await untilSeen(node.sent, seen, gateway);
    await untilRebirths(1);
    expect(await gateway.metric('sequence_lost', { task: 'machine' })).toBe(7);
    expect(gateway.signals('sequence_lost').length).toBe(1);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'through SIGKILL, and a node that dies and comes back with other aliases meanwhile, everything at QoS 1 is judged',
  async () => {
    await gateway.start();
    node = await EdgeNode.connect(broker.url, 'edge', { qos: 1 });
    await node.birth();
    for (let i = 0; i < 10; i += 1) await node.data(i);
    await untilSeen(node.sent, seen, gateway);
    const all = [...node.sent];
    await gateway.stop('SIGKILL');
    for (let i = 0; i < 10; i += 1) await node.data(i);
    all.push(...node.sent.slice(10));
    await node.die();
    node = await EdgeNode.connect(broker.url, 'edge', { qos: 1, session: 1 });
    await node.birth();
    for (let i = 0; i < 10; i += 1) await node.data(i);
    await gateway.start();
    for (let i = 0; i < 10; i += 1) await node.data(i);
    await untilSeen([...all, ...node.sent], seen, gateway);
    expect((await gateway.status()).tasks.machine.dead).toBe(0);
  },
  90_000,
);
