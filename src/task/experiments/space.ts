/**
 * Where configurations come from: the configured one first, then seeded draws from the search spaces that stand beside
 * each model kind, and from two numbers that every kind has: how often the rows are gone through, and how many
 * of the newest are used (after a drift, old rows teach what is no longer true). Promises: the n-th draw
 * depends on the seed and n alone, so a larger budget tries what a smaller one tried, and more.
 */
import type { Experiment } from '../../contract.ts';
import { findModelKind, type SearchRange } from '../../model/kinds.ts';
import { seededRandom } from '../random.ts';
import { failed } from './rows.ts';

type Random = () => number;

/** How often the training rows are gone through. */
const PASSES = [1, 2, 3, 4] as const;
/** The newest part of the training rows that is used. */
const NEWEST = [1, 1 / 2, 1 / 4, 1 / 8] as const;

export const choose = <T>(values: readonly T[], random: Random): T =>
  values[Math.min(values.length - 1, Math.floor(random() * values.length))];

/** Three digits: what is drawn can be read, typed, and is the same wherever it was written down. */
const short = (value: number): number => Number(value.toPrecision(3));

export function drawFrom(range: SearchRange, random: Random): number {
  if ('values' in range) return choose(range.values, random);
  const { scale, from, to } = range;
  const share = random();
  return short(scale === 'linear' ? from + share * (to - from) : from * (to / from) ** share);
}

/** What is configured was chosen by somebody who knew: each setting stays as it is with this probability. */
const KEEP = 0.5;
/** Draws that change nothing are drawn again, so often. */
const DRAWS = 20;

/** One configuration of a kind, drawn around `first` or, for another kind, around the kind's defaults. */
function draw(kinds: readonly string[], first: Experiment, trainRows: number, random: Random): Experiment {
  const kind = choose(kinds, random);
  const row = findModelKind(kind);
  if (!row) throw failed(`there is no model kind "${kind}"`);
  const base: Readonly<Record<string, number>> =
    kind === first.kind ? first.options : (row.options.parse({}) as Record<string, number>);
  const options = { ...base };
  for (const [name, range] of Object.entries(row.search)) {
    const drawn = drawFrom(range, random);
    if (random() >= KEEP) options[name] = drawn;
  }
  const passes = choose(PASSES, random);
  const part = choose(NEWEST, random);
  const newest = part === 1 ? 0 : Math.max(1, Math.floor(trainRows * part));
  return {
    kind,
    options,
    passes: random() < KEEP ? first.passes : passes,
    newest: random() < KEEP ? first.newest : newest,
  };
}

function drawOther(
  kinds: readonly string[],
  first: Experiment,
  trainRows: number,
  random: Random,
): Experiment {
  let drawn = draw(kinds, first, trainRows, random);
  const same = JSON.stringify(first);
  for (let i = 0; i < DRAWS && JSON.stringify(drawn) === same; i += 1)
    drawn = draw(kinds, first, trainRows, random);
  return drawn;
}

/** `first`, then draws until there are `budget`. */
export function drawExperiments(
  first: Experiment,
  budget: number,
  trainRows: number,
  seed: number,
  kinds: readonly string[] = [first.kind],
): Experiment[] {
  const draws = Array.from({ length: Math.max(0, budget - 1) }, (_, i) =>
    drawOther(kinds, first, trainRows, seededRandom(seed, `experiment ${i}`)),
  );
  return [first, ...draws];
}
