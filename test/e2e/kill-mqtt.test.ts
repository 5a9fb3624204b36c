/** At least once over a real mosquitto, with the gateway killed in the middle. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Mosquitto, mosquittoMissing as missing } from '../servers/mosquitto.ts';
import { type Bus, mqttBus } from './bus.ts';
import { type GatewayProcess, makeGateway } from './gateway.ts';
import { expectModelIsFoldOfJournal, machineTask, streamUnderKills } from './killing.ts';
import { patience, scale } from './scale.ts';

let broker: Mosquitto;
let bus: Bus;
let gateway: GatewayProcess;

beforeAll(async () => {
  if (missing) return;
  broker = await Mosquitto.start();
  bus = await mqttBus(broker.url);
  gateway = await makeGateway(`
site: north
sources:
  plant: { type: mqtt, url: "${broker.url}", topics: ["plant/+/telemetry"], session: sluice-north }
sinks:
  floor: { type: mqtt, url: "${broker.url}" }
${machineTask('plant')}`);
  await gateway.start();
});

afterAll(async () => {
  if (missing) return;
  await gateway.remove();
  await bus.close();
  await broker.stop();
});

test.skipIf(missing)(
  'killed again and again over MQTT: every event has its verdict, every label is learned once, the model is the fold of the journal',
  async () => {
    const topics = {
      input: 'plant/press/telemetry',
      verdict: 'sluice/north/machine/verdict',
      feedback: 'sluice/north/machine/feedback',
    };
    const account = await streamUnderKills(bus, topics, gateway);
    console.log('kill mqtt:', JSON.stringify(account));
    expect(account.kills).toBe(scale.kills);
    expect(await gateway.stop()).toBe(0);
    await expectModelIsFoldOfJournal(gateway, account.labels);
  },
  patience,
);
