/**
 * Dead letters: the original message with the reason; whole, encrypted, or only its digest (see letter.ts). A letter
 * that cannot be opened is listed with what stands in the open, refused to whoever asks for it, and never replayed.
 *
 * A tool may stand beside a running gateway. It writes nothing but marks (`replay`, `drop`), one key per
 * letter in a table of its own, so that the two never count over each other. A dropped letter is hidden at
 * once; the gateway erases it, with its own drops immediately, with a tool's at its next sweep or start.
 */
import type { DeadLetter, DeadLetters } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import { ByteReader, ByteWriter } from './codec.ts';
import { costOf, glance, numberKey, numberOf, type Op } from './database.ts';
import { encodeLetter, readHead, readLetter } from './letter.ts';
import { demandGateway, metaOp, type Rooms, readMeta, SLICE, tellDamage } from './room.ts';
import { Seal } from './sealing.ts';

const STATE = 'dead';
const [REPLAY, DROP] = [1, 2];

export class Dead implements DeadLetters {
  readonly #rooms: Rooms;
  readonly #seal: Seal | null;
  #next = 1;
  #bytes = 0;

  /** `secret` is the key of the configuration. Throws CONFIG_INVALID where letters are to be encrypted without one. */
  constructor(rooms: Rooms, secret: string | undefined) {
    this.#rooms = rooms;
    const { high, low } = rooms.seed;
    this.#seal =
      secret === undefined ? null : new Seal(secret, new Uint8Array(Uint32Array.of(high, low).buffer));
    if (rooms.limits.dead.keep === 'encrypted' && !this.#seal && !rooms.tool)
      throw new SluiceError('CONFIG_INVALID', 'store.dead.keep: encrypted needs privacy.key');
    rooms.lmdb.onFailure(() => this.#load());
    this.#load();
  }

  get bytes(): number {
    return this.#bytes;
  }

  async put(letters: readonly Omit<DeadLetter, 'id'>[]): Promise<string[]> {
    demandGateway(this.#rooms);
    if (letters.length === 0) return [];
    const { tables, limits, clock } = this.#rooms;
    const ops: Op[] = [];
    const ids = letters.map((letter) => {
      const number = this.#next++;
      const head = { storedAt: clock.now(), keep: limits.dead.keep };
      const value = encodeLetter(letter, number, head, this.#seal);
      this.#bytes += costOf(value.length);
      ops.push({ table: tables.dead, key: numberKey(number), value });
      return String(number);
    });
    ops.push(this.#stateOp());
    await this.#rooms.lmdb.write(ops);
    if (this.#bytes > limits.dead.bytes) await this.#prune();
    return ids;
  }

  list(options: { task?: string; limit?: number } = {}): DeadLetter[] {
    const limit = options.limit ?? 100;
    const letters: DeadLetter[] = [];
    for (let end = Number.MAX_SAFE_INTEGER; letters.length < limit; ) {
      const range = { start: numberKey(end), end: numberKey(0), reverse: true, limit: 256 };
      const keys = this.#rooms.tables.dead.keys(range);
      for (const key of keys) {
        end = numberOf(key) - 1;
        if (letters.length >= limit) break;
        const letter = this.#visible(String(numberOf(key))) && this.#glimpse(numberOf(key));
        if (letter && (options.task === undefined || letter.task === options.task)) letters.push(letter);
      }
      if (keys.length < 256) break;
    }
    return letters;
  }

  get(id: string): DeadLetter | null {
    const number = this.#visible(id);
    return number === null ? null : this.#read(number);
  }

  /** The number of a letter that is there and not dropped. */
  #visible(id: string): number | null {
    const number = /^[1-9]\d{0,15}$/.test(id) ? Number(id) : 0;
    if (number === 0 || this.#markOf(number) === DROP) return null;
    return this.#rooms.tables.dead.has(numberKey(number)) ? number : null;
  }

  #markOf(number: number): number {
    return glance(this.#rooms.tables.marks, numberKey(number))?.[0] ?? 0;
  }

  /** Throws DEAD_LOCKED, DEAD_ALTERED; null where the record is damaged. */
  #read(number: number): DeadLetter | null {
    const from = this.#open(number);
    return from && readLetter(from, number, this.#seal).open();
  }

  /** The letter, or what stands in the open of one that cannot be read; null where the record is damaged. */
  #glimpse(number: number): DeadLetter | null {
    const from = this.#open(number);
    if (!from) return null;
    const { outside, open } = readLetter(from, number, this.#seal);
    try {
      return open();
    } catch {
      return outside;
    }
  }

  #open(number: number): ByteReader | null {
    const value = glance(this.#rooms.tables.dead, numberKey(number));
    if (!value) return null;
    try {
      return new ByteReader(Buffer.from(value));
    } catch (error) {
      tellDamage(this.#rooms, error, 'dead letters');
      return null;
    }
  }

  async drop(ids: readonly string[]): Promise<number> {
    return this.#mark(ids, DROP, () => true);
  }

  /** A letter of which only a digest is kept cannot be replayed and is not marked. Throws DEAD_LOCKED, DEAD_ALTERED. */
  async markReplay(ids: readonly string[]): Promise<number> {
    return this.#mark(ids, REPLAY, (number) => {
      const from = this.#open(number);
      return from !== null && readHead(from).keep !== 'digest' && this.#read(number) !== null;
    });
  }

  async #mark(ids: readonly string[], mark: number, may: (number: number) => boolean): Promise<number> {
    const numbers = [...new Set(ids)]
      .map((id) => this.#visible(id))
      .filter((number) => number !== null)
      .filter(may);
    const { lmdb, tables } = this.#rooms;
    const value = Buffer.from([mark]);
    if (numbers.length > 0)
      await lmdb.write(numbers.map((number) => ({ table: tables.marks, key: numberKey(number), value })));
    if (mark === DROP && !this.#rooms.tool) await this.#eraseMarked();
    return numbers.length;
  }

  replays(limit: number): DeadLetter[] {
    const letters: DeadLetter[] = [];
    for (let start = 0; letters.length < limit; ) {
      const keys = this.#rooms.tables.marks.keys({ start: numberKey(start), limit: 256 });
      for (const number of keys.map((key) => numberOf(key))) {
        start = number + 1;
        const letter = this.#markOf(number) === REPLAY ? this.#readable(number) : null;
        if (letter && letters.length < limit) letters.push(letter);
      }
      if (keys.length < 256) break;
    }
    return letters;
  }

  /** Like #read; what cannot be opened is told and stepped over, so that it holds up no other. */
  #readable(number: number): DeadLetter | null {
    try {
      return this.#read(number);
    } catch (thrown) {
      this.#rooms.telemetry.error(asSluiceError(thrown, 'STORE_FAILED'), { letter: number });
      return null;
    }
  }

  // ---- erasing

  async sweep(): Promise<void> {
    await this.#eraseMarked();
    await this.#prune();
  }

  async #eraseMarked(): Promise<void> {
    const marked = this.#rooms.tables.marks.keys().map((key) => numberOf(key));
    await this.#erase(marked.filter((number) => this.#markOf(number) === DROP));
  }

  /** Over the limits, the oldest go, whatever their mark. */
  async #prune(): Promise<void> {
    const { limits, clock, tables } = this.#rooms;
    const before = clock.now() - limits.dead.age;
    for (;;) {
      const gone: number[] = [];
      let excess = this.#bytes - limits.dead.bytes;
      for (const key of tables.dead.keys({ limit: SLICE })) {
        const number = numberOf(key);
        const from = this.#open(number);
        if (from && excess <= 0 && readHead(from).storedAt >= before) break;
        excess -= this.#costOf(number);
        gone.push(number);
      }
      if (gone.length === 0) return;
      await this.#erase(gone);
    }
  }

  #costOf(number: number): number {
    const value = glance(this.#rooms.tables.dead, numberKey(number));
    return value ? costOf(value.length) : 0;
  }

  async #erase(numbers: readonly number[]): Promise<void> {
    const { tables, lmdb } = this.#rooms;
    for (let from = 0; from < numbers.length; from += SLICE) {
      const slice = [...new Set(numbers.slice(from, from + SLICE))];
      const ops: Op[] = [];
      for (const number of slice) {
        this.#bytes -= this.#costOf(number);
        for (const table of [tables.dead, tables.marks])
          ops.push({ table, key: numberKey(number), value: null });
      }
      await lmdb.write([...ops, this.#stateOp()]);
    }
  }

  #stateOp(): Op {
    return metaOp(this.#rooms, STATE, new ByteWriter().f64(this.#next).f64(this.#bytes).seal());
  }

  #load(): void {
    const value = readMeta(this.#rooms, STATE);
    const from = value ? new ByteReader(Buffer.from(value)) : null;
    this.#next = from?.f64() ?? 1;
    this.#bytes = from?.f64() ?? 0;
  }
}
