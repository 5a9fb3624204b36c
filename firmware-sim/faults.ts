/**
 * What goes wrong between a sensor and the broker. Rates are probabilities per message (`stuck`, `offset`,
 * `dropout`: of an episode beginning). A faulty reading keeps its truth: a classifier has to cope. What can no longer be
 * read at all (`invalid`, `truncated`, `empty`) should end as a dead letter, and is known to the sender.
 */
import type { Random } from './random.ts';
import { SENSORS } from './world.ts';

export const faultNames = [
  'missing',
  'wrongType',
  'outOfRange',
  'spike',
  'stuck',
  'invalid',
  'truncated',
  'empty',
  'duplicate',
  'reorder',
  'offset',
  'dropout',
] as const;

export type FaultName = (typeof faultNames)[number];
export type FaultRates = Readonly<Record<FaultName, number>>;

/** About three messages in a hundred are touched; one in a thousand is unreadable. */
export const usualFaults: FaultRates = {
  missing: 0.012,
  wrongType: 0.003,
  outOfRange: 0.002,
  spike: 0.003,
  stuck: 0.000_5,
  invalid: 0.000_4,
  truncated: 0.000_5,
  empty: 0.000_1,
  duplicate: 0.001,
  reorder: 0.002,
  offset: 0,
  dropout: 0,
};

export const noFaults: FaultRates = Object.fromEntries(
  faultNames.map((name) => [name, 0]),
) as unknown as FaultRates;

/** Faults that last: one sensor repeats its value, is off by a constant amount, or is silent. */
export const episodeNames = ['stuck', 'offset', 'dropout'] as const;
export type EpisodeName = (typeof episodeNames)[number];

/** How many readings an episode lasts. */
export type EpisodeLengths = Readonly<Record<EpisodeName, number>>;
export const usualLengths: EpisodeLengths = { stuck: 20, offset: 60, dropout: 30 };

/** By how many multiples of its noise a sensor is off in an `offset` episode. */
export const OFFSET = 5;

/** Bit of a fault in `Reading.faults`. */
export const faultBit = (name: FaultName): number => 1 << faultNames.indexOf(name);

/** The faults whose payload no decoder can read. */
export const UNREADABLE = faultBit('invalid') | faultBit('truncated') | faultBit('empty');

const EPISODES = faultBit('stuck') | faultBit('offset') | faultBit('dropout');

/** Draws the faults of one message, as bits. Usually 0; at most one of the unreadable ones, and no episode. */
export function drawFaults(rates: FaultRates, random: Random): number {
  let bits = 0;
  for (let i = 0; i < faultNames.length; i++) {
    const rate = rates[faultNames[i]];
    if (rate <= 0 || random.next() >= rate) continue;
    const bit = 1 << i;
    if ((bit & UNREADABLE) === 0 || (bits & UNREADABLE) === 0) bits |= bit;
  }
  return bits & ~EPISODES;
}

/** Texts of a field that should be a number: units glued on, decimal commas, words. */
const wrongTexts = (value: number, unit: string): readonly string[] => [
  `"${value.toFixed(1)} ${unit}"`,
  `"${value.toFixed(1).replace('.', ',')}"`,
  '"n/a"',
  '"--"',
  'true',
  `[${value.toFixed(1)}]`,
  `{"value":${value.toFixed(1)},"unit":"${unit}"}`,
];

/** The JSON text of a value of the wrong type. */
export function wrongType(sensor: number, value: number, random: Random): string {
  return random.pick(wrongTexts(value, SENSORS[sensor].unit));
}

/** A value that no such sensor can measure: the marks that real firmware leaves. */
export function outOfRange(sensor: number, random: Random): number {
  const { min, max } = SENSORS[sensor];
  return random.pick([-9999, 65_535, min - 1 - random.next() * 100, max * (1.5 + random.next())]);
}

/** A readable JSON text made unreadable. */
export function corrupt(text: string, bits: number, random: Random): string {
  if (bits & faultBit('empty')) return '';
  if (bits & faultBit('truncated')) return text.slice(0, random.between(1, text.length - 1));
  return random.pick([
    text.replace(':', '='),
    text.replace(/"/g, "'"),
    // A value, not the minutes of a time.
    text.replace(/":(-?[\d.]+)/, '":NaN'),
    `${text.slice(0, -1)},}`,
    `\u0000\u0000${text}`,
    `reading ${text}`,
  ]);
}
