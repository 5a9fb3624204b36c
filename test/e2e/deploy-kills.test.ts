/** Deployments under kills: whatever moment it hits, what runs afterwards was signed, announced and whole. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatPublicKey } from '../../src/model/signing.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { mqttBus } from './bus.ts';
import { KillRun } from './deploy-kills.ts';
import { boards, deployedTask, hubKey, MiniHub, taskOf, trustFile } from './mini-hub.ts';
import { Operated } from './ops-kit.ts';
import { full, patience } from './scale.ts';

let broker: Mosquitto;
let trust: Awaited<ReturnType<typeof trustFile>>;

beforeAll(async () => {
  trust = await trustFile([formatPublicKey(hubKey.public)]);
  if (!mosquittoMissing) broker = await Mosquitto.start();
});
afterAll(async () => {
  await trust.remove();
  await broker?.stop();
});

test.skipIf(mosquittoMissing)(
  'killed at random points of deployments: never an unverified or half-written model, no serial back, no label lost',
  async () => {
    const config = `
site: north
sources:
  plant: { type: mqtt, url: "${broker.url}", topics: ["plant/+/telemetry"], session: sluice-north }
sinks:
  floor: { type: mqtt, url: "${broker.url}" }
models: { trust: ${JSON.stringify(trust.file)} }
${deployedTask('plant', 'online')}`;
    const gateway = await Operated.make(config);
    const bus = await mqttBus(broker.url);
    const hub = new MiniHub(boards.mqtt(broker.url), taskOf(config));
    const topics = {
      input: 'plant/press/telemetry',
      verdict: 'sluice/north/machine/verdict',
      feedback: 'sluice/north/machine/feedback',
      dead: 'sluice/north/machine/dead',
    };
    try {
      const seed = Number(process.env.SLUICE_SEED ?? 1);
      const plan = { deployments: full ? 1_000 : 40, perLife: 7, seed };
      const tally = await new KillRun(hub, gateway, bus, 'north', topics, seed).run(plan);
      console.log('deployments under kills:', JSON.stringify(tally));
      expect(tally.kills).toBeGreaterThan(0);
    } finally {
      await gateway.remove();
      await hub.board.close();
      await bus.close();
    }
  },
  patience,
);
