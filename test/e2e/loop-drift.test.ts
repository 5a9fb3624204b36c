/**
 * The closed loop in real time over real brokers: simulated machines at two sites, two gateways with frozen models and
 * a hub, each a process of its own. In the suite the first model is trained, tested, rolled out and confirmed by what
 * gateways say and by the verdicts themselves. With SLUICE_SCALE=full the machines begin to behave differently after a
 * while: the run prints when that was alarmed, answered and over, and what it cost.
 */
import { expect, test } from 'vitest';
import { whyNoKafka } from '../servers/kafka.ts';
import { mosquittoMissing } from '../servers/mosquitto.ts';
import { type AuditLine, type LoopBroker, LoopFleet, LoopWatch, openLoopBroker } from './loop-kit.ts';
import { machineYaml, Plant, plantLabels, plantTopic } from './loop-plant.ts';
import { full, patience, sleep, until } from './scale.ts';

const SITES = ['north', 'south'];
const TASK = 'machine';
const SEED = 7;
/** Late enough that the monitors know the first model: 30 windows with labels, and Kafka takes its time to begin. */
const DRIFT_AT = 80_000;
const SECONDS = 165;
const kafkaMissing = await whyNoKafka();

const brief = `
approve: auto
budget: 2
retrain: { minRows: 250, volume: 0, cooldown: 1s }
gate: { minCount: 60, deadline: 15s }
rollout: { stages: [canary, fleet], canaryShare: 0.5, minCount: 50, deadline: 10s, watch: 1s, silent: 20s }
`;
const whole = `
approve: auto
budget: 6
retrain: { minRows: 600, volume: 0, every: 10m, cooldown: 10s, afterDrift: 800, afterDriftDeadline: 20s }
gate: { minCount: 200, deadline: 45s, margin: 0.05 }
rollout: { stages: [canary, fleet], canaryShare: 0.5, minCount: 150, deadline: 45s, watch: 10s, silent: 20s }
`;

const brokers = [
  ['mosquitto', mosquittoMissing !== null],
  ['kafka', kafkaMissing !== null],
  ...(full ? [['embedded', false] as const] : []),
] as const;

for (const [kind, missing] of brokers)
  test.skipIf(missing)(
    full
      ? `over ${kind}: a drift is alarmed, answered by a new model and gone, and nothing is lost`
      : `over ${kind}: a first model is trained, tested, rolled out to both gateways and gives their verdicts`,
    async () => {
      const broker = await openLoopBroker(kind);
      try {
        await (full ? drifting(broker) : firstModel(broker));
      } finally {
        await broker.stop();
      }
    },
    patience,
  );

/** What Kafka must have before anyone reads it. */
const topicsOf = (broker: LoopBroker): string[] => [
  ...SITES.map((site) => plantTopic(broker, site)),
  ...['verdict', 'feedback', 'rows', 'metrics', 'drift'].map((what) => broker.topic('', TASK, what)),
];

async function makeFleet(broker: LoopBroker, hub: string): Promise<LoopFleet> {
  return LoopFleet.make({
    broker,
    task: TASK,
    taskYaml: machineYaml('frozen', plantLabels(SEED)),
    sites: Object.fromEntries(SITES.map((site) => [site, plantTopic(broker, site)])),
    hub,
    more: 'monitor: { window: 1s }',
  });
}

async function firstModel(broker: LoopBroker): Promise<void> {
  const bus = await broker.bus(topicsOf(broker));
  const fleet = await makeFleet(broker, brief);
  let plant: Plant | null = null;
  try {
    await fleet.start();
    const watch = await LoopWatch.on(bus, broker, TASK, SITES);
    const judged = await modelsOfVerdicts(bus, broker);
    plant = new Plant({
      broker,
      task: TASK,
      sites: SITES,
      seed: SEED,
      devices: 12,
      rate: 250,
      labelled: 0.3,
    });
    await until(
      async () => (await fleet.audited('live')).length > 0,
      60_000,
      () => `a live model: ${fleet.hub?.log}`,
    );
    const [{ digest }] = await fleet.audited('live');
    await watch.allRun(SITES, digest, 10_000);
    await until(
      () => SITES.every((site) => judged.get(site)?.startsWith(`${digest}+`)),
      10_000,
      () => `verdicts of ${digest}: ${JSON.stringify([...judged])}`,
    );
    expect(await plant.drain(20_000)).toBe(0);
    expect(rises(watch.serials)).toBe(true);
    expect((await fleet.audited('gate')).map(({ digest: passed }) => passed)).toEqual([digest]);
  } finally {
    await plant?.stop();
    await fleet.remove();
    await bus.close();
  }
}

/** By site the model of its last verdict. */
async function modelsOfVerdicts(
  bus: Awaited<ReturnType<LoopBroker['bus']>>,
  broker: LoopBroker,
): Promise<ReadonlyMap<string, string>> {
  const models = new Map<string, string>();
  const take = (payload: Buffer) => {
    const { source, data } = JSON.parse(payload.toString());
    models.set(String(source).split('/')[2], data.model);
  };
  for (const topic of new Set(SITES.map((site) => broker.topic(site, TASK, 'verdict'))))
    await bus.subscribe(topic, take);
  return models;
}

/** Never falling: a broker gives the last word again after a reconnect. */
const rises = (serials: readonly number[]): boolean =>
  serials.every((serial, i) => i === 0 || serial >= serials[i - 1]);

async function drifting(broker: LoopBroker): Promise<void> {
  const bus = await broker.bus(topicsOf(broker));
  const fleet = await makeFleet(broker, whole);
  let plant: Plant | null = null;
  try {
    await fleet.start();
    const watch = await LoopWatch.on(bus, broker, TASK, SITES);
    const drift = [{ at: DRIFT_AT, over: 0, who: '*', kind: 'concept', strength: 0.9 } as const];
    const began = Date.now();
    plant = new Plant({
      broker,
      task: TASK,
      sites: SITES,
      seed: SEED,
      devices: 20,
      rate: 400,
      labelled: 0.1,
      drift,
    });
    const seconds = await accuracyBySecond(plant, SECONDS);
    const audit = await fleet.audit();
    const lost = await plant.drain(20_000);
    report(broker, audit, seconds, began, lost);
    const models = audit.filter(({ what }) => what === 'live').map(({ digest }) => digest);
    expect(lost).toBe(0);
    expect(rises(watch.serials)).toBe(true);
    expect(models.length).toBeGreaterThanOrEqual(2);
    await watch.allRun(SITES, models[models.length - 1], 20_000);
    const driftAt = DRIFT_AT / 1_000;
    const before = mean(seconds, driftAt - 10, driftAt);
    const low = mean(seconds, driftAt + 2, driftAt + 7);
    const after = mean(seconds, SECONDS - 10, SECONDS);
    expect((after - low) / (before - low)).toBeGreaterThanOrEqual(0.9);
  } finally {
    await plant?.stop();
    await fleet.remove();
    await bus.close();
  }
}

type Second = { readonly tested: number; readonly correct: number };

async function accuracyBySecond(plant: Plant, count: number): Promise<Second[]> {
  const seconds: Second[] = [];
  let last = plant.counts();
  const begun = performance.now();
  for (let n = 1; n <= count; n++) {
    await sleep(Math.max(0, begun + n * 1_000 - performance.now()));
    const now = plant.counts();
    seconds.push({ tested: now.tested - last.tested, correct: now.correct - last.correct });
    last = now;
  }
  return seconds;
}

function mean(seconds: readonly Second[], from: number, to: number): number {
  const some = seconds.slice(from, to);
  const sum = (what: keyof Second) => some.reduce((total, second) => total + second[what], 0);
  return sum('correct') / Math.max(1, sum('tested'));
}

function report(
  { kind }: LoopBroker,
  audit: readonly AuditLine[],
  seconds: readonly Second[],
  began: number,
  lost: number,
): void {
  const driftAt = DRIFT_AT / 1_000;
  const figures = {
    broker: kind,
    before: mean(seconds, driftAt - 10, driftAt),
    low: mean(seconds, driftAt + 2, driftAt + 7),
    after: mean(seconds, seconds.length - 10, seconds.length),
    lost,
    events: seconds.reduce((sum, { tested }) => sum + tested, 0),
  };
  const lines = audit.map(
    ({ at, what, digest, reason }) =>
      `${((at - began) / 1_000 - driftAt).toFixed(1).padStart(7)} s after the drift: ${what} ${digest.slice(0, 8)} ${reason}`,
  );
  console.log([JSON.stringify(figures), ...lines].join('\n'));
}
