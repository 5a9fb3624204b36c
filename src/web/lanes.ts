/**
 * What metrics windows told, by task and site: two rings of points (an hour, a day) and the totals since this
 * process began. Promises bounded memory: the first MAX_SITES sites of a task are kept apart, all others share one
 * line; a clock that runs ahead cannot push real points out. Percentiles over several windows are the highest of
 * them, so they are never told too small.
 */
import { Series } from './series.ts';
import type { Column, Mark, Range, Selection, SeriesView, TaskView } from './view.ts';

const MAX_TASKS = 32;
const MAX_SITES = 16;
const OTHERS = 'other sites';
const MAX_OTHERS = 4_096;
/** So many of the newest labels make up the quality that is told. */
const RECENT_LABELS = 200;
/** The drawn quality is that of so many labels, looked for in so many buckets. */
const ROLLING_LABELS = 100;
const LOOK_BACK = 30;
/** A line that told nothing for so many buckets, and so many of its windows, has no rate any more. */
const STALE_BUCKETS = 6;
const STALE_WINDOWS = 3;

export type Resolution = Readonly<Record<Range, { readonly ms: number; readonly points: number }>>;
export const RESOLUTION: Resolution = {
  hour: { ms: 10_000, points: 360 },
  day: { ms: 60_000, points: 1_440 },
};

const columns = {
  events: 'sum',
  seconds: 'sum',
  tested: 'sum',
  measured: 'mean',
  estimated: 'mean',
  p50: 'max',
  p95: 'max',
  p99: 'max',
  unsettled: 'last',
  outbox: 'last',
} as const;
type Kept = keyof typeof columns;
const SUMMED: readonly Kept[] = ['unsettled', 'outbox'];
const HIGHEST: readonly Kept[] = ['p50', 'p95', 'p99'];

/** One metrics window, as the gateway's `metrics` topic tells it. */
export interface WindowInput {
  /** ms since the epoch. */
  readonly from: number;
  readonly to: number;
  readonly events: number;
  /** Verdicts by label, and those without one. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly learning?: number;
  readonly dead?: number;
  readonly latencyMs?: { readonly p50: number; readonly p95: number; readonly p99: number } | null;
  /** Labels in the running model, and whether it may give labels. */
  readonly labels?: number;
  readonly sufficient?: boolean;
  /** Of this window alone. */
  readonly quality?: { readonly tested: number; readonly accuracy: number | null } | null;
  /** Accuracy that confidence tells where no label came, 0 to 1. */
  readonly estimated?: number | null;
  /** Events taken and not settled, and messages that wait in the outbox; of the whole gateway. */
  readonly unsettled?: number | null;
  readonly outbox?: number | null;
  /** Since the model began: events that people confirmed as the good label, and those of them that were called otherwise. */
  readonly good?: { readonly confirmed: number; readonly lost: number } | null;
}

interface Lane {
  readonly rings: Readonly<Record<Range, Series<Kept>>>;
  last: WindowInput | null;
  verdicts: number;
  dead: number;
}

interface TaskLanes {
  readonly sites: Map<string, Lane>;
  readonly others: Set<string>;
}

export class Lanes {
  readonly #resolution: Resolution;
  readonly #tasks = new Map<string, TaskLanes>();

  constructor(resolution: Resolution = RESOLUTION) {
    this.#resolution = resolution;
  }

  /** Takes a window; `now` bounds the times it may claim. */
  add(task: string, site: string, window: WindowInput, now: number): void {
    const lane = this.#lane(task, site);
    if (!lane || !(window.to > window.from)) return;
    const at = Math.min(window.to - 1, now);
    for (const ring of Object.values(lane.rings)) put(ring, at, window);
    lane.verdicts += Object.values(window.verdicts).reduce((a, b) => a + b, window.learning ?? 0);
    lane.dead += window.dead ?? 0;
    lane.last = window;
  }

  sites(task: string): string[] {
    return [...(this.#tasks.get(task)?.sites.keys() ?? [])].sort();
  }

  /** Dead letters of a task in the last `ms`, and ever. */
  dead(task: string): number {
    return this.#of(task, '').reduce((sum, [, lane]) => sum + lane.dead, 0);
  }

  /** Of all sites together. */
  good(task: string): { confirmed: number; lost: number } | null {
    const told = this.#of(task, '').flatMap(([, lane]) => lane.last?.good ?? []);
    if (told.length === 0) return null;
    return {
      confirmed: told.reduce((sum, { confirmed }) => sum + confirmed, 0),
      lost: told.reduce((sum, { lost }) => sum + lost, 0),
    };
  }

  figures(
    task: string,
    site: string,
    now: number,
  ): Omit<TaskView, 'name' | 'kind' | 'labels' | 'sites' | 'model'> {
    const lanes = this.#of(task, site);
    const patience = ({ from, to }: WindowInput) =>
      Math.max(STALE_BUCKETS * this.#resolution.hour.ms, STALE_WINDOWS * (to - from));
    const fresh = lanes.filter(([, { last }]) => last && now - last.to < patience(last));
    const last = fresh.flatMap(([, lane]) => lane.last ?? []);
    const windows = lanes.flatMap(([, lane]) => lane.last ?? []);
    const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
    const highest = (q: 'p50' | 'p95' | 'p99') => Math.max(...last.map((w) => w.latencyMs?.[q] ?? 0));
    const rates = fresh.map(([name, lane]) => this.#rate(task, name, lane.last!));
    const { tested, accuracy, estimated } = this.#quality(lanes.map(([, lane]) => lane));
    return {
      state: windows.some((w) => w.sufficient !== false) && windows.length > 0 ? 'live' : 'learning',
      verdicts: sum(lanes.map(([, lane]) => lane.verdicts)),
      dead: sum(lanes.map(([, lane]) => lane.dead)),
      rate: fresh.length > 0 ? sum(rates) : null,
      latencyMs: last.some((w) => w.latencyMs && w.events > 0)
        ? { p50: highest('p50'), p95: highest('p95'), p99: highest('p99') }
        : null,
      labelsLearned: sum(windows.map((w) => w.labels ?? 0)),
      tested,
      accuracy,
      estimated,
    };
  }

  /** The series of a selection: from the bucket of `from` on, all where it is null. Marks may be late: always all. */
  series(selection: Selection, from: number | null, marks: readonly Mark[]): SeriesView {
    const { ms } = this.#resolution[selection.range];
    const start = from === null ? Number.NEGATIVE_INFINITY : Math.floor(from / ms) * ms;
    // What is measured looks back: it needs some buckets before the first that is told.
    const look = start - LOOK_BACK * ms;
    const buckets = new Map<number, Record<Kept, number | null>[]>();
    const weights = new Map<number, number>();
    for (const [site, lane] of this.#of(selection.task, selection.site)) {
      const { at, values } = lane.rings[selection.range].points(look);
      at.forEach((time, i) => {
        const point = Object.fromEntries(Object.keys(columns).map((name) => [name, values[name as Kept][i]]));
        const scale = this.#sitesOf(selection.task, site);
        buckets.set(time, [...(buckets.get(time) ?? []), point as Record<Kept, number | null>]);
        if (point.events && point.seconds)
          weights.set(time, (weights.get(time) ?? 0) + (scale * point.events) / point.seconds);
      });
    }
    const all = [...buckets.keys()].sort((a, b) => a - b);
    const first = all.findIndex((time) => time >= start);
    const at = first < 0 ? [] : all.slice(first);
    const value = (name: Column) => (time: number) =>
      name === 'rate' ? (weights.get(time) ?? 0) : combine(name, buckets.get(time)!);
    const column = (name: Column) => at.map(value(name)).map(round);
    const tested = all.map((time) => buckets.get(time)!.reduce((sum, point) => sum + (point.tested ?? 0), 0));
    return {
      ...selection,
      resolutionMs: ms,
      from: from === null ? 0 : start,
      at,
      columns: {
        measured: rolling(all.map(value('measured')), tested)
          .slice(all.length - at.length)
          .map(round),
        estimated: column('estimated'),
        rate: column('rate'),
        p50: column('p50'),
        p95: column('p95'),
        p99: column('p99'),
        unsettled: column('unsettled'),
        outbox: column('outbox'),
      },
      marks,
    };
  }

  /** Tested-weighted accuracy of the newest labels; where none came, only what is estimated. */
  #quality(lanes: readonly Lane[]): { tested: number; accuracy: number | null; estimated: number | null } {
    let [tested, correct, estimated, weight] = [0, 0, 0, 0];
    const points = lanes.flatMap(({ rings }) => {
      const { at, values } = rings.hour.points();
      return at.map((time, i) => ({ time, i, values }));
    });
    for (const { i, values } of points.sort((a, b) => b.time - a.time)) {
      if (tested < RECENT_LABELS && values.measured[i] !== null) {
        tested += values.tested[i] ?? 0;
        correct += (values.tested[i] ?? 0) * values.measured[i]!;
      }
      if (weight === 0 && values.estimated[i] !== null) {
        estimated = values.estimated[i]!;
        weight = 1;
      }
    }
    return {
      tested,
      accuracy: tested > 0 ? correct / tested : null,
      estimated: weight > 0 ? estimated : null,
    };
  }

  #rate(task: string, site: string, { from, to, events }: WindowInput): number {
    return (this.#sitesOf(task, site) * events * 1000) / (to - from);
  }

  /** How many sites stand behind a line. */
  #sitesOf(task: string, site: string): number {
    return site === OTHERS ? Math.max(1, this.#tasks.get(task)?.others.size ?? 1) : 1;
  }

  #of(task: string, site: string): [string, Lane][] {
    const all = [...(this.#tasks.get(task)?.sites ?? [])];
    return site === '' ? all : all.filter(([name]) => name === site);
  }

  #lane(task: string, site: string): Lane | null {
    let lanes = this.#tasks.get(task);
    if (!lanes) {
      if (this.#tasks.size >= MAX_TASKS) return null;
      lanes = { sites: new Map(), others: new Set() };
      this.#tasks.set(task, lanes);
    }
    const known = lanes.sites.get(site);
    if (known) return known;
    if (lanes.sites.size >= MAX_SITES && lanes.others.size < MAX_OTHERS) lanes.others.add(site);
    const name = lanes.sites.size >= MAX_SITES ? OTHERS : site;
    const lane = lanes.sites.get(name) ?? this.#newLane();
    lanes.sites.set(name, lane);
    return lane;
  }

  #newLane(): Lane {
    const ring = ({ ms, points }: Resolution[Range]) =>
      new Series<Kept>({ resolutionMs: ms, capacity: points, columns });
    const { hour, day } = this.#resolution;
    return { rings: { hour: ring(hour), day: ring(day) }, last: null, verdicts: 0, dead: 0 };
  }
}

function put(ring: Series<Kept>, at: number, window: WindowInput): void {
  const { from, to, events, latencyMs, quality, estimated, unsettled, outbox } = window;
  ring.add(at, {
    events,
    seconds: (to - from) / 1000,
    unsettled,
    outbox,
    // The latency of a window without events is no latency.
    ...(events > 0 ? latencyMs : null),
  });
  if (quality && quality.tested > 0 && quality.accuracy !== null) {
    ring.add(at, { tested: quality.tested });
    ring.add(at, { measured: quality.accuracy }, quality.tested);
  }
  if (events > 0) ring.add(at, { estimated }, events);
}

/** One bucket over several sites. */
function combine(
  name: Exclude<Column, 'rate'>,
  points: readonly Record<Kept, number | null>[],
): number | null {
  const told = points.filter((point) => point[name] !== null);
  if (told.length === 0) return null;
  const values = told.map((point) => point[name]!);
  if (HIGHEST.includes(name)) return Math.max(...values);
  if (SUMMED.includes(name)) return values.reduce((a, b) => a + b, 0);
  const weight = (point: Record<Kept, number | null>) =>
    Math.max(1e-9, point[name === 'measured' ? 'tested' : 'events'] ?? 0);
  const total = told.reduce((sum, point) => sum + weight(point), 0);
  return told.reduce((sum, point) => sum + weight(point) * point[name]!, 0) / total;
}

/**
 * Each value over the newest labels up to there, so that a bucket with three labels does not shake the line: back
 * until ROLLING_LABELS are together, at most LOOK_BACK buckets. null where a bucket had none itself.
 */
function rolling(values: readonly (number | null)[], tested: readonly number[]): (number | null)[] {
  return values.map((own, i) => {
    if (own === null) return null;
    let [labels, right] = [0, 0];
    for (let j = i; j >= 0 && j > i - LOOK_BACK && labels < ROLLING_LABELS; j--) {
      labels += tested[j];
      right += tested[j] * (values[j] ?? 0);
    }
    return labels > 0 ? right / labels : null;
  });
}

const round = (x: number | null): number | null => (x === null ? null : Number(x.toPrecision(5)));
