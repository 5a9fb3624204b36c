/**
 * Drift marks of an evaluation: the log-loss of tested events goes through the same tracker as a gateway's (see
 * drift/monitor/tracker.ts), in blocks of 50 events, since a file has no clock. Only rises are marked: a model that learns
 * gets better all the time. Before the first 1,500 tested events nothing is usual yet, and nothing is marked.
 */
import { Tracker } from '../drift/monitor/tracker.ts';

/** Where a detector spoke. */
export interface DriftMark {
  /** Place of the event in the stream, from 0, after which it was told. */
  readonly at: number;
  /** Place since which it probably holds. */
  readonly since: number;
  readonly stream: string;
  readonly detector: string;
  /** Natural logarithm of the evidence, and what it had to reach. */
  readonly statistic: number;
  readonly threshold: number;
  /** Mean of the stream before, and since then. */
  readonly before: number;
  readonly now: number;
}

const BLOCK = 50;
/** One false mark in so many blocks is accepted. */
const ARL = 1e6;
/** As in the gateway's monitor: one certain mistake is no drift. */
const MOST_LOSS = 7;

export class DriftMarks {
  readonly marks: DriftMark[] = [];
  readonly #tracker = new Tracker('up', ARL);
  #n = 0;
  #sum = 0;
  #squares = 0;
  #from = 0;

  /** `index`: the event's place in the stream; `probability`: what was given to its true label. */
  add(index: number, probability: number): void {
    if (!(probability >= 0)) return;
    if (this.#n === 0) this.#from = index;
    const loss = Math.min(MOST_LOSS, -Math.log(Math.max(1e-15, probability)));
    this.#n += 1;
    this.#sum += loss;
    this.#squares += loss * loss;
    if (this.#n === BLOCK) this.#end(index);
  }

  #end(index: number): void {
    const mean = this.#sum / BLOCK;
    const error = Math.sqrt(Math.max(0, this.#squares / BLOCK - mean * mean) / BLOCK);
    const change = this.#tracker.add(mean, error, this.#from);
    this.#n = 0;
    this.#sum = 0;
    this.#squares = 0;
    if (change?.state !== 'drift') return;
    const { since, statistic, threshold, before, now } = change;
    this.marks.push({
      at: index,
      since,
      stream: 'logLoss',
      detector: 'sequential',
      ...{ statistic, threshold, before, now },
    });
  }
}
