/**
 * One number a block, watched for a change of its level. Promises: it learns what is usual from the stream itself (level,
 * spread between blocks, and how much a block follows the one before), tells a change once, and says when it is over:
 * the stream is back, or the new level has become the usual one. Built for streams that are never independent:
 *
 * - It tests what the block before did not foretell, e = d - r d', with d the distance from the level and r the learned
 *   correlation of neighbours (Lu & Reynolds 1999: charts on residuals). Episodes and rhythms make r large. After few
 *   blocks r is no surer than they are: it is drawn towards what machines usually have.
 * - A level that wanders by less than `ALLOWANCE` of that spread a block is no change; single blocks count at most
 *   `CLIP` spreads, so that no outlier, however wild, is an alarm.
 * - The level follows slowly while nothing is suspected, and stands still while something is.
 *
 * The test is the e-detector of sums.ts: `arl` is the number of blocks between two false alarms. Memory is constant.
 */
import { NormalSums, type Side, SUMS } from '../sums.ts';
import { fresh, freshRun, LEARN, type Run, type TrackerState } from './tracker-state.ts';

/** Blocks that do for a reference where the spreads are known and only the level is another one. */
export const LEARN_LEVEL = 10;
/** The level and the spread remember about so many blocks. */
const MEMORY = 8 * LEARN;
/** Getting worse by little matters; the load and what follows it wanders. */
const ALLOWANCE = { up: 0.15, down: 0.15, both: 0.25 } as const;
/** From this power of `arl` on a block may belong to a change: nothing is learned from it yet. */
const SUSPICIOUS = 1 / 2;
const CLIP = 3;
/**
 * A block is learned when so many more have come: a change is told before it has taught anything. Streams watched both
 * ways follow the load and its waves, which have to be learned while they rise.
 */
const LAG = { up: 6, down: 6, both: 2 } as const;
/** A correlation above would call every level usual. */
const MOST_CORRELATION = 0.98;
/**
 * Blocks are taken to follow each other as blocks of machines do until as many as a reference has have shown otherwise:
 * one minute may hold no episode at all, or few, and what has hardly been seen to follow itself is known badly. Without
 * it, all false alarms of quiet plants fell into the first five minutes.
 */
const USUAL_CORRELATION = 0.9;
/** Half of the change, in spreads, that a cumulative sum finds the beginning of best, and from which sum it is one. */
const SLANT = 0.5;
const LEAP = 1.5;
const LARGE = 2.5;
/** Blocks that have to be back before an alarm is over. */
const BACK = 8;
/** An alarm that lasts so many blocks becomes the new usual level. */
const SETTLED = 2 * LEARN;

/** What is told with an alarm and its end; statistic and threshold are natural logarithms of evidence. */
export interface Change {
  readonly state: 'drift' | 'over';
  readonly statistic: number;
  readonly threshold: number;
  readonly window: number;
  readonly since: number;
  readonly before: number;
  readonly now: number;
}

export class Tracker {
  readonly #side: Side;
  readonly #arl: number;
  readonly #sums: NormalSums;
  #state: TrackerState = fresh();
  #evidence = 0;

  /** `arl`: blocks between two false alarms, at least 1. */
  constructor(side: Side, arl: number) {
    this.#side = side;
    this.#arl = Math.max(10, arl);
    this.#sums = new NormalSums(side, CLIP);
  }

  get alarmed(): boolean {
    return this.#state.phase === 'alarmed';
  }

  get armed(): boolean {
    return this.#state.phase !== 'learning';
  }

  get last(): number {
    return this.#state.last;
  }

  /** The usual level; the mean so far while it is being learned. */
  get level(): number {
    const { phase, values, level } = this.#state;
    if (phase !== 'learning') return level;
    return values.length === 0 ? 0 : mean(values);
  }

  /** Last block's distance from the level in spreads between blocks; 0 while learning. */
  get distance(): number {
    if (!this.armed) return 0;
    return (this.#state.last - this.#state.level) / Math.sqrt(this.#state.distances + this.#state.error ** 2);
  }

  /** How far the evidence has come: 0 none, 1 alarm. */
  get suspicion(): number {
    if (this.alarmed) return 1;
    return Math.max(0, Math.log(Math.max(1, this.#evidence)) / Math.log(this.#arl));
  }

  /** Evidence (natural logarithm) and what it is compared with. */
  get threshold(): number {
    return Math.log(this.#arl);
  }

  /**
   * Takes the value of a block that began at `from`, ms. `error` is the standard error that the value has by its
   * number of events alone: no change smaller than it can ever be told.
   */
  add(value: number, error: number, from: number): Change | null {
    const state = this.#state;
    state.last = value;
    state.error = Math.max(error, 1e-6 * Math.abs(value), 1e-12);
    if (state.phase === 'learning') {
      if (state.values.length === 0) state.since = from;
      state.values.push(value);
      if (state.values.length < (state.former ? LEARN_LEVEL : LEARN)) return null;
      const { former, since } = state;
      this.#settle(former);
      return former?.held ? this.#compare(former.level, since) : null;
    }
    return state.phase === 'alarmed' ? this.#watchAlarm(value) : this.#watch(value, from);
  }

  /**
   * Learns the reference anew. Returns the end of the alarm, where there was one. With `keep` only the level is
   * another one: spreads are taken for what they were or what they turn out to be, whichever is larger, and a level
   * that proves worse than what was borne before is an alarm (of a stream that is watched one way), unless it is not
   * `held` against it.
   */
  relearn(keep = false, held = true): Change | null {
    const over = this.alarmed ? this.#over(this.#state.last) : null;
    const { level, told, distances, products, residuals, pairs, former } = this.#state;
    const known = this.armed
      ? { level: this.alarmed ? told : level, distances, products, residuals, pairs }
      : former;
    this.#state = { ...fresh(), former: keep && known ? { ...known, held } : null };
    this.#sums.clear();
    this.#evidence = 0;
    return over;
  }

  save(): TrackerState {
    return { ...this.#state, values: [...this.#state.values], sums: [...this.#sums.values] };
  }

  restore(state: TrackerState): void {
    // A reference is of so many blocks at least; text that says otherwise would make the spreads infinite.
    const blocks = state.phase === 'learning' ? state.blocks : Math.max(LEARN, state.blocks);
    this.#state = { ...state, blocks, values: [...state.values] };
    this.#sums.values.set(state.sums);
    this.#evidence = state.sums.reduce((a, b) => a + b, 0);
    if (this.armed) this.#bet();
  }

  #watch(value: number, from: number): Change | null {
    const state = this.#state;
    const distance = value - state.level;
    const residual = distance - this.#correlation() * state.previous;
    const scale = this.#scale();
    const z = Math.min(CLIP, Math.max(-CLIP, residual / scale));
    this.#evidence = this.#sums.update(z);
    const block = { value, from };
    follow(state.rise, z - SLANT, block);
    follow(state.fall, -z - SLANT, block);
    follow(state.leap, z - LEAP, block);
    follow(state.drop, -z - LEAP, block);
    if (this.#evidence >= this.#arl) return this.#alarm();
    state.values.push(value);
    state.previous = distance;
    const suspected = this.#evidence > this.#arl ** SUSPICIOUS;
    if (!suspected || state.values.length >= LEARN) this.#learnOld();
    return null;
  }

  /** Blocks are learned when the next ones have said nothing against them; those under suspicion not as a level. */
  #learnOld(): void {
    const { values } = this.#state;
    const lag = LAG[this.#side];
    const isEpisode = values.length > lag + 1;
    while (values.length > lag) this.#adapt(values.shift() as number, !isEpisode);
  }

  /** What was told was an episode: such episodes are usual here from now on. */
  #takeBack(): void {
    const { values } = this.#state;
    for (const value of values) this.#adapt(value, false);
    values.length = 0;
  }

  /** Lets the spreads follow, and the level; wild blocks move them no more than large ones. */
  #adapt(value: number, level: boolean): void {
    const state = this.#state;
    const scale = this.#scale();
    const distance = value - state.level;
    const residual = distance - this.#correlation() * state.learned;
    const gain = 1 / Math.min(state.blocks + 1, MEMORY);
    const most = 4 * Math.sqrt(state.distances + scale * scale);
    const d = Math.min(most, Math.max(-most, distance));
    const e = Math.min(CLIP * scale, Math.max(-CLIP * scale, residual));
    state.distances += gain * (d * d - state.distances);
    state.products += gain * (d * Math.min(most, Math.max(-most, state.learned)) - state.products);
    state.residuals += gain * (e * e - state.residuals);
    if (level) state.level += gain * d;
    state.learned = level ? distance - gain * d : distance;
    state.blocks += 1;
    state.pairs += 1;
    this.#bet();
  }

  /** Holds the level that was just learned against the former one. */
  #compare(former: number, since: number): Change | null {
    const state = this.#state;
    const worse = state.level - former;
    if (this.#side === 'both' || (this.#side === 'up' ? worse <= 0 : worse >= 0)) return null;
    const r = this.#correlation();
    // Of a difference of two means of correlated blocks; the former one is known better.
    const variance = (state.distances * (1 + r)) / (1 - r) + state.error ** 2;
    const statistic = (worse * worse * LEARN_LEVEL) / (4 * variance);
    if (statistic < this.threshold) return null;
    const now = state.level;
    state.level = former;
    this.#beAlarmed(now, since);
    const { threshold } = this;
    return { state: 'drift', statistic, threshold, window: LEARN_LEVEL, since, before: former, now };
  }

  #alarm(): Change {
    const state = this.#state;
    const values = this.#sums.values;
    const up = values.subarray(0, SUMS / 2).reduce((a, b) => a + b, 0);
    const rose = this.#side === 'up' || (this.#side === 'both' && up * 2 >= this.#evidence);
    const large = rose ? state.leap : state.drop;
    const run = large.sum >= LARGE ? large : rose ? state.rise : state.fall;
    const now = run.blocks > 0 ? run.total / run.blocks : state.last;
    const change: Change = {
      state: 'drift',
      statistic: Math.log(this.#evidence),
      threshold: this.threshold,
      window: run.blocks,
      since: run.since,
      before: state.level,
      now,
    };
    this.#beAlarmed(now, run.since);
    return change;
  }

  #beAlarmed(told: number, since: number): void {
    Object.assign(this.#state, { phase: 'alarmed', told, since, age: 0 });
    this.#quiet();
  }

  #watchAlarm(value: number): Change | null {
    const state = this.#state;
    state.age += 1;
    state.values.push(value);
    if (state.values.length > LEARN) state.values.shift();
    if (state.age >= BACK) {
      const recent = mean(state.values.slice(-BACK));
      if (this.#isBack(recent)) {
        const over = this.#over(recent);
        state.phase = 'watching';
        // A short one was an episode; a long one was a change that passed, and its like shall be told again.
        if (state.age <= 2 * BACK) this.#takeBack();
        else state.values = [];
        state.previous = value - state.level;
        return over;
      }
    }
    if (state.age < SETTLED) return null;
    const over = this.#over(mean(state.values));
    this.#settle();
    return over;
  }

  #isBack(recent: number): boolean {
    const { level, told } = this.#state;
    const apart =
      this.#side === 'up'
        ? recent - level
        : this.#side === 'down'
          ? level - recent
          : Math.abs(recent - level);
    const spread = this.#scale() / (1 - this.#correlation()) / Math.sqrt(BACK);
    return apart <= 2.5 * spread && apart <= Math.abs(told - level) / 2;
  }

  #over(now: number): Change {
    const { level, age, since } = this.#state;
    return {
      state: 'over',
      statistic: 0,
      threshold: this.threshold,
      window: age,
      since,
      before: level,
      now,
    };
  }

  /** Makes the gathered values the reference. Median and clipped deviations: some of them may be an outage. */
  #settle(former: TrackerState['former'] = null): void {
    const state = this.#state;
    const { values } = state;
    const n = values.length;
    const level = median(values);
    const apart = values.map((value) => value - level);
    const most = 4 * Math.max(1.4826 * median(apart.map(Math.abs)), 0.5 * rms(apart));
    const d = apart.map((value) => Math.min(most, Math.max(-most, value)));
    const distances = d.reduce((sum, value) => sum + value * value, 0) / n;
    const raw =
      distances > 0
        ? d.reduce((sum, value, i) => sum + (i > 0 ? value * d[i - 1] : 0), 0) / n / distances
        : 0;
    // Short series look less correlated than they are (Marriott & Pope 1954).
    const guess = former ? former.products / Math.max(1e-300, former.distances) : raw + (1 + 3 * raw) / n;
    state.pairs = former?.pairs ?? n;
    state.distances = Math.max(distances, former?.distances ?? 0);
    state.products = Math.min(MOST_CORRELATION, Math.max(0, guess)) * state.distances;
    // Of what will be tested: wider than the least residuals while the correlation is a guess.
    const correlation = this.#correlation();
    const residuals = d.slice(1).map((value, i) => value - correlation * d[i]);
    const scale = Math.max(rms(residuals), 1.4826 * median(residuals.map(Math.abs)));
    state.phase = 'watching';
    state.level = level;
    state.blocks = LEARN;
    state.residuals = Math.max(scale * scale, former?.residuals ?? 0);
    state.previous = apart[n - 1];
    state.learned = state.previous;
    state.values = [];
    state.former = null;
    this.#quiet();
    this.#bet();
  }

  #quiet(): void {
    this.#sums.clear();
    this.#evidence = 0;
    for (const run of ['rise', 'fall', 'leap', 'drop'] as const) this.#state[run] = freshRun();
  }

  #correlation(): number {
    const { products, distances, pairs } = this.#state;
    const seen = distances > 0 ? Math.max(0, products / distances) : 0;
    const shrunk = (pairs * seen + LEARN * USUAL_CORRELATION) / (pairs + LEARN);
    return Math.min(MOST_CORRELATION, Math.max(seen, shrunk));
  }

  /** Spread of what is tested: of a few blocks it is known badly, and taken larger. */
  #scale(): number {
    const { residuals, blocks, error } = this.#state;
    return Math.max(Math.sqrt(residuals) * (1 + 1 / Math.sqrt(blocks)), error);
  }

  #bet(): void {
    const { blocks } = this.#state;
    this.#sums.bet(0, 1, Infinity, ALLOWANCE[this.#side] + 1 / Math.sqrt(Math.min(blocks, MEMORY)));
  }
}

/** Goes on with a cumulative sum (Page 1954); where it is zero a change can only have begun later. */
function follow(run: Run, gain: number, { value, from }: { value: number; from: number }): void {
  if (run.sum === 0) {
    run.since = from;
    run.total = 0;
    run.blocks = 0;
  }
  run.sum = Math.max(0, run.sum + gain);
  run.total += value;
  run.blocks += 1;
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const rms = (values: readonly number[]): number => Math.sqrt(mean(values.map((value) => value * value)));

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
