/**
 * The closed loop under trouble, over real brokers: a hub that is killed at any moment, one that is away, one that
 * has lost its rows; a gateway that is away while a model is rolled out; nonsense and huge messages where the hub
 * listens. Promises asserted: serials only rise and none stands in two words, no label is lost, gateways end up on
 * what the hub calls live, and what cannot be read is counted and holds nobody up.
 */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openPool } from '../../src/state/pool.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { whyNoKafka } from '../servers/kafka.ts';
import { mosquittoMissing } from '../servers/mosquitto.ts';
import type { Bus } from './bus.ts';
import { type LoopBroker, LoopFleet, LoopWatch, openLoopBroker } from './loop-kit.ts';
import { machineYaml, Plant, plantLabels, plantTopic } from './loop-plant.ts';
import { full, patience, random, sleep, until } from './scale.ts';

const SITES = ['north', 'south'];
const TASK = 'machine';
const SEED = 11;
const KILLS = 12;
const HEARD = ['rows', 'metrics', 'drift'];
const kafkaMissing = await whyNoKafka();

/** Trainings follow each other, so that a kill falls into one, into a gate or into a roll-out. */
const HUB = `
approve: auto
budget: 1
retrain: { minRows: 200, volume: 150, cooldown: 0s }
gate: { minCount: 40, deadline: 15s }
rollout: { stages: [canary, fleet], canaryShare: 0.5, minCount: 20, deadline: 4s, watch: 1s, silent: 4s }
`;

interface Scene {
  readonly broker: LoopBroker;
  readonly bus: Bus;
  readonly fleet: LoopFleet;
  readonly watch: LoopWatch;
  readonly plant: Plant;
  /** Events that a label was sent for: some readings are sent twice, and over MQTT those are one event. */
  readonly labelled: ReadonlySet<string>;
}

async function scene(kind: LoopBroker['kind'], play: (scene: Scene) => Promise<void>): Promise<void> {
  const broker = await openLoopBroker(kind);
  const inputs = SITES.map((site) => plantTopic(broker, site));
  const bus = await broker.bus([
    ...inputs,
    ...['verdict', 'feedback', ...HEARD].map((what) => broker.topic('', TASK, what)),
  ]);
  const fleet = await LoopFleet.make({
    broker,
    task: TASK,
    taskYaml: machineYaml('frozen', plantLabels(SEED)),
    sites: Object.fromEntries(SITES.map((site, i) => [site, inputs[i]])),
    hub: HUB,
    more: 'monitor: { window: 1s }',
  });
  let plant: Plant | null = null;
  try {
    await fleet.start();
    const watch = await LoopWatch.on(bus, broker, TASK, SITES);
    const labelled = new Set<string>();
    for (const topic of new Set(SITES.map((site) => broker.topic(site, TASK, 'feedback'))))
      await bus.subscribe(topic, (payload) => labelled.add(JSON.parse(payload.toString()).event));
    plant = new Plant({ broker, task: TASK, sites: SITES, seed: SEED, devices: 8, rate: 120, labelled: 0.3 });
    await play({ broker, bus, fleet, watch, plant, labelled });
  } finally {
    if (process.env.LOOP_LOG)
      console.log(
        (await fleet.hub?.metrics().catch(() => ''))
          ?.split('\n')
          .filter((l) => /^sluice_(pool|fleet|hub|rows)/.test(l))
          .join('\n'),
        fleet.hub?.log.slice(-6_000),
        JSON.stringify(await fleet.audit(), null, 1),
      );
    await plant?.stop();
    await fleet.remove();
    await bus.close();
    await broker.stop();
  }
}

/** Labelled rows in the hub's store; the hub must not run. */
async function rowsHeld(fleet: LoopFleet): Promise<number> {
  const pool = await openPool({
    path: path.join(fleet.hubStore, 'rows'),
    limits: { bytes: 1024 ** 3, age: 86_400_000 },
    clock: systemClock,
    telemetry: new Telemetry({ level: 'silent' }),
  });
  const held = pool.count(TASK);
  await pool.close();
  return held;
}

/** How often the hub has counted a signal whose labels contain `what`, since it was started. */
async function counted(fleet: LoopFleet, signal: string, what: string): Promise<number> {
  const lines = (await fleet.hub!.metrics()).split('\n');
  const ours = lines.filter((line) => line.startsWith(`sluice_${signal}`) && line.includes(what));
  return ours.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

const live = async (fleet: LoopFleet) => fleet.audited('live');

/** The sender's labels are all in the hub's store: its process is stopped to look. */
async function expectAllRows({ fleet, plant, labelled }: Scene): Promise<number> {
  expect(await plant.drain(20_000)).toBe(0);
  // Labels on their way: sent, joined, learned, told.
  let held = 0;
  for (let tries = 0; tries < 8 && (held === 0 || held < labelled.size); tries++) {
    await sleep(1_500);
    await fleet.hub!.stop();
    held = await rowsHeld(fleet);
    if (held < labelled.size) await fleet.hub!.start();
  }
  expect(held).toBe(labelled.size);
  return held;
}

function expectOneLine(watch: LoopWatch): void {
  expect(watch.clashes).toEqual([]);
  const fallen = watch.serials.filter((serial, i) => i > 0 && serial < watch.serials[i - 1]);
  expect(fallen).toEqual([]);
}

/** Minutes of kills; the suite has one, in the last test. */
const killed = full
  ? ([
      ['mosquitto', mosquittoMissing !== null],
      ['kafka', kafkaMissing !== null],
    ] as const)
  : [];

for (const [kind, missing] of killed)
  test.skipIf(missing)(
    `over ${kind}: a hub that is killed at any moment goes on, in one line, with every label${kind === 'kafka' ? '; and finds all rows again when it has lost its store' : ''}`,
    () =>
      scene(kind, async (all) => {
        const { fleet, watch } = all;
        const rng = random(SEED);
        for (let kill = 0; kill < KILLS; kill++) {
          await sleep(1_500 + 4_500 * rng());
          await fleet.hub!.kill();
          await sleep(500 * rng());
          await fleet.hub!.start();
        }
        await until(
          async () => (await live(fleet)).length > 0,
          60_000,
          () => `a live model: ${fleet.hub!.log}`,
        );
        const held = await expectAllRows(all);
        expectOneLine(watch);
        await expectOrderly(fleet);
        if (kind !== 'kafka') return;
        await rm(path.join(fleet.hubStore, 'rows'), { recursive: true });
        await fleet.hub!.start();
        await until(
          async () => (await counted(fleet, 'pool_rows', 'added')) >= held,
          30_000,
          () => 'the rows of the topic',
        );
        await fleet.hub!.stop();
        expect(await rowsHeld(fleet)).toBe(held);
        expectOneLine(watch);
      }),
    patience,
  );

/** At most one candidate on its way at any time, and each goes its way once. */
async function expectOrderly(fleet: LoopFleet): Promise<void> {
  const audit = await fleet.audit();
  let under: string | null = null;
  for (const { what, digest } of audit) {
    if (what === 'gate') {
      expect(under).toBeNull();
      under = digest;
    }
    if (['live', 'rejected', 'rolledBack'].includes(what) && digest === under) under = null;
    if (what === 'training') expect(under).toBeNull();
  }
  const made = audit.filter(({ what }) => what === 'live').map(({ digest }) => digest);
  expect(new Set(made).size).toBe(made.length);
}

test.skipIf(mosquittoMissing)(
  'over mosquitto: nonsense holds nobody up, a gateway that was away follows, a hub that was killed and away hears every label',
  () =>
    scene('mosquitto', async (all) => {
      const { broker, bus, fleet, watch, plant } = all;
      const south = fleet.gateways.get('south')!;
      await south.kill();
      const refused = await sendNonsense(bus, broker);
      await until(
        async () => (await live(fleet)).length > 0,
        60_000,
        () => `a live model: ${fleet.hub!.log}`,
      );
      await watch.allRun(['north'], (await live(fleet))[0].digest, 10_000);
      expect(watch.running.get('south')?.digest ?? null).toBeNull();
      expect(await counted(fleet, 'fleet_refused', '')).toBeGreaterThanOrEqual(refused);
      await south.start();
      await until(
        async () => SITES.every((site) => watch.running.get(site)?.digest === watch.newest),
        20_000,
        () => `both to run ${watch.newest}: ${JSON.stringify([...watch.running.values()])}`,
      );
      await fleet.hub!.kill();
      const before = plant.counts().labelled;
      await until(
        () => plant.counts().labelled > before + 100,
        20_000,
        () => 'labels while the hub is away',
      );
      await fleet.hub!.start();
      await expectAllRows(all);
      expectOneLine(watch);
    }),
  patience,
);

if (full)
  test.skipIf(mosquittoMissing)(
    'a broker that has lost what it kept is given the word and the pieces again',
    () =>
      scene('mosquitto', async ({ broker, fleet, plant }) => {
        await until(
          async () => (await live(fleet)).length > 0,
          60_000,
          () => `a live model: ${fleet.hub!.log}`,
        );
        await plant.drain(20_000);
        await broker.lose();
        const bus = await broker.bus([]);
        const watch = await LoopWatch.on(bus, broker, TASK, SITES);
        await until(
          () => watch.newest !== null,
          70_000,
          () => `the word: ${fleet.hub!.log}`,
        );
        expect((await live(fleet)).map(({ digest }) => digest)).toContain(watch.newest);
        await bus.close();
      }),
    patience,
  );

/** Messages that no gateway of ours would send, as a hostile or broken one might; resolves to how many there were. */
async function sendNonsense(bus: Bus, broker: LoopBroker): Promise<number> {
  const row = {
    ...{ site: 'south', task: TASK, seq: 1, event: 'e', device: 'd', weight: 1, origin: 'o', model: 'm' },
    ...{ at: '2026-01-05T00:00:00.000Z', labelledAt: '2026-01-05T00:00:00.000Z', features: 'other-features' },
    ...{ label: 'no such label', predicted: null, scores: {}, row: 'AAAA' },
  };
  const huge = `{"data":"${'x'.repeat(8 * 1024 * 1024)}"}`;
  const rows: (string | Buffer)[] = [
    '',
    'no JSON',
    Buffer.alloc(100_000, 0xff),
    '['.repeat(50_000),
    JSON.stringify(row),
    JSON.stringify({ ...row, site: 'north' }),
    JSON.stringify({ ...row, seq: -1 }),
    JSON.stringify({ ...row, row: 'not base64 at all' }),
    `${huge.slice(0, -2)}${'x'.repeat(12 * 1024 * 1024)}"}`,
  ];
  const others = ['no JSON', huge, '{}', '{"specversion":"1.0"}', '[[[[[[[['];
  let sent = 0;
  for (const payload of rows) {
    await bus.publish(broker.topic('south', TASK, 'rows'), payload);
    sent += 1;
  }
  for (const what of ['metrics', 'drift'])
    for (const payload of others) {
      await bus.publish(broker.topic('south', TASK, what), payload);
      sent += 1;
    }
  return sent;
}
