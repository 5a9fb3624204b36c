/**
 * Models as of a journal position. A head under [task, journal, 0] names the parts, which lie beside it; one
 * transaction writes them all. Besides the newest, a few older ones stay, geometrically spaced in seq: recent
 * labels are taken back more often, and replaying from far back costs little more than from the middle.
 * A snapshot with a damaged part is stepped over for the one before it.
 *
 * What is decided here is decided on memory, which knows its own writes under way: a snapshot counts (for `newest`,
 * `oldest` and what the journal may prune) from when it is on disk until it is given up, however long its removal
 * takes. So at every instant, and after a kill at any, what the journal still holds and a snapshot on disk give
 * everything back.
 */
import type { Snapshot, Snapshots as SnapshotsPart } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { ByteReader, ByteWriter } from './codec.ts';
import { glance, LAST, nameKey, numberOf, type Op } from './database.ts';
import { demandGateway, type Rooms, tellDamage } from './room.ts';

/** What the journal needs of this room. */
export interface SnapshotRoom {
  /** Journal position of the newest snapshot that is on disk and stays there, 0 where there is none. */
  newestPosition(task: string): number;
  /** Gives up the snapshots with journal < seq, by ops that must be written in this turn. */
  dropBefore(task: string, seq: number): Op[];
}

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

/** A snapshot that is kept: how many keys it has (head and parts), and whether it has reached the disk. */
interface Held {
  readonly keys: number;
  durable: boolean;
}

export class Snapshots implements SnapshotsPart, SnapshotRoom {
  readonly #rooms: Rooms;
  /** By the digest of the task (the first 16 bytes of a key), then by journal position. What is being removed is not in it any more. */
  #held = new Map<string, Map<number, Held>>();
  /** The last removal of a task, on its way to disk or there. */
  readonly #drops = new Map<string, Promise<void>>();
  #isWhole: (task: string) => boolean = () => true;

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
    rooms.lmdb.onFailure(() => this.#load());
    this.#load();
  }

  /** The journal is built after this room and says whether it is whole. */
  asks(isWhole: (task: string) => boolean): void {
    this.#isWhole = isWhole;
  }

  async save(snapshot: Snapshot, options: { readonly alone?: boolean } = {}): Promise<void> {
    demandGateway(this.#rooms);
    const { task, journal, parts } = snapshot;
    const { lmdb, tables, telemetry } = this.#rooms;
    const held = this.#of(task);
    const before = held.get(journal);
    const names = Object.keys(parts);
    const head = new ByteWriter().text(task).f64(snapshot.labels).f64(snapshot.at).u32(names.length);
    for (const name of names) head.text(name);
    const values = [head.seal(), ...names.map((name) => new ByteWriter().bytes(parts[name]).seal())];
    const ops = before ? this.#removal(task, journal, before) : [];
    values.forEach((value, i) => {
      ops.push({ table: tables.snapshots, key: nameKey(task, journal, i), value });
    });
    const entry: Held = { keys: values.length, durable: before?.durable ?? false };
    held.set(journal, entry);
    await lmdb.write(ops);
    telemetry.count('snapshots', { task });
    if (held.get(journal) !== entry) return; // given up meanwhile, or saved again
    entry.durable = true;
    await this.#thin(task, journal, options.alone ? 0 : this.#rooms.limits.snapshots.keep);
  }

  /**
   * Gives up older ones, only now: until the new one was on disk the old ones were all there was. Where it fails
   * the store says so, and the next save tries again; the snapshot itself is safe.
   */
  async #thin(task: string, saved: number, keep: number): Promise<void> {
    const falling = this.#positions(task).reverse();
    const others = keep === 0 ? falling : redundant(falling, keep);
    const gone = others.filter((each) => each !== saved);
    if (gone.length > 0) await this.#drop(task, gone).catch(() => {});
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
    const oldest = this.oldest(task);
    if (seq < oldest) {
      const text = `labels of ${task} up to ${oldest} lie in its oldest snapshot alone; it cannot be dropped`;
      throw new SluiceError('FEEDBACK_TOO_OLD', text);
    }
    const later = [...this.#of(task).keys()].filter((position) => position > seq);
    // Where another call gave them up already, this one too resolves only when they are gone.
    await (later.length > 0 ? this.#drop(task, later) : this.#drops.get(digestOf(task)));
  }

  oldest(task: string): number {
    return this.#isWhole(task) ? 0 : (this.#positions(task)[0] ?? 0);
  }

  newestPosition(task: string): number {
    return this.#positions(task).at(-1) ?? 0;
  }

  dropBefore(task: string, seq: number): Op[] {
    return this.#giveUp(
      task,
      [...this.#of(task).keys()].filter((position) => position < seq),
    );
  }

  /** Those that are on disk to stay, rising. Few: the newest and `keep` older ones. */
  #positions(task: string): number[] {
    return [...this.#of(task)]
      .filter(([, { durable }]) => durable)
      .map(([position]) => position)
      .sort((a, b) => a - b);
  }

  #drop(task: string, positions: readonly number[]): Promise<void> {
    const dropped = this.#rooms.lmdb.write(this.#giveUp(task, positions));
    this.#drops.set(digestOf(task), dropped);
    return dropped;
  }

  /** Takes positions out of memory at once; the ops follow, in the order of writes, whatever put them on disk. */
  #giveUp(task: string, positions: readonly number[]): Op[] {
    const held = this.#of(task);
    return positions.flatMap((position) => {
      const entry = held.get(position);
      held.delete(position);
      return entry ? this.#removal(task, position, entry) : [];
    });
  }

  #removal(task: string, journal: number, { keys }: Held): Op[] {
    const table = this.#rooms.tables.snapshots;
    return Array.from({ length: keys }, (_, part) => ({
      table,
      key: nameKey(task, journal, part),
      value: null,
    }));
  }

  /** A tool looks at the disk each time: the gateway beside it goes on. */
  #of(task: string): Map<number, Held> {
    if (this.#rooms.tool) this.#load();
    const digest = digestOf(task);
    let held = this.#held.get(digest);
    if (!held) {
      held = new Map();
      this.#held.set(digest, held);
    }
    return held;
  }

  #load(): void {
    this.#held = new Map();
    this.#drops.clear();
    for (const key of this.#rooms.tables.snapshots.keys()) {
      const digest = key.toString('latin1', 0, 16);
      const held = this.#held.get(digest) ?? new Map<number, Held>();
      held.set(numberOf(key, 24), { keys: numberOf(key) + 1, durable: true }); // parts rise: the last one counts
      this.#held.set(digest, held);
    }
  }
}

const digestOf = (task: string): string => nameKey(task).toString('latin1');
