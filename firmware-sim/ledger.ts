/**
 * The sender's own books: what was sent, what the broker confirmed, what came back. A message is lost
 * when its publish was confirmed to us and neither a verdict nor a dead letter has come for it. Counting
 * happens on the sender's numbering; nothing that the gateway says about itself enters here.
 *
 * Memory is bounded by what is open: a message answered and confirmed is forgotten, except that the last
 * REMEMBERED identities are kept to tell a duplicate from a stranger. Identities are held as 52-bit
 * numbers; with 100,000 open messages the odds that a billion more meet one collision are about 2 %.
 */
import { LatencyHistogram, type Percentiles } from '../src/latency.ts';

/** Answered identities kept (per generation; one or two generations are alive). */
const REMEMBERED = 65_536;
/** Verdicts that `recentAccuracy` looks back on. */
const RECENT = 1_000;

const CONFIRMED = 1;
const ANSWERED = 2;
/** The publish was given up: whether it arrived is unknown, so it can never be lost. */
const REFUSED = 4;

/** What `answer` found out about an identity. */
export type Answered =
  | {
      readonly kind: 'first';
      readonly number: number;
      readonly truth: number;
      /** When it was entered, and the mark that it was entered with. */
      readonly sentAt: number;
      readonly mark: number;
    }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'foreign' };

export interface TaskCounts {
  /** Messages handed to the transport. */
  readonly sent: number;
  /** Of these, confirmed by the broker. */
  readonly confirmed: number;
  /** First verdicts for messages of ours, with and without a label. */
  readonly verdicts: number;
  /** Of these, with `label: null`: the task had no sufficient model. */
  readonly learning: number;
  readonly deadLetters: number;
  /** Dead letters for messages that could be read: should be 0. */
  readonly deadUnexpected: number;
  /** Answers beyond the one that each message gets. */
  readonly duplicates: number;
  /** Answers to what we did not send (or answered very long ago). */
  readonly foreign: number;
  /** Confirmed and not answered yet. */
  readonly outstanding: number;
  /** Verdicts with a label whose truth is known, how many were right, and the share. */
  readonly tested: number;
  readonly correct: number;
  readonly accuracy: number | null;
  /** Over the last 1,000 tested. */
  readonly recentAccuracy: number | null;
  readonly latencyMs: Percentiles;
}

/** 52 bits of an identity: its digest's own where it is one, else a hash (cyrb53, public domain construction). */
function compact(id: string): number {
  if (id.startsWith('sha256:')) return Number.parseInt(id.slice(7, 20), 16);
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < id.length; i++) {
    const code = id.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (b & 0xfffff) * 4_294_967_296 + (a >>> 0);
}

/** Books of one task. */
export class Ledger {
  readonly labels: readonly string[];
  /** Oldest open slot by identity; further ones with the same identity hang on `#next`. */
  readonly #open = new Map<number, number>();
  #free: number[] = [];
  #size = 0;
  #state = new Uint8Array(1024);
  #truth = new Int8Array(1024);
  #readable = new Uint8Array(1024);
  #marks = new Uint8Array(1024);
  #next = new Int32Array(1024);
  #sentAt = new Float64Array(1024);
  #number = new Float64Array(1024);
  #recent = new Set<number>();
  #older = new Set<number>();
  readonly #outcomes = new Uint8Array(RECENT);
  readonly #latency = new LatencyHistogram();
  #sent = 0;
  #confirmed = 0;
  #verdicts = 0;
  #learning = 0;
  #dead = 0;
  #deadUnexpected = 0;
  #duplicates = 0;
  #foreign = 0;
  #outstanding = 0;
  #tested = 0;
  #correct = 0;

  constructor(labels: readonly string[]) {
    this.labels = labels;
  }

  /** Messages entered so far. */
  get counted(): number {
    return this.#sent;
  }

  /** Confirmed and not answered yet. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Messages open in any way: not confirmed, or not answered. */
  get open(): number {
    return this.#size - this.#free.length;
  }

  /**
   * Enters a message just before it is published; returns its slot for `confirm` and `refuse`.
   * `truth` is a label index or -1 where there is none; `mark` (0 to 255) comes back with the answer.
   */
  send(id: string, truth: number, readable: boolean, at: number, mark = 0): number {
    const slot = this.#free.pop() ?? this.#grow();
    const key = compact(id);
    this.#state[slot] = 0;
    this.#truth[slot] = truth;
    this.#readable[slot] = readable ? 1 : 0;
    this.#marks[slot] = mark;
    this.#next[slot] = -1;
    this.#sentAt[slot] = at;
    this.#number[slot] = this.#sent;
    this.#sent += 1;
    const first = this.#open.get(key);
    if (first === undefined) this.#open.set(key, slot);
    else {
      let last = first;
      while (this.#next[last] >= 0) last = this.#next[last];
      this.#next[last] = slot;
    }
    return slot;
  }

  /** The broker has the message. */
  confirm(slot: number): void {
    this.#confirmed += 1;
    if (!(this.#state[slot] & ANSWERED)) this.#outstanding += 1;
    this.#mark(slot, CONFIRMED);
  }

  /** The publish was given up. The slot stays known, because the message may have arrived all the same. */
  refuse(slot: number): void {
    this.#mark(slot, REFUSED);
  }

  /** A verdict came; `label` null while the task is learning. */
  verdict(id: string, label: string | null, at: number): Answered {
    const found = this.#answer(id, at);
    if (found.kind !== 'first') return found;
    this.#verdicts += 1;
    if (label === null) this.#learning += 1;
    else if (found.truth >= 0) this.#judge(this.labels[found.truth] === label);
    return found;
  }

  /** A dead letter came. */
  deadLetter(id: string, at: number): Answered {
    const slot = this.#open.get(compact(id));
    const readable = slot !== undefined && this.#readable[slot] === 1;
    const found = this.#answer(id, at);
    if (found.kind !== 'first') return found;
    this.#dead += 1;
    if (readable) this.#deadUnexpected += 1;
    return found;
  }

  counts(): TaskCounts {
    const recent = Math.min(this.#tested, RECENT);
    let right = 0;
    for (let i = 0; i < recent; i++) right += this.#outcomes[i];
    return {
      sent: this.#sent,
      confirmed: this.#confirmed,
      verdicts: this.#verdicts,
      learning: this.#learning,
      deadLetters: this.#dead,
      deadUnexpected: this.#deadUnexpected,
      duplicates: this.#duplicates,
      foreign: this.#foreign,
      outstanding: this.#outstanding,
      tested: this.#tested,
      correct: this.#correct,
      accuracy: this.#tested > 0 ? this.#correct / this.#tested : null,
      recentAccuracy: recent > 0 ? right / recent : null,
      latencyMs: this.#latency.summary(),
    };
  }

  #answer(id: string, at: number): Answered {
    const key = compact(id);
    const slot = this.#open.get(key);
    if (slot === undefined) {
      const known = this.#recent.has(key) || this.#older.has(key);
      if (known) this.#duplicates += 1;
      else this.#foreign += 1;
      return { kind: known ? 'duplicate' : 'foreign' };
    }
    const next = this.#next[slot];
    if (next >= 0) this.#open.set(key, next);
    else this.#open.delete(key);
    this.#remember(key);
    this.#latency.add(at - this.#sentAt[slot]);
    const found = {
      kind: 'first',
      number: this.#number[slot],
      truth: this.#truth[slot],
      sentAt: this.#sentAt[slot],
      mark: this.#marks[slot],
    } as const;
    if (this.#state[slot] & CONFIRMED) this.#outstanding -= 1;
    this.#mark(slot, ANSWERED);
    return found;
  }

  #judge(right: boolean): void {
    this.#outcomes[this.#tested % RECENT] = right ? 1 : 0;
    this.#tested += 1;
    if (right) this.#correct += 1;
  }

  /** A slot is free again when it has its answer and its publish has ended, in whatever order. */
  #mark(slot: number, bit: number): void {
    this.#state[slot] |= bit;
    const state = this.#state[slot];
    if (state & ANSWERED && state & (CONFIRMED | REFUSED)) this.#free.push(slot);
  }

  #remember(key: number): void {
    this.#recent.add(key);
    if (this.#recent.size < REMEMBERED) return;
    this.#older = this.#recent;
    this.#recent = new Set();
  }

  #grow(): number {
    const slot = this.#size;
    this.#size += 1;
    if (slot < this.#state.length) return slot;
    const size = this.#state.length * 2;
    const copy = <A extends { set(from: A): void }>(to: A, from: A): A => {
      to.set(from);
      return to;
    };
    this.#state = copy(new Uint8Array(size), this.#state);
    this.#truth = copy(new Int8Array(size), this.#truth);
    this.#readable = copy(new Uint8Array(size), this.#readable);
    this.#marks = copy(new Uint8Array(size), this.#marks);
    this.#next = copy(new Int32Array(size), this.#next);
    this.#sentAt = copy(new Float64Array(size), this.#sentAt);
    this.#number = copy(new Float64Array(size), this.#number);
    return slot;
  }
}
