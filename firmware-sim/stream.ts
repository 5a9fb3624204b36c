/**
 * One stream of the fleet: its feed, its books, its labels and its pace. It says how many messages are due
 * and never more than the books and the broker have room for; arrears are made up within BURST_MS at no
 * more than four times the pace, older ones are skipped and counted.
 */
import type { Feed } from './feeds.ts';
import { LabelDesk, type LabelPlan, usualLabels } from './labels.ts';
import { Ledger, type TaskCounts } from './ledger.ts';
import { type Phase, PhaseBooks, type PhaseCounts } from './phases.ts';

export interface StreamOptions {
  /** The task of the gateway that judges this stream. */
  readonly task: string;
  readonly feed: Feed;
  /** Messages a second, or that by time (ms after the start); Infinity is as fast as the broker and `maxOpen` let it. */
  readonly rate: number | ((t: number) => number);
  /** What is given adds to the usual plan; or the plan by time, ms after the start. */
  readonly labels?: Partial<LabelPlan> | ((t: number) => LabelPlan);
  /** The books are also kept by phase; default one phase, the whole run. */
  readonly phases?: readonly Phase[];
  /** At most so many messages without an answer; default 100,000. */
  readonly maxOpen?: number;
}

export interface StreamCounts extends TaskCounts {
  readonly task: string;
  /** Labels sent as feedback. */
  readonly labelled: number;
  /** Messages not made because the broker or the gateway was too slow. */
  readonly skipped: number;
  /** Whether the feed has come to its end (replay). */
  readonly ended: boolean;
}

/** How often streams send; short enough that no batch is a burst. */
export const TICK_MS = 5;
/** Arrears that are made up; older ones are skipped. */
const BURST_MS = 500;
/** Published and not confirmed, at most, per stream. */
const MAX_UNCONFIRMED = 8_192;
/** At rate Infinity: messages a tick. */
const FLAT_OUT = 256;
/** One stream: its feed, its books, its labels, its pace. */
export class Stream {
  readonly options: StreamOptions;
  readonly ledger: Ledger;
  readonly desk: LabelDesk;
  readonly books: PhaseBooks;
  readonly maxOpen: number;
  unconfirmed = 0;
  labelled = 0;
  skipped = 0;
  ended = false;
  #begin = Number.NaN;
  #last = Number.NaN;
  /** Messages due and not made, with fractions. */
  #owed = 0;

  constructor(options: StreamOptions, seed: number) {
    const { labels, feed } = options;
    this.options = options;
    this.maxOpen = options.maxOpen ?? 100_000;
    this.ledger = new Ledger(feed.labels);
    this.books = new PhaseBooks(options.phases);
    const plan = typeof labels === 'function' ? labels : () => fixed;
    const fixed = typeof labels === 'function' ? usualLabels : { ...usualLabels, ...labels };
    this.desk = new LabelDesk((now) => plan(this.since(now)), feed.labels, seed);
  }

  /** Sending begins: time is counted from here. */
  begin(now: number): void {
    this.#begin = now;
    this.#last = now;
    this.options.feed.begin?.(now);
  }

  /** ms after the start. */
  since(at: number): number {
    return Number.isNaN(this.#begin) ? 0 : at - this.#begin;
  }

  /** How many messages are to be made now. */
  due(now: number): number {
    if (Number.isNaN(this.#begin)) this.begin(now);
    const passed = now - this.#last;
    this.#last = now;
    const { rate: given } = this.options;
    const rate = typeof given === 'number' ? given : given(this.since(now));
    if (this.ended || rate <= 0) return 0;
    const room = Math.min(this.maxOpen - this.ledger.open, MAX_UNCONFIRMED - this.unconfirmed);
    if (rate === Number.POSITIVE_INFINITY) return Math.max(0, Math.min(room, FLAT_OUT));
    const perMs = rate / 1000;
    this.#owed += passed * perMs;
    const most = Math.max(1, Math.ceil(perMs * BURST_MS));
    // Sums of fractions fall short of a whole number by less than this.
    const behind = Math.floor(this.#owed + 1e-6);
    if (behind > most) {
      this.skipped += behind - most;
      this.#owed -= behind - most;
    }
    // Not all at once.
    const smooth = Math.max(1, Math.ceil(perMs * TICK_MS * 4));
    const count = Math.max(0, Math.min(behind, most, room, smooth));
    this.#owed -= count;
    return count;
  }

  counts(): StreamCounts {
    const { labelled, skipped, ended } = this;
    return { task: this.options.task, ...this.ledger.counts(), labelled, skipped, ended };
  }

  phases(): TaskPhases {
    return { task: this.options.task, phases: this.books.counts() };
  }
}

export interface TaskPhases {
  readonly task: string;
  readonly phases: readonly PhaseCounts[];
}
