/**
 * No device teaches more than its share. Promises: of what is kept no key (a device, a site, an origin) holds more
 * than `times` the mean over all keys; the newest rows of each stay; same input and seed, same rows. With `times`
 * keys or fewer nothing is cut: no one can hold more than all of it.
 */
import { seededRandom } from '../../task/random.ts';

export interface BoundOptions {
  /** Times the fair share, > 1; default 3. */
  readonly times?: number;
  /** Decides between rows of one key and one time. */
  readonly seed: number;
}

/** `keys[i]` says whose row i is, `at[i]` when it is from (never falling). Gives the places of the rows that stay, rising. */
export function boundContributions(
  keys: readonly string[],
  at: ArrayLike<number>,
  { times = 3, seed }: BoundOptions,
): Int32Array {
  const places = new Map<string, number[]>();
  keys.forEach((key, i) => {
    const mine = places.get(key);
    if (mine) mine.push(i);
    else places.set(key, [i]);
  });
  const most = capOf(
    [...places.values()].map(({ length }) => length),
    times,
  );
  const random = seededRandom(seed, 'bound contributions');
  const kept = [...places.values()].flatMap((mine) =>
    mine.length <= most ? mine : newest(mine, at, most, random),
  );
  return Int32Array.from(kept).sort();
}

/** The largest cap that is at most `times` the mean of what it leaves; the mean grows slower than the cap, so there is one. */
function capOf(counts: readonly number[], times: number): number {
  const allowed = (cap: number) =>
    cap * counts.length <= times * counts.reduce((sum, count) => sum + Math.min(count, cap), 0);
  let low = 1;
  let high = counts.reduce((most, count) => Math.max(most, count), 1);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (allowed(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The last `count` places; which of several at the time of the cut is drawn. */
function newest(
  places: readonly number[],
  at: ArrayLike<number>,
  count: number,
  random: () => number,
): number[] {
  const cut = at[places[places.length - count]];
  const later = places.filter((place) => at[place] > cut);
  const same = places.filter((place) => at[place] === cut);
  for (let i = same.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [same[i], same[j]] = [same[j], same[i]];
  }
  return [...same.slice(0, count - later.length), ...later];
}
