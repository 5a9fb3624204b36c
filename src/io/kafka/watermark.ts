/**
 * What of one partition has been handed out and what of that is settled: the offset that may be committed is
 * the first one not yet settled as done, never beyond a hole. A message to be retried stays in its place and
 * is found again when the partition is read back, so only it is delivered twice, not all that came after it.
 * It also knows where the partition is read on, and so which fetched batches are out of date.
 * Entries live in a ring, nine bytes each; no allocation per message.
 */
import type { Outcome } from '../../contract.ts';

const PENDING = 0;
const DONE = 1;
const RETRY = 2;
const FIRST_CAPACITY = 1_024;
const FIRST_RETRY_MS = 100;
const MOST_RETRY_MS = 30_000;

/** What a fetched batch is: what is to be read now, fetched before a later seek, or from before what was read. */
export type BatchKind = 'expected' | 'stale' | 'reset';

export class Watermark {
  readonly topic: string;
  readonly partition: number;
  /** Set when the partition went to another member: settling then changes nothing. */
  lost = false;
  /** Where the consumer reads on: the offset sought last, or the one behind what was taken since. -1 for unknown. */
  position = -1;
  /** Counts the seeks: what was begun before one must not move the position any more. */
  seeks = 0;
  /** Stale batches in a row. */
  missed = 0;
  /** The last offset that a commit confirmed, -1 for none known. */
  committed = -1;
  /** The offset after the last one handed out, -1 while nothing was. */
  next = -1;
  /** What lies before this offset was handled before the partition came here, and is read back; -1 while that is not known. */
  begin = -1;
  /** Whether a retry is already waiting for its time. */
  retryTimer = false;
  /** How long the next retry waits; doubles while retries fail. */
  retryDelay = FIRST_RETRY_MS;
  #offsets = new Float64Array(FIRST_CAPACITY);
  #states = new Uint8Array(FIRST_CAPACITY);
  // Entry numbers only rise; an entry's place in the ring is its number modulo the capacity (a power of two).
  #head = 0;
  #tail = 0;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  /** Messages handed out from the first unsettled one on. */
  get span(): number {
    return this.#tail - this.#head;
  }

  /** The offset to commit: everything before it is done. -1 where nothing can be said. */
  get offset(): number {
    return this.#head < this.#tail ? this.#offsets[this.#head & this.#mask] : this.next;
  }

  get #mask(): number {
    return this.#offsets.length - 1;
  }

  /**
   * Takes a fetched message in: its entry number, or -1 when it was handed out before and needs no second delivery.
   * Offsets below `next` are known from the first reading.
   */
  admit(offset: number): number {
    if (offset < this.next) return this.#revive(offset);
    if (this.span === this.#offsets.length) this.#grow();
    const entry = this.#tail++;
    this.#offsets[entry & this.#mask] = offset;
    this.#states[entry & this.#mask] = PENDING;
    this.next = offset + 1;
    return entry;
  }

  /** The partition came here at this offset: it is the first one to be handed out. */
  beginAt(offset: number): void {
    this.begin = offset;
    this.next = offset;
  }

  /** True where `admit` would hand this offset out. */
  wants(offset: number): boolean {
    return offset >= this.next || this.#stateOf(offset) === RETRY;
  }

  /** The log has no message between the last one handed out and `offset` (control records, compaction). */
  passed(offset: number): void {
    if (offset > this.next) this.next = offset;
  }

  /** True when the committable offset rose. */
  settle(entry: number, outcome: Outcome): boolean {
    const place = entry & this.#mask;
    if (entry < this.#head || this.#states[place] !== PENDING) return false;
    if (outcome === 'retry') {
      this.#states[place] = RETRY;
      return false;
    }
    this.#states[place] = DONE;
    this.retryDelay = FIRST_RETRY_MS;
    if (entry !== this.#head) return false;
    this.#advance();
    return true;
  }

  /** The consumer is sent to `offset`; batches that were fetched before are out of date. */
  sought(offset: number): void {
    this.position = offset;
    this.seeks += 1;
  }

  /**
   * What a batch that begins with `first` is. Gaps are usual (control records, compaction), but not over a message
   * that is being read back for its retry: such a batch was fetched before the seek.
   */
  judge(first: number): BatchKind {
    if (this.position < 0 || first === this.position) return 'expected';
    if (first < this.position) return 'reset';
    const retry = this.firstRetry(this.position);
    return retry >= 0 && retry < first ? 'stale' : 'expected';
  }

  /** The log no longer has what waits for its retry from `position` to `end`: it counts as done. Returns how many. */
  giveUp(end: number): number {
    let count = 0;
    for (let entry = this.#from(this.position); entry < this.#tail; entry++) {
      const place = entry & this.#mask;
      if (this.#offsets[place] >= end) break;
      if (this.#states[place] !== RETRY) continue;
      this.#states[place] = DONE;
      count += 1;
    }
    this.#advance();
    return count;
  }

  /** The lowest offset, of `from` on, that waits for a second delivery; -1 for none. */
  firstRetry(from = 0): number {
    for (let entry = this.#from(from); entry < this.#tail; entry++)
      if (this.#states[entry & this.#mask] === RETRY) return this.#offsets[entry & this.#mask];
    return -1;
  }

  /** The delay before the coming retry, in ms, with jitter; the one after it waits twice as long. */
  backOff(): number {
    const delay = this.retryDelay;
    this.retryDelay = Math.min(delay * 2, MOST_RETRY_MS);
    return delay * (0.75 + Math.random() / 2);
  }

  #advance(): void {
    while (this.#head < this.#tail && this.#states[this.#head & this.#mask] === DONE) this.#head++;
  }

  #revive(offset: number): number {
    const entry = this.#find(offset);
    if (entry === -1 || this.#states[entry & this.#mask] !== RETRY) return -1;
    this.#states[entry & this.#mask] = PENDING;
    return entry;
  }

  #stateOf(offset: number): number {
    const entry = this.#find(offset);
    return entry === -1 ? DONE : this.#states[entry & this.#mask];
  }

  #find(offset: number): number {
    const entry = this.#from(offset);
    return entry < this.#tail && this.#offsets[entry & this.#mask] === offset ? entry : -1;
  }

  /** The first entry whose offset is not below this one. Binary search: offsets rise with the entry number. */
  #from(offset: number): number {
    let low = this.#head;
    let high = this.#tail;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#offsets[middle & this.#mask] < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #grow(): void {
    const capacity = this.#offsets.length * 2;
    const offsets = new Float64Array(capacity);
    const states = new Uint8Array(capacity);
    for (let entry = this.#head; entry < this.#tail; entry++) {
      offsets[entry & (capacity - 1)] = this.#offsets[entry & this.#mask];
      states[entry & (capacity - 1)] = this.#states[entry & this.#mask];
    }
    this.#offsets = offsets;
    this.#states = states;
  }
}
