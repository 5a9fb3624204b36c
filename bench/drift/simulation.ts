/**
 * Detectors on made streams: how long each takes to tell a change, how many changes it misses, and how often it tells one
 * that is none. Every detector sees the same streams. Beside them stands the CUSUM that knows the level before and
 * after (Page 1954, threshold ln 10,000, as in the usual floor), and the floor itself: ln(10,000) / KL (Lorden 1971).
 */
import type { Detector } from '../../src/contract.ts';
import { type DetectorName, detectors } from '../../src/drift/index.ts';
import { random } from '../inputs.ts';

/** One false alarm in so many values is the budget that all are compared at. */
const ARL = 10_000;
/** Values before the change, and after it until it counts as missed. */
const BEFORE = 10_000;
const AFTER = 10_000;

export interface Setting {
  readonly name: string;
  readonly family: 'rate' | 'normal';
  /** Nats a value: Kullback-Leibler divergence of after from before. */
  readonly divergence: number;
  draw(uniform: () => number, changed: boolean): number;
  /** Log-likelihood ratio of after to before, for the CUSUM. */
  ratio(value: number): number;
}

function rate(p0: number, p1: number): Setting {
  const [one, zero] = [Math.log(p1 / p0), Math.log((1 - p1) / (1 - p0))];
  return {
    name: `errors ${p0} → ${p1}`,
    family: 'rate',
    divergence: p1 * one + (1 - p1) * zero,
    draw: (uniform, changed) => (uniform() < (changed ? p1 : p0) ? 1 : 0),
    ratio: (value) => (value === 1 ? one : zero),
  };
}

function shift(by: number): Setting {
  return {
    name: `normal, mean + ${by} sd`,
    family: 'normal',
    divergence: (by * by) / 2,
    draw: (uniform, changed) =>
      (changed ? by : 0) + Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    ratio: (value) => by * value - (by * by) / 2,
  };
}

export const settings: readonly Setting[] = [
  rate(0.01, 0.02),
  rate(0.02, 0.1),
  rate(0.1, 0.2),
  rate(0.2, 0.5),
  shift(0.25),
  shift(0.5),
  shift(1),
];

export interface Outcome {
  readonly setting: string;
  readonly detector: string;
  /** Mean values from the change to the alarm, of those that told it; null where none did. */
  readonly delay: number | null;
  readonly floor: number;
  /** Share of changes not told within 10,000 values. */
  readonly missed: number;
  /** Per 10,000 values without a change. */
  readonly falseAlarms: number;
}

class Cusum implements Detector {
  readonly #ratio: (value: number) => number;
  #sum = 0;

  constructor(setting: Setting) {
    this.#ratio = setting.ratio;
  }

  update(value: number): boolean {
    this.#sum = Math.max(0, this.#sum) + this.#ratio(value);
    if (this.#sum < Math.log(ARL)) return false;
    this.#sum = 0;
    return true;
  }

  reset(): void {
    this.#sum = 0;
  }

  save(): string {
    return '';
  }
}

/** Options that differ from the defaults, by family; null: not made for it. */
const chosen: Readonly<
  Record<DetectorName, Readonly<Record<Setting['family'], Readonly<Record<string, unknown>> | null>>>
> = {
  sequential: { rate: { arl: ARL }, normal: { kind: 'normal', side: 'both', arl: ARL } },
  adwin: { rate: {}, normal: { range: 8 } },
  ddm: { rate: {}, normal: null },
  // One test in ten values, at the customary alpha: a test at each value costs ten times more and tells hardly more.
  kswin: { rate: { every: 10, alpha: 0.005 }, normal: { every: 10, alpha: 0.005 } },
  'page-hinkley': { rate: {}, normal: { delta: 0.1, side: 'both' } },
  // One false alarm in 50 windows of 200.
  psi: { rate: { alpha: 0.02 }, normal: { alpha: 0.02 } },
};

/** A new detector of a name as the simulation uses it; `cusum` knows the setting. */
export function open(name: DetectorName | 'cusum', setting: Setting): Detector | null {
  if (name === 'cusum') return new Cusum(setting);
  const options = chosen[name][setting.family];
  return options && (detectors[name] as { create(options: unknown): Detector }).create(options);
}

export const names: readonly (DetectorName | 'cusum')[] = [
  'cusum',
  ...(Object.keys(detectors) as DetectorName[]),
];

/** `runs` streams of one setting through one detector; null where it is not made for such values. */
export function simulate(
  name: DetectorName | 'cusum',
  setting: Setting,
  runs: number,
  seed: number,
): Outcome | null {
  let falseAlarms = 0;
  let told = 0;
  let waited = 0;
  for (let run = 0; run < runs; run++) {
    const detector = open(name, setting);
    if (!detector) return null;
    const uniform = random(seed * 1_000_003 + run);
    for (let i = 0; i < BEFORE; i++) if (detector.update(setting.draw(uniform, false))) falseAlarms += 1;
    for (let i = 1; i <= AFTER; i++) {
      if (!detector.update(setting.draw(uniform, true))) continue;
      told += 1;
      waited += i;
      break;
    }
  }
  return {
    setting: setting.name,
    detector: name,
    delay: told > 0 ? waited / told : null,
    floor: Math.log(ARL) / setting.divergence,
    missed: 1 - told / runs,
    falseAlarms: falseAlarms / runs / (BEFORE / ARL),
  };
}

/** All detectors on all settings as a table in Markdown; `cost`: ns a value by detector. */
export function outcomePage(
  outcomes: readonly Outcome[],
  runs: number,
  cost: ReadonlyMap<string, number>,
): string {
  const cell = (setting: Setting, name: string): string => {
    const one = outcomes.find((o) => o.setting === setting.name && o.detector === name);
    if (!one) return '–';
    const delay = one.delay === null ? 'missed' : Math.round(one.delay).toString();
    const missed = one.missed > 0 && one.delay !== null ? `, ${(one.missed * 100).toFixed(1)} % missed` : '';
    return `${delay}${missed} (${one.falseAlarms.toFixed(2)})`;
  };
  const floor = (setting: Setting) => Math.round(Math.log(ARL) / setting.divergence);
  const heads = names.map((name) => (name === 'cusum' ? 'CUSUM that knows both levels' : name));
  const costs = names.map((name) => `${Math.round(cost.get(name) ?? 0)}`);
  return [
    `Mean delay in values (false alarms per 10,000 values before the change); ${runs} runs, the change after ${BEFORE} values, missed after ${AFTER}.`,
    '',
    `| change | floor ln(1e4)/KL | ${heads.join(' | ')} |`,
    `| --- | --- | ${names.map(() => '---').join(' | ')} |`,
    ...settings.map(
      (setting) =>
        `| ${setting.name} | ${floor(setting)} | ${names.map((name) => cell(setting, name)).join(' | ')} |`,
    ),
    `| ns a value | | ${costs.join(' | ')} |`,
    '',
  ].join('\n');
}
