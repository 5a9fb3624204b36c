/** Readings made by hand and the rows that they become. */
import type { Event, Featurizer } from '../../src/contract.ts';
import { type DeclaredFields, openSensor, sensorOptions } from '../../src/features/sensor.ts';
import { WINDOW_STATS } from '../../src/features/window-stats.ts';
import { seededRandom } from '../../src/task/random.ts';

export const NUMBERS: DeclaredFields = { x: { type: 'number' }, y: { type: 'number' } };

export interface Given {
  readonly id?: string;
  readonly device?: string;
  readonly at: number;
  readonly weak?: boolean;
  readonly values: readonly number[];
  readonly categories?: readonly (string | null)[];
}

export function eventOf({ id, device = 'd', at, weak = false, values, categories }: Given): Event {
  const body = {
    kind: 'reading' as const,
    values: Float64Array.from(values),
    categories: categories ?? values.map(() => null),
  };
  return { id: id ?? `${device}/0/${at}`, weak, device, at, aliases: [], body };
}

export const open = (options: object, fields: DeclaredFields = NUMBERS): Featurizer =>
  openSensor(sensorOptions.parse(options), fields);

/** The dense cells by name. */
export function rowOf(featurizer: Featurizer, event: Event): Record<string, number> {
  const dense = new Float32Array(featurizer.denseDims).fill(Number.NaN);
  featurizer.write(event, {
    sparse: () => undefined,
    block: () => undefined,
    dense: (index, value) => {
      dense[index] = value;
    },
  });
  return Object.fromEntries(featurizer.columns.map(({ name }, i) => [name, dense[i]]));
}

export const rowsOf = (featurizer: Featurizer, events: readonly Event[]): Record<string, number>[] =>
  events.map((event) => rowOf(featurizer, event));

/** All statistics, over eight readings. */
export const ALL = { on: true, stats: [...WINDOW_STATS], count: 8, halfLives: [2, '10s'] };
export const SECOND = 1_000;

/** A walk of a device, a reading a second; every seventh y is missing. */
export function walk(count: number, seed = 1, device = 'd'): Event[] {
  const random = seededRandom(seed, `walk ${device}`);
  let x = 0;
  return Array.from({ length: count }, (_, i) => {
    x += random() - 0.5;
    return eventOf({
      device,
      at: 1e12 + i * SECOND,
      values: [x, i % 7 === 3 ? Number.NaN : 100 + 10 * random()],
    });
  });
}

/** Swaps neighbours within `reach` places. */
export function jumbled(events: readonly Event[], reach: number, seed = 5): Event[] {
  const random = seededRandom(seed, 'jumble');
  return events
    .map((event, i) => ({ event, key: i + random() * reach }))
    .sort((a, b) => a.key - b.key)
    .map(({ event }) => event);
}
