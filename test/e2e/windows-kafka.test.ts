/** One of two gateways that share the partitions of a topic is killed: the rows of the other are those of a single one. */
import { beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { storeOptions } from '../../src/state/options.ts';
import { openStore } from '../../src/state.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { unique } from '../io/kafka-kit.ts';
import { sharedKafka, whyNoKafka, withAdmin } from '../servers/kafka.ts';
import { kafkaBus } from './bus.ts';
import { type GatewayProcess, makeGateway } from './gateway.ts';
import { patience, sleep } from './scale.ts';

const missing = await whyNoKafka();
const TOPIC = unique('plant');
const PAIR = `${TOPIC}-pair`;
const SINGLE = `${TOPIC}-single`;
const PARTITIONS = 4;
const DEVICES = 20;
const HALF = 300;
let brokers: readonly string[];

beforeAll(async () => {
  if (!missing) brokers = await sharedKafka();
});
const gatewayOf = (site: string, group: string): Promise<GatewayProcess> =>
  makeGateway(`
site: ${site}
sources:
  plant: { type: kafka, brokers: ["${brokers[0]}"], topics: [${TOPIC}], group: ${group}, sessionTimeout: 6s }
sinks:
  core: { type: kafka, brokers: ["${brokers[0]}"] }
tasks:
  machine:
    from: [plant]
    event: sensor
    fields: { x: {}, y: { missing: last } }
    time: /at
    labels: [ok, fault]
    features: { windows: { on: true, count: 8, stats: [lag, mean, deviation, min, max, slope, ewma, departure] } }
`);

/** Reading i: most in order, some a few seconds late, some without y. */
const readingOf = (i: number) => ({
  key: `d${(i * 7) % DEVICES}`,
  payload: JSON.stringify({
    at: 1_700_000_000 + i - (i % 13 === 0 ? 45 : 0),
    x: (i * i) % 101,
    ...(i % 5 === 0 ? {} : { y: i % 17 }),
  }),
});

async function settled(group: string, count: number): Promise<void> {
  for (;;) {
    const [found] = await withAdmin(brokers, (admin) =>
      admin.fetchOffsets({ groupId: group, topics: [TOPIC] }),
    );
    const all = found.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
    if (all >= count) return;
    await sleep(100);
  }
}

/** The row of every reading that a gateway has kept, by event. */
async function rowsOf({ state }: GatewayProcess): Promise<Map<string, number[]>> {
  const { path: _, ...limits } = storeOptions.parse({ path: state });
  const telemetry = new Telemetry({ level: 'silent' });
  const given = { path: state, limits, key: undefined, clock: systemClock, telemetry };
  const store = await openStore({ ...given, mode: 'tool' });
  const rows = new Map<string, number[]>();
  for (let device = 0; device < DEVICES; device += 1)
    for (const { id, rows: row } of store.join.span('machine', `d${device}`, 0, 9e15, 10_000))
      rows.set(id, [...row.dense]);
  await store.close();
  return rows;
}

test.skipIf(missing)(
  'killing one of two gateways leaves windows as if there had been one alone',
  async () => {
    const bus = await kafkaBus(brokers, [TOPIC], PARTITIONS);
    const pair = await Promise.all(['a', 'b'].map((site) => gatewayOf(site, PAIR)));
    const single = await gatewayOf('c', SINGLE);
    const [victim, other] = pair;
    const publish = async (from: number, to: number) => {
      for (let i = from; i < to; i += 1) await bus.publish(TOPIC, readingOf(i).payload, readingOf(i).key);
    };
    try {
      await Promise.all(pair.map((gateway) => gateway.start()));
      await sleep(3_000); // both have their partitions
      await publish(0, HALF);
      await settled(PAIR, HALF);
      await publish(HALF, HALF + 40);
      await victim.kill();
      await publish(HALF + 40, 2 * HALF);
      await settled(PAIR, 2 * HALF);
      await single.start();
      await settled(SINGLE, 2 * HALF);
      expect(await other.stop()).toBe(0);
      expect(await single.stop()).toBe(0);
      const [before, after, alone] = await Promise.all([victim, other, single].map(rowsOf));
      expect(before.size).toBeGreaterThan(50);
      expect(after.size).toBeGreaterThan(HALF);
      expect(alone.size).toBe(2 * HALF);
      for (const [id, row] of alone) expect(after.get(id) ?? before.get(id), id).toEqual(row);
    } finally {
      await Promise.all([...pair, single].map((gateway) => gateway.remove()));
      await bus.close();
    }
  },
  patience,
);
