/** `sluice dead` beside a running gateway: what died is found, read, replayed and dropped. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { type Bus, mqttBus } from './bus.ts';
import { collect, Operated, plainTask, reading, SOON_MS, sluice, untilSeen } from './ops-kit.ts';
import { until } from './scale.ts';

let broker: Mosquitto;
let bus: Bus;
let gateway: Operated;

beforeEach(async () => {
  if (mosquittoMissing) return;
  broker = await Mosquitto.start();
  bus = await mqttBus(broker.url);
});

afterEach(async () => {
  await gateway?.remove();
  await bus?.close();
  await broker?.stop();
});

const config = (pointer: string) => `
site: grave
sources: { plant: { type: mqtt, url: "${broker.url}", topics: ["grave/+"] } }
sinks: { floor: { type: mqtt, url: "${broker.url}" } }
${plainTask('plant').replace('{ x: { type: number,', `{ x: { type: number, required: true, pointer: ${pointer},`)}`;

interface Listed {
  readonly id: string;
  readonly code: string;
  readonly task: string;
}

/** Newest first, as `list` prints them. */
async function listed(): Promise<Listed[]> {
  const { code, stdout, stderr } = await sluice(['dead', 'list', '-c', gateway.file, '--json', '-']);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

test.skipIf(mosquittoMissing)(
  'a dead letter is listed and shown, dies again under a new id, is replayed with its identity once the configuration fits, and can be dropped',
  async () => {
    gateway = await Operated.make(config('/x'));
    const seen = await collect(bus, 'sluice/grave/machine/verdict');
    const dead: { code: string; payload: string }[] = [];
    await bus.subscribe('sluice/grave/machine/dead', (payload) => {
      dead.push(JSON.parse(payload.toString()).data);
    });
    await gateway.start();
    const nested = reading('press', 7).replace('"data":{"x":7}', '"data":{"inner":{"x":7}}');
    await bus.publish('grave/press', '{ no JSON, but a name: Rosa');
    await bus.publish('grave/press', nested);
    await until(
      () => dead.length === 2,
      SOON_MS,
      () => `two dead letters, have ${dead.length}\n${gateway.log}`,
    );
    expect(Buffer.from(dead[1].payload, 'base64').toString()).toBe(nested);

    const [shape, broken] = await listed();
    expect([broken.code, shape.code, shape.task]).toEqual(['DECODE_JSON', dead[1].code, 'machine']);
    const shown = await sluice(['dead', 'show', broken.id, '-c', gateway.file]);
    expect(shown.stdout).toContain('DECODE_JSON');
    expect(shown.stdout, 'masked unless asked for').not.toContain('Rosa');
    const raw = await sluice(['dead', 'show', shape.id, '-c', gateway.file, '--raw', '-']);
    expect(raw.stdout).toBe(nested);

    // Replayed under the same configuration it dies again, whole, under a new id.
    expect((await sluice(['dead', 'replay', shape.id, '-c', gateway.file])).code).toBe(0);
    await until(
      () => dead.length === 3,
      SOON_MS,
      () => `a third dead letter, have ${dead.length}\n${gateway.log}`,
    );
    const again = await listed();
    expect(again).toHaveLength(2);
    expect(Number(again[0].id)).toBeGreaterThan(Number(shape.id));
    expect(again[1].id).toBe(broken.id);

    await gateway.write(config('/inner/x'));
    await gateway.untilMetric('config_reloaded', {}, 1);
    expect((await sluice(['dead', 'replay', '--all', '-c', gateway.file])).code).toBe(0);
    await untilSeen(['/press/7'], seen, gateway);
    await until(
      () => dead.length === 4,
      SOON_MS,
      () => 'the other to die again',
    );
    const left = await listed();
    expect(left).toHaveLength(1);
    const [last] = left;
    expect(last.code).toBe('DECODE_JSON');
    expect((await sluice(['dead', 'drop', last.id, '-c', gateway.file])).code).toBe(0);
    expect(await listed()).toEqual([]);
    const gone = await sluice(['dead', 'show', last.id, '-c', gateway.file]);
    expect(gone.code).not.toBe(0);
    expect(gone.stderr).toContain(last.id);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a verdict that its broker refuses for good is kept as a dead letter of the sink, and a replay publishes it again',
  async () => {
    gateway = await Operated.make(`
site: grave
sources: { plant: { type: mqtt, url: "${broker.url}", topics: ["grave/+"] } }
sinks: { floor: { type: mqtt, url: "${broker.url}", maxMessageSize: 400 } }
${plainTask('plant')}`);
    const seen = await collect(bus, 'sluice/grave/machine/verdict');
    await gateway.start();
    await bus.publish('grave/press', reading('press', 1));
    await gateway.untilMetric('settled', { source: 'plant' }, 1);
    const letters = await listed();
    const [refused] = letters.filter(({ code }) => code === 'MESSAGE_TOO_LARGE');
    expect(refused, JSON.stringify(letters)).toBeDefined();
    expect(seen).toEqual([]);
    await gateway.write(config('/x'));
    await gateway.untilMetric('config_reloaded', {}, 1);
    expect((await sluice(['dead', 'replay', refused.id, '-c', gateway.file])).code).toBe(0);
    await untilSeen(['/press/1'], seen, gateway);
    await until(
      async () => !(await listed()).some(({ id }) => id === refused.id),
      SOON_MS,
      () => 'the replayed letter to go',
    );
  },
  60_000,
);
