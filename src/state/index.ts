/**
 * The whole index of the join store: the open segment in memory and the sealed ones on disk, oldest to newest,
 * with their bounds. It gives candidates; join.ts verifies them. It adds operations to a list that join.ts
 * writes together with the chunks, so that chunks and index never disagree for longer than a crash, and after
 * a crash the chunks behind the last sealed segment are indexed again.
 *
 * Memory: about 4 MiB, and a line per sealed segment (some 60 for 1 GiB of readings).
 */
import { SluiceError } from '../errors.ts';
import { ByteReader, ByteWriter } from './codec.ts';
import { costOf, glance, numberKey, numberOf, type Op } from './database.ts';
import { type HashSeed, halves, hash, scoped } from './hash.ts';
import { type Rooms, tellDamage } from './room.ts';
import * as segment from './segment.ts';

const SHARE = 16;
const MIN_SEGMENT_BYTES = 64 * 1024;
const MAX_SEGMENT_BYTES = 64 * 1024 ** 2;
/** Candidates of one segment that a span holds at a time. */
const PAGE = 1_024;

/** A sealed segment: in memory, and under [last, 0] in `segments`; its blocks lie under [last, number + 1]. */
export interface Sealed {
  readonly first: number;
  readonly last: number;
  /** When its newest chunk was put, ms. */
  readonly newest: number;
  readonly bytes: number;
  /** Events by task, for the count of evictions. */
  readonly events: ReadonlyMap<string, number>;
}

interface Seeds {
  readonly names: HashSeed;
  readonly devices: HashSeed;
}

export class JoinIndex {
  readonly #rooms: Rooms;
  readonly #seeds = new Map<string, Seeds>();
  /** Blocks that are not on disk yet, by the segment's last chunk. */
  readonly #fresh = new Map<number, Map<number, Buffer>>();
  #sealed: Sealed[] = [];
  #memory = new segment.MemorySegment(1);
  #events = new Map<string, number>();
  #last = 0;
  #bytes = 0;
  #oldest = Number.POSITIVE_INFINITY;
  #newest = Number.NEGATIVE_INFINITY;

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
  }

  #begin(base: number): void {
    this.#memory = new segment.MemorySegment(base);
    this.#events = new Map();
    this.#last = base - 1;
    this.#bytes = 0;
    this.#oldest = Number.POSITIVE_INFINITY;
    this.#newest = Number.NEGATIVE_INFINITY;
  }

  get bytes(): number {
    return this.#sealed.reduce((sum, { bytes }) => sum + bytes, this.#bytes);
  }

  #seedsOf(task: string): Seeds {
    let seeds = this.#seeds.get(task);
    if (!seeds) {
      if (this.#seeds.size > 1_000) this.#seeds.clear();
      const { seed } = this.#rooms;
      seeds = { names: scoped(seed, `names ${task}`), devices: scoped(seed, `devices ${task}`) };
      this.#seeds.set(task, seeds);
    }
    return seeds;
  }

  // ---- adding

  /**
   * Makes room for a chunk with so many names, sealing the open segment if it is full or has its share of
   * bytes or age, then gives what enters its names and rows.
   */
  admit(task: string, chunk: number, names: number, events: number, bytes: number, at: number, ops: Op[]) {
    if (this.#memory.names > 0 && (this.due(at) || !this.#memory.fits(chunk, names))) this.seal(ops, chunk);
    this.#last = chunk;
    this.#bytes += costOf(bytes);
    this.#oldest = Math.min(this.#oldest, at);
    this.#newest = Math.max(this.#newest, at);
    this.#events.set(task, (this.#events.get(task) ?? 0) + events);
    const memory = this.#memory;
    const seeds = this.#seedsOf(task);
    return {
      name: (name: string, row: number) => {
        hash(seeds.names, name);
        memory.addName(halves.high, halves.low, chunk, row);
      },
      row: (device: string, time: number, row: number) => {
        hash(seeds.devices, device);
        memory.addRow(halves.high, time, chunk, row);
      },
    };
  }

  /** Whether the open segment holds its share, so that evicting one segment is never a large part of all. */
  due(now: number): boolean {
    const { bytes, age } = this.#rooms.limits.join;
    const share = Math.min(MAX_SEGMENT_BYTES, Math.max(MIN_SEGMENT_BYTES, bytes / SHARE));
    return this.#memory.names > 0 && (this.#bytes >= share || now - this.#oldest > age / SHARE);
  }

  /** Sorts the open segment, adds its blocks to `ops`, and begins a new one at chunk `next`. */
  seal(ops: Op[], next: number): void {
    const { segments } = this.#rooms.tables;
    const last = this.#last;
    const blocks = new Map(this.#memory.seal().map((block) => [block.number, block.bytes]));
    let bytes = this.#bytes;
    for (const [number, value] of blocks) {
      ops.push({ table: segments, key: numberKey(last, number + 1), value });
      bytes += costOf(value.length);
    }
    const sealed = { first: this.#memory.base, last, newest: this.#newest, bytes, events: this.#events };
    ops.push({ table: segments, key: numberKey(last, 0), value: encodeSealed(sealed) });
    this.#sealed.push(sealed);
    this.#fresh.set(last, blocks);
    this.#begin(next);
  }

  /** Segments sealed since; to be handed to `landed` when their ops are on disk. */
  get fresh(): number[] {
    return [...this.#fresh.keys()];
  }

  landed(sealed: readonly number[]): void {
    for (const last of sealed) this.#fresh.delete(last);
  }

  /** Takes out the oldest segments until the rest keeps the limits; their lines are removed by `ops`. */
  evict(now: number, ops: Op[]): Sealed[] {
    const { bytes, age } = this.#rooms.limits.join;
    const gone: Sealed[] = [];
    let total = this.bytes;
    while (this.#sealed.length > 0 && (total > bytes || this.#sealed[0].newest < now - age)) {
      const [sealed] = this.#sealed.splice(0, 1);
      total -= sealed.bytes;
      gone.push(sealed);
      ops.push({ table: this.#rooms.tables.segments, key: numberKey(sealed.last, 0), value: null });
    }
    return gone;
  }

  // ---- looking

  /** Where a name may lie, newest first. */
  *find(task: string, name: string): Generator<segment.Place> {
    hash(this.#seedsOf(task).names, name);
    const { high, low } = halves;
    yield* this.#memory.find(high, low);
    for (const sealed of [...this.#sealed].reverse())
      yield* this.#inBlock(sealed, segment.nameBlock(high), (block) =>
        segment.findInBlock(block, sealed.first, high, low),
      );
  }

  /** Where rows of a device with from <= at <= to may lie, oldest first. */
  *span(task: string, device: string, from: number, to: number): Generator<segment.TimedPlace> {
    hash(this.#seedsOf(task).devices, device);
    const { high } = halves;
    const open = this.#memory.span(high, from, to);
    const sources = this.#sealed.map(
      (sealed) => (skip: number) =>
        this.#inBlock(sealed, segment.deviceBlock(high), (block) =>
          segment.spanInBlock(block, sealed.first, high, from, to, skip, PAGE),
        ),
    );
    yield* merged([...sources, (skip) => open(skip, PAGE)]);
  }

  #inBlock<T>(sealed: Sealed, number: number, read: (block: Buffer) => T[]): T[] {
    try {
      const fresh = this.#fresh.get(sealed.last);
      const { segments } = this.#rooms.tables;
      const block = fresh ? fresh.get(number) : glance(segments, numberKey(sealed.last, number + 1));
      return block ? read(block) : [];
    } catch (error) {
      tellDamage(this.#rooms, error, 'join index');
      return [];
    }
  }

  // ---- starting

  /** Reads the lines of the sealed segments from `floor` on; returns the number of the next chunk. */
  load(floor: number): number {
    const { segments } = this.#rooms.tables;
    this.#sealed = [];
    this.#fresh.clear();
    let next = floor;
    for (;;) {
      const [key] = segments.keys({ start: numberKey(next), limit: 1 });
      if (!key) break;
      const last = numberOf(key, 8);
      next = last + 1;
      try {
        const line = glance(segments, numberKey(last, 0));
        if (line) this.#sealed.push(decodeSealed(Buffer.from(line)));
      } catch (error) {
        tellDamage(this.#rooms, error, 'join index');
      }
    }
    this.#begin(next);
    return next;
  }
}

type Paged = (skip: number) => readonly segment.TimedPlace[];

/** Sources that are each ordered by time, as one (ties by arrival), a page of each in memory. */
function* merged(sources: readonly Paged[]): Generator<segment.TimedPlace> {
  const cursors = sources.map((source) => ({ source, page: source(0), i: 0, skip: 0 }));
  for (;;) {
    let best = -1;
    let bestAt = Number.POSITIVE_INFINITY;
    for (let c = 0; c < cursors.length; c++) {
      const cursor = cursors[c];
      if (cursor.i === cursor.page.length && cursor.page.length === PAGE) {
        cursor.skip += PAGE;
        cursor.page = cursor.source(cursor.skip);
        cursor.i = 0;
      }
      if (cursor.i >= cursor.page.length) continue;
      const { at } = cursor.page[cursor.i];
      if (best < 0 || at < bestAt) [best, bestAt] = [c, at];
    }
    if (best < 0) return;
    yield cursors[best].page[cursors[best].i++];
  }
}

function encodeSealed(sealed: Sealed): Buffer {
  const out = new ByteWriter().f64(sealed.first).f64(sealed.last).f64(sealed.newest).f64(sealed.bytes);
  out.u32(sealed.events.size);
  for (const [task, count] of sealed.events) out.text(task).u32(count);
  return out.seal();
}

function decodeSealed(value: Buffer): Sealed {
  const from = new ByteReader(value);
  const head = { first: from.f64(), last: from.f64(), newest: from.f64(), bytes: from.f64() };
  const events = new Map<string, number>();
  for (let left = from.u32(); left > 0; left--) {
    const task = from.text();
    events.set(task, from.u32());
  }
  if (head.first > head.last) throw new SluiceError('STORE_CORRUPT', 'a line of the join index is damaged');
  return { ...head, events };
}
