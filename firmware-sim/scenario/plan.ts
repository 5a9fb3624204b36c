/**
 * A scenario as what is started: for each site its streams with seeds, rates, labels and conditions by time, and the
 * phases that the books are divided by. Promises: the same scenario gives the same plan, and everything that changes
 * with time is a function of time alone.
 */
import { type Drift, onsets } from '../drift.ts';
import type { FaultRates } from '../faults.ts';
import { type Conditions, mailFeed, readingFeed, replayFeed } from '../feeds.ts';
import type { LabelPlan } from '../labels.ts';
import type { NetworkPlan } from '../link.ts';
import { type Phase, phaseAt } from '../phases.ts';
import type { StreamOptions } from '../stream.ts';
import { type Scenario, sensorFaults } from './schema.ts';

export interface SitePlan {
  readonly site: string;
  readonly seed: number;
  readonly streams: readonly StreamOptions[];
  /** The part of the drift script that this site goes through. */
  readonly script: readonly Drift[];
  readonly inputs: Readonly<Record<'reading' | 'mail', string>>;
}

export interface Plan {
  readonly phases: readonly Phase[];
  readonly sites: readonly SitePlan[];
  /** Tasks that are judged, without repetition. */
  readonly tasks: readonly string[];
}

type ScenarioPhase = Scenario['phases'][number];
const PLAIN: Omit<ScenarioPhase, 'name' | 'at'> = { rate: 1, faults: 1, network: 1, labels: {} };
/** Seeds of sites lie so far apart. */
const SITE_SEEDS = 1_000;
const MAX_CUTS = 200;
const OPEN_RUN_MS = 86_400_000;

export function planOf(scenario: Scenario): Plan {
  const phases = phasesOf(scenario);
  const names = Object.keys(scenario.sites);
  const sites = names.map((site, i) => sitePlan(scenario, phases, site, i, names.length));
  return {
    phases,
    sites,
    tasks: [...new Set(sites.flatMap(({ streams }) => streams.map(({ task }) => task)))],
  };
}

/** Those of the file, with a beginning; or the run cut where something in it begins to change. */
function phasesOf({ phases, drift, for: length = OPEN_RUN_MS }: Scenario): (Phase & typeof PLAIN)[] {
  if (phases.length > 0) return phases[0].at === 0 ? phases : [{ name: 'start', at: 0, ...PLAIN }, ...phases];
  const cuts = new Map<number, string>([[0, 'start']]);
  for (const { drift: i, what, from } of onsets(drift, length)) {
    if (cuts.size >= MAX_CUTS) break;
    const name = drift[i].name ?? `${drift[i].kind} ${drift[i].how}`;
    const text = `${name} ${what}`;
    const before = cuts.get(from);
    cuts.set(from, before === undefined || from === 0 ? text : `${before}, ${text}`);
  }
  return [...cuts].map(([at, name]) => ({ name, at, ...PLAIN }));
}

type Phases = ReturnType<typeof phasesOf>;

function sitePlan(scenario: Scenario, phases: Phases, site: string, index: number, sites: number): SitePlan {
  const { readings, mail, drift } = scenario;
  const seed = (scenario.seed + index * SITE_SEEDS) >>> 0;
  const script = drift.filter((one) => one.sites?.includes(site) ?? true);
  const streams: StreamOptions[] = [];
  if (readings.rate > 0)
    streams.push({
      task: readings.task,
      feed: readingFeed({
        ...{ seed, classes: readings.classes, types: readings.types, format: readings.format },
        devices: partOf(readings.devices, index, sites),
        dayMs: scenario.day,
        drift: script,
        episodes: scenario.faults.episodes,
        prefix: inputsOf(scenario, site).reading,
        conditions: conditionsOf(scenario, phases),
        hostile: readings.labels.hostile,
      }),
      rate: rateOf(scenario, phases, readings.rate / sites),
      labels: labelsOf(readings.labels, phases),
      phases,
    });
  const replays = mail.replay.length > 0;
  if (mail.rate > 0 && !(replays && index > 0))
    streams.push({
      task: mail.task,
      feed: replays ? replayFeed(mail.replay) : mailFeed({ seed, spam: mail.spam, garbage: mail.garbage }),
      rate: rateOf(scenario, phases, replays ? mail.rate : mail.rate / sites),
      labels: labelsOf(mail.labels, phases),
      phases,
    });
  return { site, seed, streams, script, inputs: inputsOf(scenario, site) };
}

/** So many of `all`, so that the parts are as equal as they can be. */
const partOf = (all: number, index: number, parts: number): number =>
  Math.floor(all / parts) + (index < all % parts ? 1 : 0);

function inputsOf({ where, sites }: Scenario, site: string): SitePlan['inputs'] {
  const several = Object.keys(sites).length > 1;
  const { readings, mail } = sites[site];
  if (where.type === 'kafka')
    return {
      reading: readings ?? (several ? `plant.${site}.telemetry` : 'plant.telemetry'),
      mail: mail ?? (several ? `mail.${site}.inbound` : 'mail.inbound'),
    };
  return {
    reading: readings ?? (several ? `plant/${site}` : 'plant'),
    mail: mail ?? (several ? `mail/${site}` : 'mail/inbound'),
  };
}

function rateOf({ rhythm, day }: Scenario, phases: Phases, rate: number): StreamOptions['rate'] {
  if (rhythm === 0 && phases.every((phase) => phase.rate === 1)) return rate;
  return (t) => {
    const factor = phases[phaseAt(phases, t)].rate;
    return factor === 0 ? 0 : rate * factor * (1 + rhythm * Math.sin((2 * Math.PI * t) / day));
  };
}

function labelsOf(plan: LabelPlan, phases: Phases): (t: number) => LabelPlan {
  const plans = phases.map(({ labels }): LabelPlan => ({ ...plan, ...given(labels) }));
  return (t) => plans[phaseAt(phases, t)];
}

/** Without what was left out, which must not hide what holds in general. */
const given = (labels: ScenarioPhase['labels']): Partial<LabelPlan> =>
  Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== undefined));

function conditionsOf({ faults, network }: Scenario, phases: Phases): (t: number) => Conditions {
  const times = (rate: number, factor: number): number => Math.min(1, rate * factor);
  const conditions = phases.map((phase): Conditions => {
    const rates = sensorFaults.map((name) => [name, times(faults[name], phase.faults)] as const);
    const sent = {
      duplicate: times(network.duplicate, phase.network),
      reorder: times(network.reorder, phase.network),
    };
    return {
      faults: { ...Object.fromEntries(rates), ...sent } as FaultRates,
      network: fasterFailing(network, phase.network),
    };
  });
  return (t) => conditions[phaseAt(phases, t)];
}

function fasterFailing(network: NetworkPlan, factor: number): NetworkPlan {
  const every = (mean: number): number => (factor === 0 ? 0 : mean / factor);
  const { offline, reboot } = network;
  return {
    ...network,
    offline: { ...offline, every: every(offline.every) },
    reboot: { ...reboot, every: every(reboot.every) },
  };
}
