/**
 * Models as of a journal position. A head under [task, journal, 0] names the parts, which lie beside it; one
 * transaction writes them all. Besides the newest, a few older ones stay, geometrically spaced in seq: recent
 * labels are taken back more often, and replaying from far back costs little more than from the middle.
 * A snapshot with a damaged part is stepped over for the one before it.
 */
import type { Snapshot, Snapshots as SnapshotsPart } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { ByteReader, ByteWriter } from './codec.ts';
import { glance, LAST, nameKey, numberOf, type Op } from './database.ts';
import { demandGateway, type Rooms, tellDamage } from './room.ts';

/** What the journal needs of this room. */
export interface SnapshotRoom {
  /** Journal position of the newest snapshot, 0 where there is none. */
  newestPosition(task: string): number;
  /** Ops that remove snapshots with journal < seq. */
  dropBefore(task: string, seq: number): Op[];
}

/** A key is digest (16), journal (8), part (8). */
const positionOf = (key: Buffer) => numberOf(key, 24);

/** Which of the older positions to drop (they fall from the newest, which stays; so does the oldest). */
export function redundant(positions: readonly number[], keep: number): number[] {
  const kept = [...positions];
  const gone: number[] = [];
  while (kept.length > keep + 1) {
    if (keep === 0) {
      gone.push(...kept.splice(1));
      break;
    }
    if (keep === 1) {
      gone.push(...kept.splice(1, kept.length - 2));
      break;
    }
    // The one whose neighbours are closest in ratio of their distance to the newest is missed least.
    let least = 1;
    let ratio = Number.POSITIVE_INFINITY;
    for (let i = 1; i < kept.length - 1; i++) {
      const near = i === 1 ? 1 : kept[0] - kept[i - 1] + 1;
      const r = (kept[0] - kept[i + 1] + 1) / near;
      if (r < ratio) [least, ratio] = [i, r];
    }
    gone.push(...kept.splice(least, 1));
  }
  return gone;
}

export class Snapshots implements SnapshotsPart, SnapshotRoom {
  readonly #rooms: Rooms;
  #isWhole: (task: string) => boolean = () => true;

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
  }

  /** The journal is built after this room and says whether it is whole. */
  asks(isWhole: (task: string) => boolean): void {
    this.#isWhole = isWhole;
  }

  async save(snapshot: Snapshot): Promise<void> {
    demandGateway(this.#rooms);
    const { task, journal, parts } = snapshot;
    const { snapshots } = this.#rooms.tables;
    const positions = this.#positions(task).filter((position) => position !== journal);
    const ops = this.#removeAll(task, journal);
    const names = Object.keys(parts);
    const head = new ByteWriter().text(task).f64(snapshot.labels).f64(snapshot.at).u32(names.length);
    for (const name of names) head.text(name);
    ops.push({ table: snapshots, key: nameKey(task, journal, 0), value: head.seal() });
    names.forEach((name, i) => {
      const value = new ByteWriter().bytes(parts[name]).seal();
      ops.push({ table: snapshots, key: nameKey(task, journal, i + 1), value });
    });
    const falling = [...positions, journal].sort((a, b) => b - a);
    for (const position of redundant(falling, this.#rooms.limits.snapshots.keep))
      if (position !== journal) ops.push(...this.#removeAll(task, position));
    await this.#rooms.lmdb.write(ops);
    this.#rooms.telemetry.count('snapshots', { task });
  }

  newest(task: string, atMost = LAST - 1): Snapshot | null {
    for (const position of this.#positions(task).reverse()) {
      if (position > atMost) continue;
      try {
        return this.#read(task, position);
      } catch (error) {
        tellDamage(this.#rooms, error, 'snapshots');
      }
    }
    return null;
  }

  #read(task: string, journal: number): Snapshot {
    const value = (part: number): Buffer => {
      const found = glance(this.#rooms.tables.snapshots, nameKey(task, journal, part));
      if (!found) throw new SluiceError('STORE_CORRUPT', 'a part of a snapshot is missing');
      return Buffer.from(found);
    };
    const head = new ByteReader(value(0));
    head.skip();
    const [labels, at] = [head.f64(), head.f64()];
    const parts: Record<string, Uint8Array> = {};
    const count = head.u32();
    for (let i = 1; i <= count; i++) parts[head.text()] = new ByteReader(value(i)).bytes();
    return { task, journal, labels, at, parts };
  }

  async dropAfter(task: string, seq: number): Promise<void> {
    demandGateway(this.#rooms);
    const later = this.#positions(task).filter((position) => position > seq);
    if (later.length > 0) await this.#rooms.lmdb.write(later.flatMap((each) => this.#removeAll(task, each)));
  }

  oldest(task: string): number {
    return this.#isWhole(task) ? 0 : (this.#positions(task)[0] ?? 0);
  }

  newestPosition(task: string): number {
    return this.#positions(task).at(-1) ?? 0;
  }

  dropBefore(task: string, seq: number): Op[] {
    return this.#positions(task)
      .filter((position) => position < seq)
      .flatMap((each) => this.#removeAll(task, each));
  }

  /** Rising. Few: the newest and `keep` older ones. */
  #positions(task: string): number[] {
    const range = { start: nameKey(task, 0, 0), end: nameKey(task, LAST, LAST) };
    const all = [...this.#rooms.tables.snapshots.getKeys(range)].map(positionOf);
    return [...new Set(all)];
  }

  #removeAll(task: string, journal: number): Op[] {
    const { snapshots } = this.#rooms.tables;
    const range = { start: nameKey(task, journal, 0), end: nameKey(task, journal, LAST) };
    return [...snapshots.getKeys(range)].map((key) => ({
      table: snapshots,
      key: Buffer.from(key),
      value: null,
    }));
  }
}
