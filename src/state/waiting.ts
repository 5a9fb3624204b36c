/**
 * Feedback that came before its event. Bounded by count and age; memory holds, per waiting item, its number,
 * its task, its time and a 53-bit hash of each name, so that `find` costs a map lookup per name when nothing
 * waits under it. What gives way to the count limit, or to `sweep`, is counted in the next `expire`.
 */
import type { WaitingFeedback } from '../contract.ts';
import { ByteReader, ByteWriter, wellFormed } from './codec.ts';
import { glance, numberKey, numberOf, type Op } from './database.ts';
import { halves, hash, scoped } from './hash.ts';
import { demandGateway, type Rooms, tellDamage } from './room.ts';

const SLICE = 1_000;

interface Item {
  readonly number: number;
  readonly task: string;
  readonly at: number;
  readonly hashes: readonly number[];
}

type WaitingEntry = ReturnType<WaitingFeedback['entries']>[number];

export class Waiting implements WaitingFeedback {
  readonly #rooms: Rooms;
  /** In order of arrival. */
  readonly #items = new Map<number, Item>();
  readonly #byHash = new Map<number, Set<number>>();
  /** Not on disk yet. */
  readonly #fresh = new Map<number, Buffer>();
  #next = 1;
  /** Gone without being counted yet, by task. */
  #displaced = new Map<string, number>();

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
    rooms.lmdb.onFailure(() => this.#load());
    this.#load();
  }

  get size(): number {
    return this.#items.size;
  }

  async put(task: string, names: readonly string[], feedback: string, at: number): Promise<void> {
    demandGateway(this.#rooms);
    const number = this.#next++;
    const out = new ByteWriter().text(task).f64(at).text(feedback).u32(names.length);
    for (const name of names) out.text(name);
    const value = out.seal();
    this.#enter({ number, task, at, hashes: [...new Set(names.map((name) => this.#hash(task, name)))] });
    this.#fresh.set(number, value);
    const ops: Op[] = [{ table: this.#rooms.tables.waiting, key: numberKey(number), value }];
    for (const oldest of this.#items.values()) {
      if (this.#items.size <= this.#rooms.limits.waiting.count) break;
      this.#leave(oldest);
      this.#displace(oldest.task);
      ops.push(this.#removal(oldest.number));
    }
    await this.#rooms.lmdb.write(ops);
    this.#fresh.delete(number);
  }

  find(task: string, names: readonly string[]): { key: string; feedback: string }[] {
    if (this.#items.size === 0) return [];
    const numbers = new Set<number>();
    for (const name of names)
      for (const number of this.#byHash.get(this.#hash(task, name)) ?? []) numbers.add(number);
    if (numbers.size === 0) return [];
    const wanted = new Set(names.map(wellFormed));
    const found: { key: string; feedback: string }[] = [];
    for (const number of [...numbers].sort((a, b) => a - b)) {
      const feedback = this.#read(number, wellFormed(task), wanted);
      if (feedback !== null) found.push({ key: String(number), feedback });
    }
    return found;
  }

  entries(task: string, limit: number, after?: string): WaitingEntry[] {
    const wanted = wellFormed(task);
    const from = after === undefined ? 0 : Number(after);
    const page: WaitingEntry[] = [];
    for (const { number, task: of } of this.#items.values()) {
      if (page.length >= limit) break;
      if (number <= from || wellFormed(of) !== wanted) continue;
      const record = this.#record(number);
      if (record) page.push({ key: String(number), names: record.names, feedback: record.feedback });
    }
    return page;
  }

  /** The feedback, if its real names agree with the hash that led here. */
  #read(number: number, task: string, wanted: ReadonlySet<string>): string | null {
    const record = this.#record(number);
    return record?.task === task && record.names.some((name) => wanted.has(name)) ? record.feedback : null;
  }

  /** What is written, or on its way; null where it is damaged. */
  #record(number: number): (Omit<WaitingEntry, 'key'> & { readonly task: string }) | null {
    const value = this.#fresh.get(number) ?? glance(this.#rooms.tables.waiting, numberKey(number));
    if (!value) return null;
    try {
      const from = new ByteReader(Buffer.from(value));
      const task = from.text();
      from.f64();
      const feedback = from.text();
      const names: string[] = [];
      for (let left = from.u32(); left > 0; left--) names.push(from.text());
      return { task, names, feedback };
    } catch (error) {
      tellDamage(this.#rooms, error, 'waiting feedback');
      return null;
    }
  }

  async remove(keys: readonly string[]): Promise<void> {
    demandGateway(this.#rooms);
    const ops: Op[] = [];
    for (const key of keys) {
      const item = this.#items.get(Number(key));
      if (!item) continue;
      this.#leave(item);
      ops.push(this.#removal(item.number));
    }
    if (ops.length > 0) await this.#rooms.lmdb.write(ops);
  }

  async expire(before: number): Promise<ReadonlyMap<string, number>> {
    await this.#drop(before);
    const counts = this.#displaced;
    this.#displaced = new Map();
    return counts;
  }

  /** Drops what is too old; it is counted in the next `expire`. */
  async sweep(): Promise<void> {
    await this.#drop(this.#rooms.clock.now() - this.#rooms.limits.waiting.age);
  }

  async #drop(before: number): Promise<void> {
    demandGateway(this.#rooms);
    const old = [...this.#items.values()].filter(({ at }) => at < before);
    for (const item of old) this.#leave(item);
    if (old.length > 0) await this.#rooms.lmdb.write(old.map(({ number }) => this.#removal(number)));
    for (const { task } of old) this.#displace(task);
  }

  #displace(task: string): void {
    this.#displaced.set(task, (this.#displaced.get(task) ?? 0) + 1);
  }

  #removal(number: number): Op {
    return { table: this.#rooms.tables.waiting, key: numberKey(number), value: null };
  }

  #hash(task: string, name: string): number {
    hash(scoped(this.#rooms.seed, `waiting ${task}`), name);
    return halves.high * 0x20_0000 + (halves.low >>> 11);
  }

  #enter(item: Item): void {
    this.#items.set(item.number, item);
    for (const name of item.hashes) {
      const here = this.#byHash.get(name);
      if (here) here.add(item.number);
      else this.#byHash.set(name, new Set([item.number]));
    }
  }

  #leave(item: Item): void {
    this.#items.delete(item.number);
    for (const name of item.hashes) {
      const here = this.#byHash.get(name);
      here?.delete(item.number);
      if (here?.size === 0) this.#byHash.delete(name);
    }
  }

  #load(): void {
    this.#items.clear();
    this.#byHash.clear();
    this.#fresh.clear();
    const { waiting } = this.#rooms.tables;
    for (let start = 0; ; ) {
      const keys = waiting.keys({ start: numberKey(start), limit: SLICE });
      for (const key of keys) {
        start = numberOf(key) + 1;
        this.#reenter(numberOf(key));
      }
      if (keys.length < SLICE) break;
    }
  }

  #reenter(number: number): void {
    this.#next = Math.max(this.#next, number + 1);
    const value = glance(this.#rooms.tables.waiting, numberKey(number));
    if (!value) return;
    try {
      const from = new ByteReader(Buffer.from(value));
      const [task, at] = [from.text(), from.f64()];
      from.skip();
      const hashes = new Set<number>();
      for (let left = from.u32(); left > 0; left--) hashes.add(this.#hash(task, from.text()));
      this.#enter({ number, task, at, hashes: [...hashes] });
    } catch (error) {
      tellDamage(this.#rooms, error, 'waiting feedback');
    }
  }
}
