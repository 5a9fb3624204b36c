/**
 * A fleet whose sensors and network are as bad as they come, beside the same fleet in good order, both through a real
 * broker: every reading has its verdict, what is wrong with it is said, and the verdicts are nearly as good.
 * `SLUICE_SCALE=full` has a thousand devices.
 */
import { expect, test } from 'vitest';
import { mosquittoMissing } from '../servers/mosquitto.ts';
import { Account, Fleet, type Sent, type Verdict } from './faulty-fleet.ts';
import { freshSite } from './ops-kit.ts';
import { full, patience, random, until } from './scale.ts';

const DEVICES = full ? 1_000 : 100;
const ROUNDS = full ? 100 : 80;
/** Verdicts that may be outstanding while more is sent. */
const AHEAD = 2_000;
/** Labels come for this share, some rounds later; quality is that of the second half. */
const LABELLED = 0.3;
const LABEL_LAG = 3;

const site = freshSite();

const task = (name: string) => `
  ${name}:
    from: [${name}]
    event: sensor
    labels: [ok, fault]
    device: { pointer: /device }
    fields:
      temperature: { type: number, range: [-40, 150], spike: 8, stuck: 5 }
      vibration: { type: number, range: [0, 50], spike: 8, stuck: 5 }
      current: { type: number, range: [0, 120], spike: 8, stuck: 5 }
      pressure: { type: number, range: [0, 16], spike: 8, stuck: 5 }
      rpm: { type: number, range: [0, 6000], spike: 8, stuck: 5 }
      mode: { type: category, categories: [idle, run, boost], encode: onehot }`;

interface Side {
  readonly name: string;
  readonly fleet: Fleet;
  readonly account: Account;
}

async function follow({ name, account }: Side): Promise<void> {
  await site.bus.subscribe(`sluice/plant/${name}/verdict`, (payload) => {
    for (const one of [JSON.parse(payload.toString())].flat()) account.verdict((one.data ?? one) as Verdict);
  });
  await site.bus.subscribe(`sluice/plant/${name}/dead`, (payload) => {
    account.dead += [JSON.parse(payload.toString())].flat().length;
  });
}

async function send(
  { name, account, fleet }: Side,
  readings: readonly Sent[],
  labelled: readonly Sent[],
): Promise<void> {
  account.add(readings);
  const feedback = labelled.map(({ id, truth }) => JSON.stringify({ event: id, label: fleet.labels[truth] }));
  await Promise.all([
    ...readings.map(({ topic, payload }) => site.bus.publish(topic, payload)),
    ...feedback.map((payload) => site.bus.publish(`sluice/plant/${name}/feedback`, payload)),
  ]);
  await until(
    () => account.outstanding < AHEAD,
    60_000,
    () => `${account.outstanding} readings without a verdict`,
  );
}

test.skipIf(mosquittoMissing)(
  'readings that are missing, stuck, spiking, late or sent twice: nothing lost, wrong values flagged, quality within two points',
  async () => {
    const { url } = site.broker;
    await site.operate(`
site: plant
sources:
  clean: { type: mqtt, url: "${url}", topics: ["clean/+/telemetry"] }
  faulty: { type: mqtt, url: "${url}", topics: ["faulty/+/telemetry"] }
sinks: { floor: { type: mqtt, url: "${url}" } }
tasks:${task('clean')}${task('faulty')}`);
    const sides = ['clean', 'faulty'].map((name): Side => {
      return { name, fleet: new Fleet(name, DEVICES, name === 'faulty'), account: new Account() };
    });
    for (const side of sides) await follow(side);
    await site.gateway.start();
    const chance = random(5);
    for (const side of sides) {
      const rounds: Sent[][] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        rounds.push(side.fleet.next());
        const labelled = (rounds[round - LABEL_LAG] ?? []).filter(
          ({ readable }) => readable && chance() < LABELLED,
        );
        await send(side, rounds[round], labelled);
      }
      await send(side, side.fleet.rest(), []);
      const { account } = side;
      await until(
        () => account.outstanding === 0 && account.dead >= account.unreadable,
        60_000,
        () =>
          `${account.outstanding} of ${account.sent.size} without a verdict, ${account.dead} of ${account.unreadable} dead letters`,
      );
    }
    const [clean, faulty] = sides.map(({ account }) => account);
    const { labels } = sides[0].fleet;
    const quality = [clean, faulty].map((account) => 100 * account.accuracy(labels, ROUNDS / 2));
    const recall = faulty.recall();
    process.stdout.write(
      `${JSON.stringify({ devices: DEVICES, messages: faulty.messages, faults: faulty.faults(), dead: faulty.dead, recall, falseFlagsOfClean: clean.recall().none, accuracy: { clean: quality[0], faulty: quality[1] } }, null, 1)}\n`,
    );
    for (const { account } of sides) {
      expect(account.unanswered).toEqual([]);
      expect(account.dead).toBe(account.unreadable);
    }
    // The gateway saw repetitions as what they are: windows counted each reading once.
    expect(faulty.messages).toBeGreaterThan(faulty.sent.size);
    expect(recall.wrongType.share).toBe(1);
    expect(recall.outOfRange.share).toBe(1);
    expect(recall.spike.share).toBeGreaterThan(0.7);
    expect(recall.stuck.share).toBeGreaterThan(0.6);
    expect(recall.none.share).toBeLessThan(0.02);
    expect(clean.recall().none.share).toBeLessThan(0.02);
    expect(quality[0]).toBeGreaterThan(92);
    expect(quality[1]).toBeGreaterThan(quality[0] - 2);
  },
  patience,
);
