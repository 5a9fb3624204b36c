/** What an assessment looks at: of each device with enough rows the newest, in a bounded number of all. */
import type { RowSet } from '../../contract.ts';
import { seededRandom } from '../../task/random.ts';
import { shuffled } from './crossfit.ts';

/** Rows of a device from which it is judged, at least and at most. */
export const MIN_ROWS = 30;
const MAX_ROWS = 200;
const MAX_ALL = 20_000;
const MAX_DEVICES = 400;

export interface Chosen {
  /** Names, and by name the places of its rows, oldest first. */
  readonly devices: readonly string[];
  readonly places: readonly (readonly number[])[];
}

/** Devices of `first` are in whatever chance draws: the suspected must have their occasion to agree again. */
export function choose(
  set: RowSet,
  devices: readonly string[],
  first: ReadonlySet<string>,
  seed: number,
): Chosen {
  const places = new Map<string, number[]>();
  devices.forEach((device, i) => {
    const mine = places.get(device);
    if (mine) mine.push(i);
    else places.set(device, [i]);
  });
  const enough = [...places.keys()].filter((device) => (places.get(device)?.length ?? 0) >= MIN_ROWS).sort();
  const drawn = shuffled(enough, seededRandom(seed, 'trust devices'));
  const chosen = [...drawn.filter((each) => first.has(each)), ...drawn.filter((each) => !first.has(each))];
  const names = chosen.slice(0, MAX_DEVICES).sort();
  const each = Math.max(MIN_ROWS, Math.min(MAX_ROWS, Math.floor(MAX_ALL / Math.max(1, names.length))));
  const inTime = (name: string) => (places.get(name) ?? []).sort((a, b) => set.at[a] - set.at[b] || a - b);
  return { devices: names, places: names.map((name) => inTime(name).slice(-each)) };
}
