/** Another model takes over while events come as fast as they can: nothing is lost, no verdict is of two models. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatPublicKey } from '../../src/model/signing.ts';
import { sharedKafka, whyNoKafka } from '../servers/kafka.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { type Bus, kafkaBus, mqttBus } from './bus.ts';
import { Flood } from './flood.ts';
import { makeGateway } from './gateway.ts';
import { boards, deployedTask, hubKey, MiniHub, taskOf, trustFile } from './mini-hub.ts';
import { full, patience } from './scale.ts';

const noKafka = await whyNoKafka();
let trust: Awaited<ReturnType<typeof trustFile>>;
let broker: Mosquitto;
let brokers: readonly string[] = [];

beforeAll(async () => {
  trust = await trustFile([formatPublicKey(hubKey.public)]);
  if (!mosquittoMissing) broker = await Mosquitto.start();
  if (!noKafka) brokers = await sharedKafka();
});
afterAll(async () => {
  await trust.remove();
  await broker?.stop();
});

const EVENTS = full ? 20_000 : 500;
const SWAPS = full ? 12 : 2;

async function swapUnderLoad(
  config: string,
  makeBus: () => Promise<Bus>,
  board: ConstructorParameters<typeof MiniHub>[0],
  topics: { readonly input: string; readonly verdict: string },
  site: string,
): Promise<void> {
  const gateway = await makeGateway(config);
  const bus = await makeBus();
  const hub = new MiniHub(board, taskOf(config));
  try {
    await gateway.start();
    const log = () => gateway.log;
    const flood = new Flood(bus, topics.input);
    await flood.start(topics.verdict);
    await flood.flows(EVENTS, log);
    const documents: string[] = [];
    let pieces = 0;
    const first = await hub.make({ version: 1 });
    const deploy = async (made: typeof first) => {
      await hub.deploy(made);
      documents.push(made.ref.digest);
      pieces = Math.max(pieces, made.ref.chunks);
      await hub.untilActual(site, (a) => a.digest === made.ref.digest && a.state === 'running', 30_000, log);
      await flood.flows(EVENTS, log);
    };
    await deploy(first);
    for (let version = 2; version <= SWAPS; version++)
      // One of them is of several pieces.
      await deploy(await hub.make({ version, ballast: version === 2 ? 600_000 : 0 }));
    await deploy(first); // a rollback: a new serial, an older digest
    await flood.stop(log);
    flood.expectOneModelEach(documents);
    expect(pieces).toBeGreaterThan(1);
    const compared = await flood.expectScoresOfTheModelNamed(hub);
    expect(compared).toBeGreaterThan(SWAPS * EVENTS);
    expect((await gateway.metrics()).match(/sluice_model_swaps\S* (\d+)/)?.[1]).toBe(String(SWAPS + 1));
    console.log(
      `swap ${site}: ${flood.sent} events, ${SWAPS + 1} swaps, ${flood.repeated} repeated, ${compared} scores compared`,
    );
    expect(await gateway.stop()).toBe(0);
  } finally {
    await gateway.remove();
    await hub.board.close();
    await bus.close();
  }
}

test.skipIf(mosquittoMissing)(
  'under full load over MQTT, models swap and roll back: every event has one verdict of one model, in the order of the documents',
  () =>
    swapUnderLoad(
      `
site: north
sources:
  plant: { type: mqtt, url: "${broker.url}", topics: ["plant/+/telemetry"], session: sluice-north }
sinks:
  floor: { type: mqtt, url: "${broker.url}" }
models: { trust: ${JSON.stringify(trust.file)} }
${deployedTask('plant', 'frozen')}`,
      () => mqttBus(broker.url),
      boards.mqtt(broker.url),
      { input: 'plant/press/telemetry', verdict: 'sluice/north/machine/verdict' },
      'north',
    ),
  patience,
);

test.skipIf(noKafka)(
  'under full load over Kafka, models swap and roll back: every event has one verdict of one model, in the order of the documents',
  () =>
    swapUnderLoad(
      `
site: east
sources:
  plant: { type: kafka, brokers: ["${brokers[0]}"], topics: [swap-input], group: east }
sinks:
  core: { type: kafka, brokers: ["${brokers[0]}"], topics: { verdict: swap-verdict, feedback: swap-feedback, models: swap-models } }
models: { trust: ${JSON.stringify(trust.file)} }
${deployedTask('plant', 'frozen')}`,
      () => kafkaBus(brokers, ['swap-input', 'swap-verdict', 'swap-feedback']),
      boards.kafka(brokers, 'swap-models'),
      { input: 'swap-input', verdict: 'swap-verdict' },
      'east',
    ),
  patience,
);
