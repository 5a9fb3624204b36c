/** `sluice dead` beside a running gateway: what died is found, read, replayed and dropped. */
import { expect, test } from 'vitest';
import { mosquittoMissing } from '../servers/mosquitto.ts';
import { collect, freshSite, plainTask, reading, SOON_MS, sluice, untilSeen } from './ops-kit.ts';
import { until } from './scale.ts';

const site = freshSite();

const config = (pointer: string) => `
site: grave
sources: { plant: { type: mqtt, url: "${site.broker.url}", topics: ["grave/+"] } }
sinks: { floor: { type: mqtt, url: "${site.broker.url}" } }
${plainTask('plant').replace('{ x: { type: number,', `{ x: { type: number, required: true, pointer: ${pointer},`)}`;

interface Listed {
  readonly id: string;
  readonly code: string;
  readonly task: string;
}

/** Newest first, as `list` prints them. */
async function listed(): Promise<Listed[]> {
  const { code, stdout, stderr } = await sluice(['dead', 'list', '-c', site.gateway.file, '--json', '-']);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

test.skipIf(mosquittoMissing)(
  'a dead letter is listed and shown, dies again under a new id, is replayed with its identity once the configuration fits, and can be dropped',
  async () => {
    await site.operate(config('/x'));
    const seen = await collect(site.bus, 'sluice/grave/machine/verdict');
    const dead: { code: string; payload: string }[] = [];
    await site.bus.subscribe('sluice/grave/machine/dead', (payload) => {
      dead.push(JSON.parse(payload.toString()).data);
    });
    await site.gateway.start();
    const nested = reading('press', 7).replace('"data":{"x":7}', '"data":{"inner":{"x":7}}');
    await site.bus.publish('grave/press', '{ no JSON, but a name: Rosa');
    await site.bus.publish('grave/press', nested);
    await until(
      () => dead.length === 2,
      SOON_MS,
      () => `two dead letters, have ${dead.length}\n${site.gateway.log}`,
    );
    expect(Buffer.from(dead[1].payload, 'base64').toString()).toBe(nested);

    const [shape, broken] = await listed();
    expect([broken.code, shape.code, shape.task]).toEqual(['DECODE_JSON', dead[1].code, 'machine']);
    const shown = await sluice(['dead', 'show', broken.id, '-c', site.gateway.file]);
    expect(shown.stdout).toContain('DECODE_JSON');
    expect(shown.stdout, 'masked unless asked for').not.toContain('Rosa');
    const raw = await sluice(['dead', 'show', shape.id, '-c', site.gateway.file, '--raw', '-']);
    expect(raw.stdout).toBe(nested);

    // Replayed under the same configuration it dies again, whole, under a new id.
    expect((await sluice(['dead', 'replay', shape.id, '-c', site.gateway.file])).code).toBe(0);
    await until(
      () => dead.length === 3,
      SOON_MS,
      () => `a third dead letter, have ${dead.length}\n${site.gateway.log}`,
    );
    const again = await listed();
    expect(again).toHaveLength(2);
    expect(Number(again[0].id)).toBeGreaterThan(Number(shape.id));
    expect(again[1].id).toBe(broken.id);

    await site.gateway.write(config('/inner/x'));
    await site.gateway.untilMetric('config_reloaded', {}, 1);
    expect((await sluice(['dead', 'replay', '--all', '-c', site.gateway.file])).code).toBe(0);
    await untilSeen(['/press/7'], seen, site.gateway);
    await until(
      () => dead.length === 4,
      SOON_MS,
      () => 'the other to die again',
    );
    const left = await listed();
    expect(left).toHaveLength(1);
    const [last] = left;
    expect(last.code).toBe('DECODE_JSON');
    expect((await sluice(['dead', 'drop', last.id, '-c', site.gateway.file])).code).toBe(0);
    expect(await listed()).toEqual([]);
    const gone = await sluice(['dead', 'show', last.id, '-c', site.gateway.file]);
    expect(gone.code).not.toBe(0);
    expect(gone.stderr).toContain(last.id);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a verdict that its broker refuses for good is kept as a dead letter of the sink, and a replay publishes it again',
  async () => {
    await site.operate(`
site: grave
sources: { plant: { type: mqtt, url: "${site.broker.url}", topics: ["grave/+"] } }
sinks: { floor: { type: mqtt, url: "${site.broker.url}", maxMessageSize: 400 } }
${plainTask('plant')}`);
    const seen = await collect(site.bus, 'sluice/grave/machine/verdict');
    await site.gateway.start();
    await site.bus.publish('grave/press', reading('press', 1));
    await site.gateway.untilMetric('settled', { source: 'plant' }, 1);
    const letters = await listed();
    const [refused] = letters.filter(({ code }) => code === 'MESSAGE_TOO_LARGE');
    expect(refused, JSON.stringify(letters)).toBeDefined();
    expect(seen).toEqual([]);
    await site.gateway.write(config('/x'));
    await site.gateway.untilMetric('config_reloaded', {}, 1);
    expect((await sluice(['dead', 'replay', refused.id, '-c', site.gateway.file])).code).toBe(0);
    await untilSeen(['/press/1'], seen, site.gateway);
    await until(
      async () => !(await listed()).some(({ id }) => id === refused.id),
      SOON_MS,
      () => 'the replayed letter to go',
    );
  },
  60_000,
);
