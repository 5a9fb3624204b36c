/**
 * From changes of streams to alarms that a person wants to read: of one cause one alarm, the most telling first, with where it
 * shows; and once more where labels confirm what was told without them. Its end is told for what was told.
 */
import type { Alarm } from '../../contract.ts';
import type { Devices } from './devices.ts';
import { type StreamName, streamKinds } from './streams.ts';
import type { Change, Tracker } from './tracker.ts';

/** A stream of a task, being watched. */
export interface Stream extends StreamName {
  readonly tracker: Tracker;
  /** Its alarm was given out, so that its end will be. */
  announced: boolean;
  /** A block of it came. */
  seen: boolean;
}

/** A change that waits to be given out. */
export interface Waiting {
  readonly stream: string;
  readonly change: Change;
  readonly at: number;
}

/** When the newest cause was first told, since when it holds, and whether labels told it. */
export type Cause = { readonly at: number; readonly since: number; readonly labels: boolean } | null;

/** What begins or is told within so many blocks of the first alarm has its cause; what follows slowly began before it. */
const TOGETHER = 20;
/** More changes than this between two calls are not kept: nobody takes them. */
export const MOST_WAITING = 1_000;
/** Features named with an alarm. */
const NAMED = 5;

/** Quantities of a device's account: loss, confidence, then the columns, then whether each was missing. */
export const LOSS = 0;
export const CONFIDENCE = 1;
export const FIRST_COLUMN = 2;

export interface AlarmContext {
  readonly task: string;
  readonly blockMs: number;
  readonly columns: readonly string[];
  readonly streams: readonly Stream[];
  readonly devices: Devices;
  /** Columns of which devices have accounts: the first so many. */
  readonly accounts: number;
}

export class Alarms {
  readonly #context: AlarmContext;
  readonly #byName: ReadonlyMap<string, Stream>;
  waiting: Waiting[] = [];
  cause: Cause = null;

  constructor(context: AlarmContext) {
    this.#context = context;
    this.#byName = new Map(context.streams.map((stream) => [stream.name, stream]));
  }

  stream(name: string): Stream | undefined {
    return this.#byName.get(name);
  }

  changed(stream: string, change: Change, at: number): void {
    if (this.waiting.length < MOST_WAITING) this.waiting.push({ stream, change, at });
  }

  /** What waits, as alarms: beginnings before ends. */
  tell(model: string): Alarm[] {
    const rank = ({ stream }: Waiting) => streamKinds[this.#byName.get(stream)!.kind].rank;
    const ordered = [...this.waiting].sort(
      (a, b) => rank(a) - rank(b) || b.change.statistic - a.change.statistic,
    );
    this.waiting = [];
    const told: Alarm[] = [];
    for (const waiting of ordered) {
      if (waiting.change.state !== 'drift' || !this.#isNews(waiting, rank(waiting) === 0)) continue;
      this.#byName.get(waiting.stream)!.announced = true;
      told.push(this.#alarm(waiting, model));
    }
    for (const waiting of ordered) {
      const stream = this.#byName.get(waiting.stream)!;
      if (waiting.change.state !== 'over' || !stream.announced) continue;
      stream.announced = false;
      told.push(this.#alarm(waiting, model));
    }
    return told;
  }

  #isNews({ at, change: { since } }: Waiting, labels: boolean): boolean {
    const { cause } = this;
    const together = TOGETHER * this.#context.blockMs;
    const joins =
      cause !== null && (at - cause.at <= together || (since <= cause.at && since >= cause.since - together));
    if (joins && (cause.labels || !labels)) return false;
    this.cause = joins ? { ...cause, labels } : { at, since, labels };
    return true;
  }

  #alarm({ stream: name, change, at }: Waiting, model: string): Alarm {
    const stream = this.#byName.get(name)!;
    const { unit } = streamKinds[stream.kind];
    const drift = change.state === 'drift';
    return {
      task: this.#context.task,
      stream: name,
      detector: 'sequential',
      state: change.state,
      statistic: change.statistic,
      threshold: change.threshold,
      window: change.window,
      model,
      at,
      since: change.since,
      before: unit(change.before),
      now: unit(change.now),
      features: drift ? this.#features(stream) : [],
      devices: drift ? this.#moved(stream, Math.sign(change.now - change.before)) : [],
    };
  }

  /** Columns under suspicion, its own first. */
  #features(own: Stream): string[] {
    const { streams, columns } = this.#context;
    const suspected = streams
      .filter(({ column, tracker }) => column >= 0 && tracker.suspicion >= 0.5)
      .sort((a, b) => Math.abs(b.tracker.distance) - Math.abs(a.tracker.distance));
    const named = [own, ...suspected].flatMap(({ column }) => (column < 0 ? [] : [columns[column]]));
    return [...new Set(named)].slice(0, NAMED);
  }

  #moved({ kind, column }: Stream, direction: number): string[] {
    const { devices, accounts } = this.#context;
    if (kind === 'score') return devices.moved(CONFIDENCE, direction);
    if (kind === 'verdicts') return devices.moved(CONFIDENCE, 0);
    if (kind === 'volume') return devices.moved(devices.activity, direction);
    if (kind === 'margin') return devices.moved(LOSS, -direction);
    if (kind === 'logLoss' || kind === 'labelLoss' || kind === 'errors')
      return devices.moved(LOSS, direction);
    if (column < 0 || column >= accounts) return [];
    if (kind === 'missing') return devices.moved(FIRST_COLUMN + accounts + column, direction);
    return devices.moved(FIRST_COLUMN + column, kind === 'spread' ? 0 : direction);
  }
}
