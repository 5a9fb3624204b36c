/**
 * One number a block, watched for a change of its level. Promises: it learns what is usual from the stream itself (level,
 * spread between blocks, and how much a block follows the one before), tells a change once, and says when it is over:
 * the stream is back, or the new level has become the usual one. Built for streams that are never independent:
 *
 * - It tests what the block before did not foretell, e = d - r d', with d the distance from the level and r the learned
 *   correlation of neighbours (Lu & Reynolds 1999: charts on residuals). Episodes and rhythms make r large.
 * - A level that wanders by less than `ALLOWANCE` of that spread a block is no change; single blocks count at most
 *   `CLIP` spreads, so that no outlier, however wild, is an alarm.
 * - The level follows slowly while nothing is suspected, and stands still while something is.
 *
 * The test is the e-detector of sums.ts: `arl` is the number of blocks between two false alarms. Memory is constant.
 */
import { z } from 'zod';
import { count } from '../kind.ts';
import { NormalSums, type Side, SUMS } from '../sums.ts';

/** Blocks that a reference is learned from. */
export const LEARN = 30;
/** The level and the spread remember about so many blocks. */
const MEMORY = 8 * LEARN;
const ALLOWANCE = 0.25;
/** From this power of `arl` on a block may belong to a change: nothing is learned from it yet. */
const SUSPICIOUS = 1 / 2;
const CLIP = 3;
/** A correlation above would call every level usual. */
const MOST_CORRELATION = 0.98;
/** Blocks that have to be back before an alarm is over. */
const BACK = 8;
/** An alarm that lasts so many blocks becomes the new usual level. */
const SETTLED = 2 * LEARN;

const finite = z.number();
export const trackerState = z.strictObject({
  /** Values gathered for a reference, those under suspicion, or the newest ones during an alarm; oldest first. */
  values: z.array(finite).max(LEARN),
  phase: z.enum(['learning', 'watching', 'alarmed']),
  blocks: count,
  level: finite,
  /** Means of d d, d d' and e e. */
  distances: z.number().min(0),
  products: finite,
  residuals: z.number().min(0),
  previous: finite,
  last: finite,
  error: z.number().min(0),
  sums: z.array(z.number().min(0)).length(SUMS),
  /** For `since`: cumulative sums up and down, the time of the block at which each began, and what came since then. */
  rise: z.strictObject({ sum: finite, since: finite, total: finite, blocks: count }),
  fall: z.strictObject({ sum: finite, since: finite, total: finite, blocks: count }),
  /** Level told with the alarm, since when, and how many blocks ago. */
  told: finite,
  since: finite,
  age: count,
});
export type TrackerState = z.output<typeof trackerState>;
type Run = TrackerState['rise'];

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

const freshRun = (): Run => ({ sum: 0, since: 0, total: 0, blocks: 0 });

const fresh = (): TrackerState => ({
  values: [],
  phase: 'learning',
  blocks: 0,
  level: 0,
  distances: 0,
  products: 0,
  residuals: 0,
  previous: 0,
  last: 0,
  error: 0,
  sums: new Array<number>(SUMS).fill(0),
  rise: freshRun(),
  fall: freshRun(),
  told: 0,
  since: 0,
  age: 0,
});

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
      state.values.push(value);
      if (state.values.length === LEARN) this.#settle();
      return null;
    }
    return state.phase === 'alarmed' ? this.#watchAlarm(value) : this.#watch(value, from);
  }

  /** Learns the reference anew. Returns the end of the alarm, where there was one. */
  relearn(): Change | null {
    const over = this.alarmed ? this.#over(this.#state.last) : null;
    this.#state = fresh();
    this.#sums.clear();
    this.#evidence = 0;
    return over;
  }

  save(): TrackerState {
    return { ...this.#state, values: [...this.#state.values], sums: [...this.#sums.values] };
  }

  restore(state: TrackerState): void {
    // A reference is of LEARN blocks at least; text that says otherwise would make the spreads infinite.
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
    follow(state.rise, z, value, from);
    follow(state.fall, -z, value, from);
    if (this.#evidence >= this.#arl) return this.#alarm();
    const suspected = this.#evidence > this.#arl ** SUSPICIOUS;
    if (suspected && state.values.length < LEARN) {
      state.values.push(value);
      state.previous = distance;
      return null;
    }
    this.#takeBack();
    this.#adapt(value, true);
    return null;
  }

  /** What was suspected, or even told, was an episode: such episodes are usual here from now on. */
  #takeBack(): void {
    const { values } = this.#state;
    if (values.length === 0) return;
    const last = this.#state.previous;
    this.#state.previous = 0;
    for (const value of values) this.#adapt(value, false);
    values.length = 0;
    this.#state.previous = last;
  }

  /** Lets the spreads follow, and the level; wild blocks move them no more than large ones. */
  #adapt(value: number, level: boolean): void {
    const state = this.#state;
    const scale = this.#scale();
    const distance = value - state.level;
    const residual = distance - this.#correlation() * state.previous;
    const gain = 1 / Math.min(state.blocks + 1, MEMORY);
    const most = 4 * Math.sqrt(state.distances + scale * scale);
    const d = Math.min(most, Math.max(-most, distance));
    const e = Math.min(CLIP * scale, Math.max(-CLIP * scale, residual));
    state.distances += gain * (d * d - state.distances);
    state.products += gain * (d * Math.min(most, Math.max(-most, state.previous)) - state.products);
    state.residuals += gain * (e * e - state.residuals);
    if (level) state.level += gain * d;
    state.previous = level ? distance - gain * d : distance;
    state.blocks += 1;
    this.#bet();
  }

  #alarm(): Change {
    const state = this.#state;
    const values = this.#sums.values;
    const up = values.subarray(0, SUMS / 2).reduce((a, b) => a + b, 0);
    const rose = this.#side === 'up' || (this.#side === 'both' && up * 2 >= this.#evidence);
    const run = rose ? state.rise : state.fall;
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
    state.phase = 'alarmed';
    state.told = now;
    state.since = run.since;
    state.age = 0;
    this.#quiet();
    return change;
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
  #settle(): void {
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
    const correlation = Math.min(MOST_CORRELATION, Math.max(0, raw + (1 + 3 * raw) / n));
    const residuals = d.slice(1).map((value, i) => value - correlation * d[i]);
    const scale = Math.max(rms(residuals), 1.4826 * median(residuals.map(Math.abs)));
    state.phase = 'watching';
    state.level = level;
    state.blocks = n;
    state.distances = distances;
    state.products = correlation * distances;
    state.residuals = scale * scale;
    state.previous = apart[n - 1];
    state.values = [];
    this.#quiet();
    this.#bet();
  }

  #quiet(): void {
    this.#sums.clear();
    this.#evidence = 0;
    this.#state.rise = freshRun();
    this.#state.fall = freshRun();
  }

  #correlation(): number {
    const { products, distances } = this.#state;
    return distances > 0 ? Math.min(MOST_CORRELATION, Math.max(0, products / distances)) : 0;
  }

  /** Spread of what is tested: of a few blocks it is known badly, and taken larger. */
  #scale(): number {
    const { residuals, blocks, error } = this.#state;
    return Math.max(Math.sqrt(residuals) * (1 + 1 / Math.sqrt(blocks)), error);
  }

  #bet(): void {
    const { blocks } = this.#state;
    this.#sums.bet(0, 1, Infinity, ALLOWANCE + 1 / Math.sqrt(Math.min(blocks, MEMORY)));
  }
}

/** Goes on with a cumulative sum (Page 1954); where it is zero a change can only have begun later. */
function follow(run: Run, z: number, value: number, from: number): void {
  if (run.sum === 0) {
    run.since = from;
    run.total = 0;
    run.blocks = 0;
  }
  run.sum = Math.max(0, run.sum + z - 0.5);
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
