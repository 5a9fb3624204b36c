/**
 * The drift script: what changes in the simulated world, when, for whom, and in which manner. It is written down
 * once and is the truth that drift detectors are judged by. Promises: how far a change has gone is a function of
 * time alone; where chance decides (a gradual change), the probability is. The manners are those of Gama et al.,
 * "A survey on concept drift adaptation" (ACM Computing Surveys 46, 2014), figure 2.
 *
 *   abrupt       ▁▁▁▁████████   the new state from one reading to the next
 *   gradual      ▁▁▁▁█▁█▁▁██▁   each reading is of the old or the new state; the new one ever more often
 *   incremental  ▁▁▁▂▃▄▅▆▇███   values move bit by bit
 *   recurring    ▁▁▁██▁▁▁██▁▁   comes and goes with a period
 */
import { Random } from './random.ts';

export const MANNERS = ['abrupt', 'gradual', 'incremental', 'recurring'] as const;
export type Manner = (typeof MANNERS)[number];

/** One change that the world goes through. */
export interface Drift {
  /** How the report calls it; default its kind and manner. */
  readonly name?: string;
  /** Begin, ms after the world's start. */
  readonly at: number;
  /** ms that a gradual or incremental change takes; 0 is abrupt. */
  readonly over: number;
  /** Default: abrupt where `over` is 0, else incremental. */
  readonly how?: Manner;
  /** With `recurring`: ms from one coming to the next, and the part of it (0 to 1, default 0.5) for which it stays. */
  readonly period?: number;
  readonly share?: number;
  /** ms after the world's start at which it goes back, in the manner in which it came; never where left out. */
  readonly until?: number;
  /** Which devices: a name, a machine type, `*`, a share such as `25%` (drawn by the seed), or several of these. */
  readonly who: string | readonly string[];
  /** `sensor`: values shift (virtual drift of the inputs). `concept`: a fault begins to show elsewhere (real drift). */
  readonly kind: 'sensor' | 'concept';
  /** With `sensor`: which one, and by how many multiples of its noise (default 4). */
  readonly sensor?: 'temperature' | 'vibration' | 'current' | 'pressure' | 'rpm';
  readonly shift?: number;
  /** With `concept`: signatures and baselines move so far (1, the default: the old boundary is useless). */
  readonly strength?: number;
}

export const mannerOf = ({ how, over }: Drift): Manner => how ?? (over > 0 ? 'incremental' : 'abrupt');

const SHARE = /^(\d+(?:\.\d+)?)%$/;

/** Whether a drift is about a device. `index` is the drift's place in the script. */
export function concerns(drift: Drift, index: number, name: string, type: string, seed: number): boolean {
  const all = typeof drift.who === 'string' ? [drift.who] : drift.who;
  return all.some((who) => {
    const share = SHARE.exec(who);
    if (share) return new Random(seed).fork(`who ${index} ${name}`).chance(Number(share[1]) / 100);
    return who === '*' || who === name || who === type;
  });
}

/** Whether a text can stand in `who`; names of devices are free. */
export const isShare = (who: string): boolean => SHARE.test(who) && Number.parseFloat(who) <= 100;

/**
 * How far a drift has gone at `t`: 0 not begun or gone back, 1 complete. For a gradual one it is the probability
 * that a reading is of the new state.
 */
export function progress(drift: Drift, t: number): number {
  const { at, until = Number.POSITIVE_INFINITY } = drift;
  if (t < at) return 0;
  const manner = mannerOf(drift);
  if (manner === 'recurring') {
    const { period = 0, share = 0.5 } = drift;
    return t < until && (period <= 0 || (t - at) % period < share * period) ? 1 : 0;
  }
  const over = manner === 'abrupt' ? 0 : drift.over;
  const came = ramp(t - at, over);
  return t < until ? came : ramp(until - at, over) * (1 - ramp(t - until, over));
}

const ramp = (passed: number, over: number): number => (over <= 0 ? 1 : Math.min(1, passed / over));

/** A moment at which something begins to change. */
export interface Onset {
  /** Index into the script. */
  readonly drift: number;
  readonly what: 'begins' | 'goes';
  /** From when to when the change takes place, ms after the world's start; `from` = `to` where it is abrupt. */
  readonly from: number;
  readonly to: number;
}

/** A period of nothing would never end. */
const MAX_ONSETS = 10_000;

/** All changes up to `length` ms after the start, in order of time. */
export function onsets(script: readonly Drift[], length: number): Onset[] {
  const all = script.flatMap((drift, index) => onsetsOf(drift, index, length));
  return all.filter(({ from }) => from < length).sort((a, b) => a.from - b.from || a.drift - b.drift);
}

function onsetsOf(drift: Drift, index: number, length: number): Onset[] {
  const { at, until = Number.POSITIVE_INFINITY, period = 0, share = 0.5 } = drift;
  const manner = mannerOf(drift);
  const over = manner === 'gradual' || manner === 'incremental' ? drift.over : 0;
  const onset = (what: Onset['what'], from: number): Onset => ({ drift: index, what, from, to: from + over });
  if (manner !== 'recurring' || period <= 0) {
    const come = onset('begins', at);
    return until < length ? [come, onset('goes', until)] : [come];
  }
  const found: Onset[] = [];
  const end = Math.min(until, length);
  for (let from = at; from < end && found.length < MAX_ONSETS; from += period) {
    const gone = Math.min(from + share * period, until);
    found.push(onset('begins', from), onset('goes', gone));
  }
  return found;
}
