/**
 * The hub's store of labelled rows, and of what the hub itself must remember. One row for each (site, task,
 * event): the highest seq stays, whatever comes late or twice. What a promise of it calls done is on disk and
 * survives SIGKILL. Oldest out by age, bytes and number; one hub per folder, by lock. A damaged store is set
 * aside and a fresh one begun.
 *
 * A pool that began empty is `fresh` until `filled` is called, over restarts too: whoever opens it lets the
 * source of rows begin at the oldest that its broker still has, and calls `filled` once it has caught up. What
 * is taken twice on the way is a duplicate. MQTT keeps no rows: there a lost pool fills with what comes.
 */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Clock, Health, LabelledRow } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import { ByteReader, ByteWriter, wellFormed } from './codec.ts';
import { LAST, nameKey, numberOf, POOL_TABLES, type PoolTable } from './database.ts';
import { type StoreLock, takeLock } from './lock.ts';
import { openSafely } from './open.ts';
import { Draft, type PoolState, type Put, readState } from './pool/draft.ts';
import { cellsAt, type GatherOptions, gather, headAt, headsOf, type PoolSet } from './pool/gather.ts';
import type { PoolHead } from './pool/record.ts';
import { type Ground, metaOp, readMeta, SLICE } from './room.ts';

export type { GatherOptions, PoolSet } from './pool/gather.ts';
export type { PoolHead } from './pool/record.ts';

export interface PoolLimits {
  /** Records, withdrawals included; default 1,000,000: a look over all of them takes seconds. */
  readonly rows?: number;
  readonly bytes: number;
  /** ms since arrival. */
  readonly age: number;
}

export interface OpenPool {
  readonly path: string;
  readonly limits: PoolLimits;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** `refused`: too large, or of a site too many. */
export type PutResult = Readonly<Record<Put, number>>;

/** A row as it was put, and its place. A withdrawal has label -1 and an empty row. */
export interface PoolRow extends LabelledRow {
  readonly position: number;
  /** Nothing was known of its event before: no label, no withdrawal. */
  readonly first: boolean;
}

export interface PoolCounts {
  readonly rows: number;
  /** Newest `time` among them, ms; 0 where there are none. */
  readonly newest: number;
  /** By label index. */
  readonly byLabel: ReadonlyMap<number, number>;
  /** By `site/device`. */
  readonly byDevice: ReadonlyMap<string, number>;
  readonly byOrigin: ReadonlyMap<string, number>;
}

export type Forgotten =
  | { readonly task: string; readonly event: string }
  | { readonly site: string; readonly device: string }
  | { readonly origin: string };

const DEFAULT_ROWS = 1_000_000;
/** A page of `read` ends with the row that passes it. */
const PAGE_BYTES = 32 * 1024 ** 2;
const FILLED = 'pool filled';

/** Throws STORE_LOCKED, STORE_VERSION, STORE_FAILED. */
export async function openPool(options: OpenPool): Promise<Pool> {
  const folder = resolve(options.path);
  const { limits, clock, telemetry } = options;
  let lock: StoreLock | null = null;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const held = await takeLock(folder);
    lock = held;
    const context = { tables: POOL_TABLES, bytes: limits.bytes, clock, telemetry };
    return await openSafely(
      folder,
      context,
      { tool: false, alone: true },
      (ground) => new Pool(ground, limits, held),
    );
  } catch (error) {
    await lock?.release();
    throw asSluiceError(error, 'STORE_FAILED');
  }
}

export class Pool {
  readonly #ground: Ground<PoolTable>;
  readonly #limits: PoolLimits;
  readonly #lock: StoreLock;
  #state: PoolState;
  #fresh: boolean;
  /** One change at a time: what it looks up must not move before it is written. */
  #turn: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | null = null;

  /** Use `openPool`. */
  constructor(ground: Ground<PoolTable>, limits: PoolLimits, lock: StoreLock) {
    this.#ground = ground;
    this.#limits = limits;
    this.#lock = lock;
    this.#state = readState(ground);
    this.#fresh = readMeta(ground, FILLED) === null;
  }

  /** Whether the rows that the broker still has should be read again from the start. */
  get fresh(): boolean {
    return this.#fresh;
  }

  /** Durable when it resolves: `fresh` no more. */
  async filled(): Promise<void> {
    await this.#ground.lmdb.write([metaOp(this.#ground, FILLED, new ByteWriter().u8(1).seal())]);
    this.#fresh = false;
  }

  // ---- rows

  /** Durable when it resolves. Rejects with STORE_*, none of the rows taken. */
  put(rows: readonly LabelledRow[]): Promise<PutResult> {
    return this.#change((draft) => {
      const result = { added: 0, duplicates: 0, corrected: 0, withdrawn: 0, refused: 0 };
      for (const row of rows) result[draft.put(row)] += 1;
      return result;
    });
  }

  /**
   * Rows and withdrawals of a task that arrived after a position, in order of arrival; a corrected row stands where
   * the correction arrived. `through` is the last position looked at, `after` at the end.
   */
  read(task: string, after: number, limit: number): { readonly rows: PoolRow[]; readonly through: number } {
    const range = { start: nameKey(wellFormed(task), after + 1), end: nameKey(wellFormed(task), LAST) };
    const rows: PoolRow[] = [];
    let through = after;
    let bytes = 0;
    for (const key of this.#ground.tables.rows.keys({ ...range, limit: Math.max(1, limit) })) {
      if (bytes > PAGE_BYTES) break;
      through = numberOf(key);
      const row = this.#rowAt(wellFormed(task), through);
      if (!row) continue;
      rows.push(row);
      bytes += row.rows.indices.length * 8;
    }
    return { rows, through };
  }

  #rowAt(task: string, position: number): PoolRow | null {
    const head = headAt(this.#ground, task, position);
    if (!head) return null;
    const { storedAt: _, time: __, cells: ___, bytes: ____, denseDims, ...row } = head;
    if (head.label < 0) return { ...row, rows: noRow(denseDims), scores: new Float32Array(0) };
    const cells = cellsAt(this.#ground, position);
    return cells ? { ...row, ...cells } : null;
  }

  /** Rows to train and test on, oldest to newest; the newest where not all fit. */
  set(task: string, options: GatherOptions): Promise<PoolSet> {
    return gather(this.#ground, wellFormed(task), options);
  }

  // ---- numbers

  /** By site the highest seq that was ever put, as of the same moment as `position`. */
  through(task: string): Record<string, number> {
    return Object.fromEntries(this.#state.sites.get(wellFormed(task)) ?? []);
  }

  /** Labelled rows held. */
  count(task: string): number {
    return this.#state.tasks.get(wellFormed(task))?.rows ?? 0;
  }

  /** Labelled rows ever taken, corrections included: only rises, so that a difference says what is new. */
  arrived(task: string): number {
    return this.#state.tasks.get(wellFormed(task))?.arrived ?? 0;
  }

  /** The last position given. */
  get position(): number {
    return this.#state.next - 1;
  }

  get bytes(): number {
    return this.#state.bytes;
  }

  /** Counts of labelled rows after a position and not before a time (ms). Looks at every head in question. */
  async counts(
    task: string,
    { after = 0, since = Number.NEGATIVE_INFINITY }: { after?: number; since?: number } = {},
  ): Promise<PoolCounts> {
    const byLabel = new Map<number, number>();
    const byDevice = new Map<string, number>();
    const byOrigin = new Map<string, number>();
    let rows = 0;
    let newest = 0;
    for await (const heads of headsOf(this.#ground, wellFormed(task), after))
      for (const { label, site, device, origin, time } of heads) {
        if (label < 0 || time < since) continue;
        rows += 1;
        newest = Math.max(newest, time);
        increase(byLabel, label);
        increase(byDevice, `${site}/${device}`);
        increase(byOrigin, origin);
      }
    return { rows, newest, byLabel, byDevice, byOrigin };
  }

  // ---- going

  /**
   * Takes rows out, durably when it resolves to how many. Their site, event and seq stay until they age out, so
   * that the same labels delivered again stay out; a later label enters.
   */
  forget(what: Forgotten): Promise<number> {
    return this.#inTurn(async () => {
      if ('event' in what) {
        const draft = new Draft(this.#ground, this.#state);
        const found = draft.find(wellFormed(what.task), wellFormed(what.event));
        const erased = found.filter((head) => draft.erase(head)).length;
        if (erased > 0) this.#state = await draft.commit();
        return erased;
      }
      const matches =
        'origin' in what
          ? (head: PoolHead) => head.origin === wellFormed(what.origin)
          : (head: PoolHead) =>
              head.site === wellFormed(what.site) && head.device === wellFormed(what.device);
      let erased = 0;
      for (const task of this.#state.tasks.keys())
        for await (const heads of headsOf(this.#ground, task)) {
          const draft = new Draft(this.#ground, this.#state);
          const now = heads.filter((head) => matches(head) && draft.erase(head)).length;
          if (now > 0) this.#state = await draft.commit();
          erased += now;
        }
      return erased;
    });
  }

  /** Drops the oldest while they are over the limits; called every minute or so. */
  sweep(): Promise<void> {
    return this.#inTurn(async () => {
      while (await this.#prune());
      // Is the disk back?
      if (this.#ground.lmdb.failed) this.#state = await new Draft(this.#ground, this.#state).commit();
    });
  }

  /** False where nothing was over. */
  async #prune(): Promise<boolean> {
    const { bytes, age, rows = DEFAULT_ROWS } = this.#limits;
    const before = this.#ground.clock.now() - age;
    const draft = new Draft(this.#ground, this.#state);
    let gone = 0;
    for (const { task, position } of this.#oldest()) {
      const head = headAt(this.#ground, task, position);
      const over = draft.bytes > bytes || draft.records > rows;
      if (head && !over && head.storedAt >= before) break;
      if (head) draft.remove(head);
      else draft.drop(task, position);
      gone += 1;
    }
    if (gone > 0) this.#state = await draft.commit();
    return gone > 0;
  }

  /** A slice of the oldest records of all tasks. */
  #oldest(): { readonly task: string; readonly position: number }[] {
    const { rows } = this.#ground.tables;
    const all = [...this.#state.tasks.keys()].flatMap((task) =>
      rows
        .keys({ start: nameKey(task, 0), end: nameKey(task, LAST), limit: SLICE })
        .map((key) => ({ task, position: numberOf(key) })),
    );
    return all.sort((a, b) => a.position - b.position).slice(0, SLICE);
  }

  // ---- what the hub remembers

  /** Durable when it resolves; of two calls the later one stays. null removes. */
  async saveState(key: string, text: string | null): Promise<void> {
    const value = text === null ? null : new ByteWriter().text(text).seal();
    const { tables, lmdb } = this.#ground;
    await lmdb.write([{ table: tables.meta, key: nameKey(`state ${key}`), value }]);
  }

  /** What was saved last and is on disk, or null. Throws STORE_CORRUPT. */
  readState(key: string): string | null {
    const value = readMeta(this.#ground, `state ${key}`);
    return value ? new ByteReader(Buffer.from(value)).text() : null;
  }

  health(): Health {
    return this.#ground.lmdb.health();
  }

  /** Ends what is under way, then closes. */
  close(): Promise<void> {
    this.#closing ??= this.#shut();
    return this.#closing;
  }

  async #shut(): Promise<void> {
    await this.#turn;
    await this.#ground.lmdb.close();
    await this.#lock.release();
  }

  #change<T>(make: (draft: Draft) => T): Promise<T> {
    return this.#inTurn(async () => {
      const draft = new Draft(this.#ground, this.#state);
      const result = make(draft);
      if (draft.changed) this.#state = await draft.commit();
      return result;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }
}

function noRow(denseDims: number): LabelledRow['rows'] {
  const none = { indices: new Uint32Array(0), values: new Float32Array(0) };
  return { count: 1, indptr: Uint32Array.of(0, 0), ...none, denseDims, dense: new Float32Array(denseDims) };
}

const increase = <K>(counts: Map<K, number>, key: K) => counts.set(key, (counts.get(key) ?? 0) + 1);
