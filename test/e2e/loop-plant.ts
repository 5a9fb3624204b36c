/**
 * Simulated machines at the sites of a fleet, over a real broker, for tests of the closed loop. The books are the
 * senders': what was lost, and by second how many verdicts were right.
 */
import { usualFaults } from '../../firmware-sim/faults.ts';
import { readingFeed } from '../../firmware-sim/feeds.ts';
import { type Fleet, startFleet } from '../../firmware-sim/fleet.ts';
import { overKafka, overMqtt, type Wire } from '../../firmware-sim/wire.ts';
import type { Drift } from '../../firmware-sim/world.ts';
import type { LoopBroker } from './loop-kit.ts';

/** The machines' task, as YAML for a `LoopFleet`. */
export const machineYaml = (learning: 'online' | 'frozen', labels: readonly string[]): string =>
  [
    'event: sensor',
    `learning: ${learning}`,
    'device: { pointer: /device }',
    'fields:',
    '  temperature: { type: number, range: [-40, 200] }',
    '  vibration: { type: number, range: [0, 60] }',
    '  current: { type: number, range: [0, 120] }',
    '  pressure: { type: number, range: [0, 16] }',
    '  rpm: { type: number, range: [0, 6000] }',
    '  mode: { type: category }',
    `labels: [${labels.join(', ')}]`,
  ]
    .map((line) => `    ${line}`)
    .join('\n');

export interface PlantPlan {
  readonly broker: LoopBroker;
  readonly task: string;
  readonly sites: readonly string[];
  readonly seed: number;
  /** Of each site: machines, readings a second, part of them that is labelled. */
  readonly devices: number;
  readonly rate: number;
  readonly labelled: number;
  readonly drift?: readonly Drift[];
}

export const plantLabels = (seed: number): readonly string[] => readingFeed({ seed, devices: 1 }).labels;

/** The topic that a site's gateway reads. */
export const plantTopic = ({ kind }: LoopBroker, site: string): string =>
  kind === 'kafka' ? `plant.${site}` : `plant/${site}/+/telemetry`;

export class Plant {
  readonly #fleets: readonly Fleet[];

  constructor(plan: PlantPlan) {
    this.#fleets = plan.sites.map((site, i) => fleetOf(plan, site, i));
  }

  /** Over all sites: sent, tested (a verdict with a label, and a truth), right, labels given. */
  counts(): {
    readonly sent: number;
    readonly tested: number;
    readonly correct: number;
    readonly labelled: number;
  } {
    const tasks = this.#fleets.flatMap((fleet) => fleet.counts().tasks);
    const sum = (what: 'sent' | 'tested' | 'correct' | 'labelled') =>
      tasks.reduce((total, task) => total + task[what], 0);
    return { sent: sum('sent'), tested: sum('tested'), correct: sum('correct'), labelled: sum('labelled') };
  }

  /** Stops sending and waits for what is open; resolves to how many readings have no verdict. */
  async drain(ms: number): Promise<number> {
    const all = await Promise.all(this.#fleets.map((fleet) => fleet.drain(ms)));
    return all.reduce((sum, { lost }) => sum + lost, 0);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#fleets.map((fleet) => fleet.stop()));
  }
}

function fleetOf(plan: PlantPlan, site: string, index: number): Fleet {
  const { task, devices, rate, labelled, drift = [] } = plan;
  const seed = plan.seed + index * 1_000;
  return startFleet({
    wire: wireOf(plan, site),
    site,
    seed,
    streams: [
      {
        task,
        feed: readingFeed({ seed, devices, faults: usualFaults, drift }),
        rate,
        labels: { delay: 1_000, fraction: labelled, wrong: 0.01 },
      },
    ],
  });
}

function wireOf({ broker, task }: PlantPlan, site: string): Wire {
  const { kind, address } = broker;
  const options = { site, tasks: [task] };
  if (kind === 'kafka')
    return overKafka([address], { ...options, inputs: { reading: `plant.${site}`, mail: `mail.${site}` } });
  const inputs = { reading: `plant/${site}`, mail: `mail/${site}` };
  return overMqtt(address, { ...options, version: kind === 'embedded' ? 4 : 5, inputs });
}
