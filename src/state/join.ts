/**
 * The join store: scored events until their label comes. A batch becomes one value (or a few, if large) under
 * a rising number; index.ts says where a name may lie, and the name in the value decides. `put` copies before
 * it returns and `find` sees it at once: chunks that are not yet on disk are found in memory.
 *
 * A segment of the index and the chunks it covers live and go together: eviction by age and bytes drops the
 * oldest segment, in two steps so that a crash in between leaves only rubbish below `floor`, which the next
 * start sweeps away. A damaged value loses its rows and nothing else.
 */
import type { JoinBatch, JoinedRow, JoinStore } from '../contract.ts';
import { aliasesOf, Chunk, encodeChunk, spans } from './chunk.ts';
import { ByteReader, ByteWriter, wellFormed } from './codec.ts';
import { glance, numberKey, numberOf, type Op } from './database.ts';
import { JoinIndex } from './index.ts';
import { demandGateway, metaOp, type Rooms, readMeta, SLICE, tellDamage } from './room.ts';
import type { Place } from './segment.ts';

const FLOOR = 'join floor';
/** Chunks that a search by time alone looks into: some 64 MiB. */
const DURING_CHUNKS = 256;
/** A device's clock may be ahead of ours. */
const CLOCKS_MS = 3_600_000;

type Look = (chunk: Chunk, row: number) => JoinedRow | null;

/** The next `most` of what is left; the generator goes on behind them. */
function take<T>(from: Iterator<T>, most: number): T[] {
  const taken: T[] = [];
  while (taken.length < most) {
    const next = from.next();
    if (next.done) break;
    taken.push(next.value);
  }
  return taken;
}

export class Join implements JoinStore {
  readonly #rooms: Rooms;
  readonly #index: JoinIndex;
  /** Chunks that are not on disk yet. */
  readonly #chunks = new Map<number, Buffer>();
  /** The chunk looked into last: names asked for in a row mostly lie together. */
  #opened: { readonly number: number; readonly chunk: Chunk } | null = null;
  #next = 1;
  #floor = 1;
  #cleaning: Promise<void> | null = null;
  #evicting = false;

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
    this.#index = new JoinIndex(rooms);
    rooms.lmdb.onFailure(() => this.#load());
    this.#load();
  }

  /** Bytes on disk, as the limit counts them. */
  get bytes(): number {
    return this.#index.bytes;
  }

  async put(batch: JoinBatch): Promise<void> {
    demandGateway(this.#rooms);
    const ops: Op[] = [];
    const numbers: number[] = [];
    const now = this.#rooms.clock.now();
    for (const [from, to] of spans(batch)) {
      const number = this.#next++;
      const bytes = encodeChunk(batch, from, to, now);
      this.#enter(batch, from, to, number, bytes.length, now, ops);
      this.#chunks.set(number, bytes);
      numbers.push(number);
      ops.push({ table: this.#rooms.tables.chunks, key: numberKey(number), value: bytes });
    }
    if (ops.length > 0) await this.#write(ops, numbers);
  }

  #enter(
    batch: JoinBatch,
    from: number,
    to: number,
    number: number,
    bytes: number,
    now: number,
    ops: Op[],
  ): void {
    let names = to - from;
    for (let i = from; i < to; i++)
      if (batch.events[i].aliases.length > 0) names += aliasesOf(batch.events[i]).length;
    const enter = this.#index.admit(batch.task, number, names, to - from, bytes, now, ops);
    for (let i = from; i < to; i++) {
      const event = batch.events[i];
      enter.name(event.id, i - from);
      enter.row(event.device, event.at, i - from);
      if (event.aliases.length > 0) for (const alias of aliasesOf(event)) enter.name(alias, i - from);
    }
  }

  /** Writes chunks with whatever segments were sealed on the way. */
  async #write(ops: readonly Op[], numbers: readonly number[]): Promise<void> {
    const sealed = this.#index.fresh;
    await this.#rooms.lmdb.write(ops);
    for (const number of numbers) this.#chunks.delete(number);
    if (sealed.length === 0) return;
    this.#index.landed(sealed);
    if (this.bytes > this.#rooms.limits.join.bytes) this.sweep().catch(() => {});
  }

  find(task: string, name: string): JoinedRow | null {
    const wanted = wellFormed(name);
    for (const place of this.#index.find(task, wanted)) {
      const found = this.#look(place, (chunk, row) =>
        chunk.task === task && chunk.goesBy(row, wanted) ? chunk.row(row) : null,
      );
      if (found) return found;
    }
    return null;
  }

  span(task: string, device: string, from: number, to: number, limit: number): JoinedRow[] {
    const wanted = wellFormed(device);
    const rows = new Map<string, JoinedRow>();
    const places = this.#index.span(task, wanted, from, to);
    while (rows.size < limit) {
      const some = take(places, limit - rows.size);
      if (some.length === 0) break;
      const read = (chunk: Chunk, row: number) =>
        chunk.task === task && row < chunk.count && chunk.device(row) === wanted && !chunk.erased(row)
          ? chunk.row(row)
          : null;
      for (const found of this.#lookAll(some, read)) {
        if (!found || !(found.at >= from && found.at <= to)) continue;
        rows.delete(found.id); // delivered twice: the later one counts, at its own place
        rows.set(found.id, found);
      }
    }
    return [...rows.values()];
  }

  during(task: string, from: number, to: number, limit: number): JoinedRow[] {
    const rows = new Map<string, JoinedRow>();
    const first = this.#firstPutSince(from - CLOCKS_MS);
    const end = Math.min(this.#next, first + DURING_CHUNKS);
    for (let number = first; number < end && rows.size < limit; number++)
      this.#look({ chunk: number, row: 0 }, (chunk) => {
        for (let row = 0; chunk.task === task && row < chunk.count && rows.size < limit; row++) {
          if (!(chunk.at(row) >= from && chunk.at(row) <= to)) continue;
          rows.delete(chunk.id(row)); // delivered twice: the later one counts
          rows.set(chunk.id(row), chunk.row(row));
        }
        return null;
      });
    return [...rows.values()].sort((a, b) => a.at - b.at);
  }

  async erase(task: string, events: readonly string[]): Promise<void> {
    demandGateway(this.#rooms);
    const rows = new Map<number, Set<number>>();
    for (const event of events) {
      const wanted = wellFormed(event);
      for (const place of this.#index.find(task, wanted))
        this.#look(place, (chunk, row) => {
          if (chunk.task !== task || !chunk.goesBy(row, wanted)) return null;
          rows.set(place.chunk, (rows.get(place.chunk) ?? new Set()).add(row));
          return null;
        });
    }
    const ops: Op[] = [];
    for (const [number, erased] of rows) {
      const bytes = this.#open(number)?.without(erased);
      if (!bytes || number < this.#floor) continue;
      ops.push({ table: this.#rooms.tables.chunks, key: numberKey(number), value: bytes });
      if (this.#chunks.has(number)) this.#chunks.set(number, bytes);
    }
    this.#opened = null;
    if (ops.length > 0) await this.#rooms.lmdb.write(ops);
    this.#opened = null; // it may have been read again before the write landed
  }

  /** The first chunk put at or after a time; they lie in order of arrival. */
  #firstPutSince(time: number): number {
    let low = this.#floor;
    let high = this.#next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      let putAt = Number.NEGATIVE_INFINITY;
      this.#look({ chunk: middle, row: 0 }, (chunk) => {
        putAt = chunk.putAt;
        return null;
      });
      if (putAt >= time) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** #look for many places, in their order; each chunk is opened once, however the places change between them. */
  #lookAll(places: readonly Place[], read: Look): (JoinedRow | null)[] {
    const byChunk = Uint32Array.from(places.keys());
    const scattered = places.some(({ chunk }, i) => i > 0 && chunk < places[i - 1].chunk);
    if (scattered) byChunk.sort((a, b) => places[a].chunk - places[b].chunk);
    const found: (JoinedRow | null)[] = new Array(places.length).fill(null);
    for (const i of byChunk) found[i] = this.#look(places[i], read);
    return found;
  }

  /** What `read` makes of a place; null where the chunk is gone or damaged. */
  #look(place: Place, read: Look): JoinedRow | null {
    try {
      const chunk = this.#open(place.chunk);
      return chunk ? read(chunk, place.row) : null;
    } catch (error) {
      tellDamage(this.#rooms, error, 'join');
      return null;
    }
  }

  #open(number: number): Chunk | null {
    this.#rooms.lmdb.demandOpen();
    if (this.#opened?.number === number) return this.#opened.chunk;
    this.#opened = null;
    const { chunks } = this.#rooms.tables;
    let bytes = this.#chunks.get(number) ?? null;
    if (!bytes) {
      const shared = glance(chunks, numberKey(number));
      bytes = shared && Buffer.from(new Uint8Array(shared).buffer); // kept beyond the next read
    }
    if (!bytes) return null;
    this.#opened = { number, chunk: new Chunk(bytes) };
    return this.#opened.chunk;
  }

  /** Drops whole segments that are over the limits, oldest first, and counts their events. */
  async sweep(): Promise<void> {
    if (this.#evicting) return;
    this.#evicting = true;
    try {
      await this.#sweep();
    } finally {
      this.#evicting = false;
    }
  }

  async #sweep(): Promise<void> {
    const { clock, telemetry } = this.#rooms;
    const ops: Op[] = [];
    if (this.#index.due(clock.now())) this.#index.seal(ops, this.#next);
    const gone = this.#index.evict(clock.now(), ops);
    if (gone.length > 0) {
      this.#floor = gone[gone.length - 1].last + 1;
      this.#opened = null;
      ops.push(metaOp(this.#rooms, FLOOR, new ByteWriter().f64(this.#floor).seal()));
    }
    if (ops.length > 0) await this.#write(ops, []);
    for (const { events } of gone)
      for (const [task, count] of events) telemetry.count('join_evicted', { task }, count);
    if (gone.length > 0) await this.#clean();
  }

  /** Erases what lies below the floor, slice by slice. */
  #clean(): Promise<void> {
    this.#cleaning ??= this.#cleanAll().finally(() => {
      this.#cleaning = null;
    });
    return this.#cleaning;
  }

  async #cleanAll(): Promise<void> {
    const { chunks, segments } = this.#rooms.tables;
    for (;;) {
      const ops: Op[] = [];
      for (const table of [chunks, segments])
        for (const key of table.keys({ end: numberKey(this.#floor), limit: SLICE }))
          ops.push({ table, key: Buffer.from(key), value: null });
      if (ops.length === 0) return;
      await this.#rooms.lmdb.write(ops);
    }
  }

  /** Reads the state from disk: the lines of sealed segments, and the index of the chunks after them. */
  #load(): void {
    const { tables, tool } = this.#rooms;
    this.#chunks.clear();
    this.#opened = null; // its number may be given again
    const floor = readMeta(this.#rooms, FLOOR);
    this.#floor = floor ? new ByteReader(Buffer.from(floor)).f64() : 1;
    this.#next = this.#index.load(this.#floor);
    const ops: Op[] = [];
    for (const key of tables.chunks.keys({ start: numberKey(this.#next) })) {
      this.#next = numberOf(key) + 1;
      this.#reenter(numberOf(key), ops);
    }
    if (tool) return;
    if (ops.length > 0) this.#write(ops, []).catch(() => {});
    if (this.#floor > 1) this.#clean().catch(() => {});
  }

  #reenter(number: number, ops: Op[]): void {
    this.#look({ chunk: number, row: 0 }, (chunk) => {
      const names = [...chunk.names()];
      const bytes = chunk.bytes;
      const enter = this.#index.admit(chunk.task, number, names.length, chunk.count, bytes, chunk.putAt, ops);
      for (const [row, name] of names) enter.name(name, row);
      chunk.devices((row, device, at) => enter.row(device, at, row));
      return null;
    });
  }
}
