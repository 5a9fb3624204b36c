/**
 * The simulated sites of the demo: for each gateway its own machines, mailboxes and labels, over the same broker. The
 * machines of all sites go through the same drift. Their books are added up for the summary; what was lost is counted by
 * the senders' own numbering.
 */
import { usualFaults } from '../../../firmware-sim/faults.ts';
import { type Feed, mailFeed, readingFeed, replayFeed } from '../../../firmware-sim/feeds.ts';
import { type Fleet, type FleetCounts, type FleetSummary, startFleet } from '../../../firmware-sim/fleet.ts';
import { addCounts } from '../../../firmware-sim/sums.ts';
import { overMqtt } from '../../../firmware-sim/wire.ts';
import type { Drift } from '../../../firmware-sim/world.ts';
import type { Telemetry } from '../../telemetry.ts';
import { DEMO_SITES, type DemoSite, demoTopics } from './config.ts';

export interface PlantOptions {
  readonly url: string;
  readonly seed: number;
  readonly devices: number;
  /** Readings and mails a second, all sites together. */
  readonly rate: number;
  readonly mailRate: number;
  /** Real mail, replayed at the first site. */
  readonly mail: readonly string[];
  /** When the machines begin to behave differently, ms after the start; null: never. */
  readonly driftAt: number | null;
  readonly telemetry: Telemetry;
}

/** What one sees of the drift: where faults show, and what sound machines look like. */
const drifts = (at: number | null): Drift[] =>
  at === null ? [] : [{ at, over: 0, who: '*', kind: 'concept', strength: 0.9 }];

export const plantLabels = (seed: number): readonly string[] => readingFeed({ seed, devices: 1 }).labels;

export class Plant {
  readonly #fleets: ReadonlyMap<DemoSite, Fleet>;

  constructor(options: PlantOptions) {
    this.#fleets = new Map(DEMO_SITES.map((site, i) => [site, fleetOf(site, i, options)]));
  }

  /** Resolves when every feed has ended (only replay does, with nothing beside it). */
  get finished(): Promise<unknown> {
    return Promise.all([...this.#fleets.values()].map((fleet) => fleet.finished));
  }

  counts(): FleetCounts {
    return addCounts([...this.#fleets.values()].map((fleet) => fleet.counts()));
  }

  async drain(timeoutMs: number): Promise<FleetSummary> {
    const all = await Promise.all([...this.#fleets.values()].map((fleet) => fleet.drain(timeoutMs)));
    return { ...addCounts(all), lost: all.reduce((sum, { lost }) => sum + lost, 0) };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#fleets.values()].map((fleet) => fleet.stop()));
  }
}

function fleetOf(site: DemoSite, index: number, options: PlantOptions): Fleet {
  const { url, telemetry } = options;
  const seed = options.seed + index * 1_000;
  const { plant, mail } = demoTopics(site);
  const share = 1 / DEMO_SITES.length;
  const devices = Math.max(1, Math.round(options.devices * share));
  const readings = readingFeed({ seed, devices, faults: usualFaults, drift: drifts(options.driftAt) });
  const replayed = options.mail.length > 0;
  const letters: Feed = replayed ? replayFeed(options.mail) : mailFeed({ seed });
  const mailRate = replayed ? (index === 0 ? options.mailRate : 0) : options.mailRate * share;
  const streams = [
    {
      task: 'machine',
      feed: readings,
      rate: options.rate * share,
      labels: { delay: 2_000, fraction: 0.1, wrong: 0.01 },
    },
    { task: 'spam', feed: letters, rate: mailRate, labels: { delay: 3_000, fraction: 0.5, wrong: 0.01 } },
  ];
  return startFleet({
    wire: overMqtt(url, {
      site,
      tasks: ['machine', 'spam'],
      version: 4,
      inputs: { reading: plant, mail },
      telemetry,
    }),
    streams: streams.filter(({ rate }) => rate > 0),
    seed,
    telemetry,
  });
}
