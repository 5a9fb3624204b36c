/** What a supervisor sees: `/ready` is honest, `/ping` always answers, the retained state follows. */
import { connectAsync } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { Operated, plainTask, SOON_MS } from './ops-kit.ts';
import { until } from './scale.ts';

let plant: Mosquitto;
let core: Mosquitto;
let gateway: Operated;

beforeEach(async () => {
  if (mosquittoMissing) return;
  [plant, core] = await Promise.all([Mosquitto.start(), Mosquitto.start()]);
});

afterEach(async () => {
  await gateway?.remove();
  await plant?.stop();
  await core?.stop();
});

const reconnect = 'reconnect: { max: 500ms }';
const config = () => `
site: watch
sources: { plant: { type: mqtt, url: "${plant.url}", topics: ["watch/+"], ${reconnect} } }
sinks: { core: { type: mqtt, url: "${core.url}", ${reconnect} } }
${plainTask('plant')}`;

test.skipIf(mosquittoMissing)(
  '/ready is 503 with the reason while a broker is down and 200 when it is back; /ping is 200 all the while',
  async () => {
    gateway = await Operated.make(config());
    await gateway.start();
    for (const [broker, name] of [
      [plant, 'source plant'],
      [core, 'sink core'],
    ] as const) {
      await broker.kill('SIGKILL');
      await gateway.untilReady(503);
      const { reasons } = await gateway.ready();
      expect(reasons.join('\n')).toContain(name);
      expect(reasons.join('\n')).toContain('BROKER_UNREACHABLE');
      expect(await gateway.ping()).toBe(200);
      expect(await gateway.metric('ready')).toBe(0);
      await broker.start();
      await gateway.untilReady(200);
      expect(await gateway.metric('ready')).toBe(1);
    }
    // Both away at the start: it comes up, says so, and heals.
    expect(await gateway.stop()).toBe(0);
    await Promise.all([plant.kill(), core.kill()]);
    gateway.launch();
    await gateway.untilReady(503);
    expect(await gateway.ping()).toBe(200);
    await Promise.all([plant.start(), core.start()]);
    await gateway.untilReady(200);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'the retained state is online while the gateway runs, offline after a clean stop and after SIGKILL',
  async () => {
    gateway = await Operated.make(config());
    const client = await connectAsync(core.url);
    let state = '';
    client.on('message', (_topic, payload) => {
      state = JSON.parse(payload.toString()).state;
    });
    await client.subscribeAsync('sluice/watch/state', { qos: 1 });
    const untilState = (wanted: string) =>
      until(
        () => state === wanted,
        SOON_MS,
        () => `the state ${wanted}, it is ${state}`,
      );
    await gateway.start();
    await untilState('online');
    await gateway.stop();
    await untilState('offline');
    await gateway.start();
    await untilState('online');
    await gateway.stop('SIGKILL');
    await untilState('offline');
    await client.endAsync(true);
  },
  60_000,
);
