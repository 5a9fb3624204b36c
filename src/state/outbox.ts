/**
 * Messages on their way to a sink that is away: first in, first out per sink. Messages of a sink are numbered;
 * a parcel of them lies under [sink, number of its first], and a line per sink in `meta` says where its queue
 * begins and what waits, so that neither a start nor `size` scans anything. The line is written in the same
 * transaction as the parcels.
 *
 * Limits count message bytes of all sinks together. A message larger than the whole limit passes alone, when
 * nothing else waits. Order and numbers survive everything; after a refused append some numbers stay unused.
 */
import type { Outbox as OutboxPart, Outgoing } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { ByteReader, ByteWriter } from './codec.ts';
import { glance, LAST, nameKey, numberOf, type Op } from './database.ts';
import { encodeParcel, type ParcelHead, parcelEnd, readParcelHead, sizeOf, walkParcel } from './parcel.ts';
import { demandGateway, type Rooms, SLICE, tellDamage } from './room.ts';

/** A writer that grew beyond this is let go. */
const LARGE = 1024 ** 2;

/**
 * A sink's queue: the next number to give, the first still waiting, and what waits (under way included).
 * Parcels before `floor` are gone, even if their removal is not on disk yet.
 */
interface Queue {
  readonly sink: string;
  next: number;
  head: number;
  floor: number;
  messages: number;
  bytes: number;
  /** Damaged parcels that were given up. */
  readonly lost: Set<number>;
}

export class Outbox implements OutboxPart {
  readonly #rooms: Rooms;
  readonly #queues = new Map<string, Queue>();
  #writer = new ByteWriter();
  #refused = false;

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
    rooms.lmdb.onFailure(() => this.#load());
    this.#load();
  }

  get #bytes(): number {
    let bytes = 0;
    for (const queue of this.#queues.values()) bytes += queue.bytes;
    return bytes;
  }

  /** True from a refused append until something was removed. */
  get full(): boolean {
    return this.#refused;
  }

  async append(sink: string, messages: readonly Outgoing[]): Promise<void> {
    demandGateway(this.#rooms);
    if (messages.length === 0) return;
    const sizes = messages.map(sizeOf);
    const bytes = sizes.reduce((sum, each) => sum + each, 0);
    const ops: Op[] = [];
    this.#makeRoom(bytes, ops);
    const queue = this.#queueOf(sink);
    for (let from = 0; from < messages.length; ) {
      const to = parcelEnd(sizes, from);
      ops.push(this.#parcel(queue, messages, sizes, from, to));
      from = to;
    }
    queue.messages += messages.length;
    queue.bytes += bytes;
    await this.#write([queue], ops);
  }

  #queueOf(sink: string): Queue {
    let queue = this.#queues.get(sink);
    if (!queue) {
      queue = { sink, next: 1, head: 1, floor: 0, messages: 0, bytes: 0, lost: new Set() };
      this.#queues.set(sink, queue);
    }
    return queue;
  }

  #parcel(
    queue: Queue,
    messages: readonly Outgoing[],
    sizes: readonly number[],
    from: number,
    to: number,
  ): Op {
    const head = { first: queue.next, appendedAt: this.#rooms.clock.now(), count: to - from };
    const value = encodeParcel(this.#writer, head, messages, sizes, from);
    if (value.length > LARGE) this.#writer = new ByteWriter();
    queue.next += to - from;
    return { table: this.#rooms.tables.outbox, key: nameKey(queue.sink, head.first), value };
  }

  /** Makes room for so many bytes, or throws STORE_FULL where nothing may be dropped. */
  #makeRoom(bytes: number, ops: Op[]): void {
    const { outbox } = this.#rooms.limits;
    const fits = () => this.#bytes === 0 || this.#bytes + bytes <= outbox.bytes;
    if (fits()) return;
    if (outbox.whenFull === 'block') {
      this.#refused = true;
      throw new SluiceError('STORE_FULL', `the outbox holds ${this.#bytes} of ${outbox.bytes} bytes`);
    }
    const touched = new Set<Queue>();
    while (!fits()) {
      const oldest = this.#oldest();
      if (!oldest) break;
      this.#dropHead(oldest, () => fits(), ops);
      touched.add(oldest);
    }
    ops.push(...[...touched].map((queue) => this.#lineOp(queue)));
  }

  /** The queue whose head was appended first. */
  #oldest(): Queue | null {
    let found: Queue | null = null;
    let at = Number.POSITIVE_INFINITY;
    for (const queue of this.#queues.values()) {
      const head = queue.messages > 0 ? this.#headParcel(queue) : null;
      if (head && head.appendedAt < at) [found, at] = [queue, head.appendedAt];
    }
    return found;
  }

  /** Drops messages of the queue's first parcel until `enough`, counted. */
  #dropHead(queue: Queue, enough: () => boolean, ops: Op[]): void {
    const before = queue.messages;
    const head = this.#headParcel(queue);
    if (!head) return;
    const end = head.first + head.count;
    this.#walk(queue, head.first, (number, bytes) => {
      if (number < queue.head) return true;
      if (enough()) return false;
      this.#pass(queue, number, bytes);
      return true;
    });
    if (queue.head >= end) ops.push(this.#removal(queue, head.first, end));
    const dropped = before - queue.messages;
    if (dropped > 0) this.#rooms.telemetry.count('outbox_dropped', { sink: queue.sink }, dropped);
  }

  #pass(queue: Queue, number: number, bytes: number): void {
    queue.head = number + 1;
    queue.messages = Math.max(0, queue.messages - 1);
    queue.bytes = queue.messages === 0 ? 0 : Math.max(0, queue.bytes - bytes);
    this.#refused = false;
  }

  peek(sink: string, maxMessages: number, maxBytes: number): { messages: Outgoing[]; through: number } {
    const queue = this.#queues.get(sink);
    const messages: Outgoing[] = [];
    let through = (queue?.head ?? 1) - 1;
    let bytes = 0;
    if (!queue) return { messages, through };
    const take = (number: number, size: number, message: () => Outgoing): boolean => {
      if (number < queue.head) return true;
      if (messages.length > 0 && (messages.length >= maxMessages || bytes + size > maxBytes)) return false;
      messages.push(message());
      bytes += size;
      through = number;
      return true;
    };
    for (let first = this.#firstParcel(queue); first !== null; first = this.#parcelAfter(queue, first))
      if (!this.#walk(queue, first, take) || messages.length >= maxMessages) break;
    return { messages, through };
  }

  async remove(sink: string, through: number): Promise<void> {
    demandGateway(this.#rooms);
    const queue = this.#queues.get(sink);
    if (!queue || through < queue.head) return;
    const ops: Op[] = [];
    for (let first = this.#firstParcel(queue); first !== null && first <= through; ) {
      const after = this.#parcelAfter(queue, first);
      let end = first;
      const whole = this.#walk(queue, first, (number, bytes) => {
        if (number > through) return false;
        end = number + 1;
        if (number >= queue.head) this.#pass(queue, number, bytes);
        return true;
      });
      if (whole) ops.push(this.#removal(queue, first, end));
      first = after;
    }
    queue.head = Math.max(queue.head, Math.min(through + 1, queue.next));
    await this.#write([queue], ops);
  }

  size(sink: string): { messages: number; bytes: number } {
    const { messages, bytes } = this.#queues.get(sink) ?? { messages: 0, bytes: 0 };
    return { messages, bytes };
  }

  /** Drops what is too old, counted; sets the gauges. */
  async sweep(): Promise<void> {
    const { limits, clock } = this.#rooms;
    const before = clock.now() - limits.outbox.age;
    for (const queue of this.#queues.values()) {
      for (let more = true; more; ) {
        const ops: Op[] = [];
        for (let n = 0; n < SLICE; n++) {
          const head = queue.messages > 0 ? this.#headParcel(queue) : null;
          more = head !== null && head.appendedAt < before;
          if (!more) break;
          this.#dropHead(queue, () => false, ops);
        }
        if (ops.length > 0) await this.#write([queue], ops);
        else more = false;
      }
      this.#gauges(queue);
    }
  }

  // ---- parcels

  /** Calls `each` for the messages of a parcel until it says false; a damaged one is given up and counted. */
  #walk(queue: Queue, first: number, each: Parameters<typeof walkParcel>[1]): boolean {
    const value = glance(this.#rooms.tables.outbox, nameKey(queue.sink, first));
    if (!value) return true;
    try {
      return walkParcel(Buffer.from(value), each);
    } catch (error) {
      this.#giveUp(queue, first, value.length, error);
      return true;
    }
  }

  /** The numbers around a damaged parcel say how many messages it held. */
  #giveUp(queue: Queue, first: number, bytes: number, error: unknown): void {
    if (queue.lost.has(first) || this.#rooms.tool) return;
    queue.lost.add(first);
    tellDamage(this.#rooms, error, `outbox ${queue.sink}`);
    const end = this.#parcelAfter(queue, first) ?? queue.next;
    const lost = Math.max(0, end - Math.max(queue.head, first));
    this.#rooms.telemetry.count('outbox_dropped', { sink: queue.sink }, lost);
    queue.messages = Math.max(0, queue.messages - lost);
    queue.bytes = queue.messages === 0 ? 0 : Math.max(0, queue.bytes - bytes);
    const isHead = queue.head >= first;
    if (isHead) queue.head = end;
    this.#write([queue], [this.#removal(queue, first, isHead ? end : 0)]).catch(() => {});
  }

  #headParcel(queue: Queue): ParcelHead | null {
    for (;;) {
      const first = this.#firstParcel(queue);
      const value = first === null ? null : glance(this.#rooms.tables.outbox, nameKey(queue.sink, first));
      if (first === null || !value || queue.lost.has(first)) return null;
      try {
        return readParcelHead(value);
      } catch (error) {
        this.#giveUp(queue, first, value.length, error);
      }
    }
  }

  /** The parcel that holds the head of the queue. */
  #firstParcel(queue: Queue): number | null {
    return this.#key(queue, queue.floor);
  }

  #parcelAfter(queue: Queue, first: number): number | null {
    return this.#key(queue, first + 1);
  }

  #key(queue: Queue, from: number): number | null {
    const range = { start: nameKey(queue.sink, from), end: nameKey(queue.sink, LAST), limit: 1 };
    const [key] = this.#rooms.tables.outbox.keys(range);
    return key ? numberOf(key) : null;
  }

  /** Removes the parcel [first, end). */
  #removal(queue: Queue, first: number, end: number): Op {
    queue.floor = Math.max(queue.floor, end);
    return { table: this.#rooms.tables.outbox, key: nameKey(queue.sink, first), value: null };
  }

  // ---- state

  async #write(queues: readonly Queue[], ops: Op[]): Promise<void> {
    ops.push(...queues.map((queue) => this.#lineOp(queue)));
    for (const queue of queues) this.#gauges(queue);
    await this.#rooms.lmdb.write(ops);
  }

  #gauges({ sink, messages, bytes }: Queue): void {
    this.#rooms.telemetry.set('outbox_messages', { sink }, messages);
    this.#rooms.telemetry.set('outbox_bytes', { sink }, bytes);
  }

  #lineOp({ sink, next, head, messages, bytes }: Queue): Op {
    const line = new ByteWriter().text(sink).f64(next).f64(head).f64(messages).f64(bytes).seal();
    return { table: this.#rooms.tables.meta, key: nameKey(LINES, ...digestNumbers(sink)), value: line };
  }

  #load(): void {
    this.#queues.clear();
    const range = { start: nameKey(LINES, 0, 0), end: nameKey(LINES, LAST, LAST) };
    const { meta } = this.#rooms.tables;
    for (const key of meta.keys(range)) {
      const value = glance(meta, key);
      if (!value) continue;
      const from = new ByteReader(Buffer.from(value));
      const sink = from.text();
      const numbers = { next: from.f64(), head: from.f64(), messages: from.f64(), bytes: from.f64() };
      this.#queues.set(sink, { sink, floor: 0, lost: new Set(), ...numbers });
    }
  }
}

const LINES = 'outbox lines';

/** Two numbers that stand for a sink's name in a key. */
function digestNumbers(sink: string): [number, number] {
  const digest = nameKey(sink);
  return [digest.readUIntBE(0, 6), digest.readUIntBE(6, 6)];
}
