/**
 * One stream of the fleet: its feed, its books, its labels and its pace. It says how many messages are due
 * and never more than the books and the broker have room for; arrears are made up within BURST_MS at no
 * more than four times the pace, older ones are skipped and counted.
 */
import type { Feed } from './feeds.ts';
import { LabelDesk, type LabelPlan, usualLabels } from './labels.ts';
import { Ledger, type TaskCounts } from './ledger.ts';

export interface StreamOptions {
  /** The task of the gateway that judges this stream. */
  readonly task: string;
  readonly feed: Feed;
  /** Messages a second; Infinity is as fast as the broker and `maxOpen` let it. */
  readonly rate: number;
  readonly labels?: Partial<LabelPlan>;
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
  readonly maxOpen: number;
  unconfirmed = 0;
  labelled = 0;
  skipped = 0;
  ended = false;
  #begin = Number.NaN;
  #made = 0;

  constructor(options: StreamOptions, seed: number) {
    this.options = options;
    this.maxOpen = options.maxOpen ?? 100_000;
    this.ledger = new Ledger(options.feed.labels);
    this.desk = new LabelDesk({ ...usualLabels, ...options.labels }, options.feed.labels, seed);
  }

  /** How many messages are to be made now. */
  due(now: number): number {
    const room = Math.min(this.maxOpen - this.ledger.open, MAX_UNCONFIRMED - this.unconfirmed);
    if (this.ended || this.options.rate <= 0) return 0;
    if (this.options.rate === Number.POSITIVE_INFINITY) return Math.max(0, Math.min(room, FLAT_OUT));
    if (Number.isNaN(this.#begin)) this.#begin = now;
    const perMs = this.options.rate / 1000;
    let behind = Math.floor((now - this.#begin) * perMs) - this.#made;
    const most = Math.max(1, Math.ceil(perMs * BURST_MS));
    if (behind > most) {
      this.skipped += behind - most;
      this.#made += behind - most;
      behind = most;
    }
    // Not all at once.
    const smooth = Math.max(1, Math.ceil(perMs * TICK_MS * 4));
    const count = Math.max(0, Math.min(behind, room, smooth));
    this.#made += count;
    return count;
  }

  counts(): StreamCounts {
    const { labelled, skipped, ended } = this;
    return { task: this.options.task, ...this.ledger.counts(), labelled, skipped, ended };
  }
}
