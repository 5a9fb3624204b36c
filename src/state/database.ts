/**
 * The lmdb environment and the one way to write to it.
 *
 * Durable: lmdb-js by default (`overlappingSync`) resolves a write when it is visible, and only `db.flushed`
 * says that it is on disk. Here that option is off, so that LMDB itself syncs data and head page inside the
 * commit (fdatasync, then an O_DSYNC write) and the promise of a commit means: survives power loss.
 *
 * Grouped: one transaction is under way at a time; whatever is written meanwhile shares the next one, so that
 * a thousand waiting acknowledgements cost one sync. Operations are plain data with keys of fixed form and
 * nothing in them can throw half-way, so that a group is all or nothing.
 *
 * When a commit fails, everything that was waiting behind it is rejected too (it may have been built on what
 * just failed), and the rooms read their state again from disk. The next success makes the store healthy.
 */
import { createHash } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { open, type RootDatabase } from 'lmdb';
import type { Health } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import { type Op, Table } from './table.ts';

export { glance, type Op, type Table } from './table.ts';

/** Of a gateway's store. A store that lacks one gets it when it is opened. */
export const STORE_TABLES = [
  'meta',
  'chunks',
  'segments',
  'journal',
  'labels',
  'snapshots',
  'waiting',
  'outbox',
  'dead',
  'marks',
] as const;
/** Of a hub's pool. */
export const POOL_TABLES = ['meta', 'rows', 'cells', 'names', 'sites'] as const;
export type StoreTable = (typeof STORE_TABLES)[number];
export type PoolTable = (typeof POOL_TABLES)[number];
export type Tables<N extends string = StoreTable> = Readonly<Record<N, Table>>;

/** Bounds the dirty pages of one transaction, which LMDB keeps in memory. */
const GROUP_BYTES = 32 * 1024 ** 2;
const GROUP_OPS = 20_000;
/**
 * LMDB is kept away from a full disk: its error path has been seen to damage the process's heap when commits fail
 * again and again. So the room is looked at before each group, and after a failure nothing is tried for a while.
 */
const SPARE_BYTES = 4 * 1024 ** 2;
const REST_MS = 1_000;
/** A commit that takes longer than this has hung: the disk, or lmdb-js after a panic of LMDB. */
const STALL_MS = 60_000;

/** ENOSPC, EFBIG, EDQUOT, MDB_MAP_FULL, MDB_TXN_FULL */
const FULL_CODES = new Set([28, 27, 122, -30792, -30788]);

function asStoreError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const code = (error as { code?: unknown } | null)?.code;
  const full =
    (typeof code === 'number' && FULL_CODES.has(code)) || /no space|file too large|MAP_FULL/i.test(text);
  return new SluiceError(full ? 'STORE_FULL' : 'STORE_FAILED', text, { cause: error });
}

interface Group {
  readonly ops: Op[];
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: SluiceError) => void;
  bytes: number;
}

function newGroup(): Group {
  let resolve: () => void = () => {};
  let reject: (error: SluiceError) => void = () => {};
  const done = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  done.catch(() => {}); // whoever waits is told; a write that nobody waits for must not end the process
  return { ops: [], done, resolve, reject, bytes: 0 };
}

/** What lmdb-js rejects with: the reason comes later, in a promise of its own that must not stay unhandled. */
async function reasonOf(error: unknown): Promise<unknown> {
  const later = (error as { commitError?: Promise<unknown> } | null)?.commitError;
  if (!later) return error;
  const wait = new Promise((resolve) => setTimeout(resolve, 1_000, error).unref());
  return Promise.race([later.catch((reason: unknown) => reason), wait]);
}

export class Lmdb<N extends string = StoreTable> {
  readonly tables: Tables<N>;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #telemetry: Telemetry;
  readonly #reloads: (() => void)[] = [];
  #groups: Group[] = [];
  #running: Promise<void> | null = null;
  #runningSince = 0;
  #restUntil = 0;
  readonly #folder: string;
  #failure: SluiceError | null = null;
  /** Why nothing is written any more. */
  #closed: SluiceError | null = null;
  /** True from the call of `close`: nothing is read any more either. */
  #closing = false;

  constructor(folder: string, mapSize: number, telemetry: Telemetry, names: readonly N[]) {
    this.#telemetry = telemetry;
    this.#folder = folder;
    // permissionsMode is an option of lmdb-js that its types do not name. With eventTurnBatching on, lmdb-js
    // opens a batch of its own around ours, whose promise nobody holds: a failed commit would end the process.
    const durable = { overlappingSync: false, eventTurnBatching: false };
    const options = { ...durable, maxDbs: 16, mapSize, noSubdir: false, permissionsMode: 0o600 };
    this.#root = open<Buffer, Buffer>(folder, options);
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;
    const demandOpen = () => this.demandOpen();
    const table = (name: N) =>
      [name, new Table(this.#root.openDB<Buffer, Buffer>({ name, ...binary }), demandOpen)] as const;
    this.tables = Object.fromEntries(names.map(table)) as Record<N, Table>;
  }

  /** Called after a failed commit, before anyone is told, to forget what is not on disk. */
  onFailure(reload: () => void): void {
    this.#reloads.push(reload);
  }

  /** Resolves when all ops are on disk, together. Rejects with STORE_FULL or STORE_FAILED, none of them done. */
  write(ops: readonly Op[]): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    let group = this.#groups.at(-1);
    if (!group || group.bytes > GROUP_BYTES || group.ops.length > GROUP_OPS) {
      group = newGroup();
      this.#groups.push(group);
    }
    for (const op of ops) {
      group.ops.push(op);
      group.bytes += op.value?.length ?? 0;
    }
    this.#running ??= this.#run();
    return group.done;
  }

  async #run(): Promise<void> {
    // One turn of the event loop, so that everything written in this turn shares the first transaction.
    await new Promise((resolve) => setImmediate(resolve));
    for (let group = this.#groups.shift(); group; group = this.#groups.shift()) {
      this.#runningSince = performance.now();
      try {
        this.#demandRoom(group.bytes);
        await this.#commit(group.ops);
        this.#failure = null;
        group.resolve();
      } catch (error) {
        this.#fail(asStoreError(await reasonOf(error)), group);
      }
    }
    this.#runningSince = 0;
    this.#running = null;
  }

  /** Throws STORE_FULL where the disk has not clearly enough room for so many bytes, or has just failed. */
  #demandRoom(bytes: number): void {
    if (performance.now() < this.#restUntil && this.#failure) throw this.#failure;
    const { bavail, bsize } = statfsSync(this.#folder);
    if (bavail * bsize > 2 * bytes + SPARE_BYTES) return;
    throw new SluiceError(
      'STORE_FULL',
      `the disk of ${this.#folder} is full: ${bavail * bsize} bytes are free`,
    );
  }

  async #commit(ops: readonly Op[]): Promise<void> {
    const written = this.#root.batch(() => {
      for (const { table, key, value } of ops) table.set(key, value);
    });
    let timer: NodeJS.Timeout | undefined;
    const stalled = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#stall()), STALL_MS);
      timer.unref();
    });
    try {
      await Promise.race([written, stalled]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** After this the state of lmdb-js is unknown: nothing is written any more. */
  #stall(): SluiceError {
    this.#closed = new SluiceError('STORE_FAILED', `a commit has not returned for ${STALL_MS / 1000} s`);
    return this.#closed;
  }

  #fail(error: SluiceError, group: Group): void {
    if (error.code === 'STORE_FULL' && performance.now() >= this.#restUntil)
      this.#restUntil = performance.now() + REST_MS;
    this.#failure = error;
    const waiting = [group, ...this.#groups];
    this.#groups = [];
    this.#telemetry.count('store_failed', {}, 1, { code: error.code, reason: error.message });
    for (const reload of this.#closing ? [] : this.#reloads) {
      try {
        reload();
      } catch (cause) {
        this.#closed = new SluiceError('STORE_FAILED', 'the store cannot be read again', { cause });
      }
    }
    for (const each of waiting) each.reject(error);
  }

  health(): Health {
    const failure = this.#closed ?? this.#failure;
    if (failure) return { ok: false, reason: `${failure.code}: ${failure.message}` };
    const ms = this.#runningSince > 0 ? performance.now() - this.#runningSince : 0;
    return ms > STALL_MS / 4
      ? { ok: false, reason: `a commit takes ${Math.round(ms / 1000)} s` }
      : { ok: true };
  }

  /** Throws once the store is closed or cannot go on. */
  demand(): void {
    if (this.#closed) throw this.#closed;
  }

  get failed(): boolean {
    return this.#failure !== null;
  }

  /** Throws from the call of `close` on. */
  demandOpen(): void {
    if (this.#closing) throw isClosed();
  }

  get closing(): boolean {
    return this.#closing;
  }

  /** What is under way still lands; from here on nothing is read, and nothing more is written. */
  async close(): Promise<void> {
    const stalled = this.#closed !== null;
    this.#closed ??= isClosed();
    this.#closing = true;
    while (this.#running) await this.#running;
    // lmdb-js gives its read transaction back in a timer of the turn of the last read: that comes before this one.
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (!stalled) await this.#root.close(); // else it would wait for ever
  }
}

const isClosed = () => new SluiceError('STORE_FAILED', 'the store is closed');

// ---------------------------------------------------------------- keys

const digests = new Map<string, Buffer>();

function digest(name: string): Buffer {
  let found = digests.get(name);
  if (!found) {
    if (digests.size > 1_000) digests.clear();
    found = createHash('sha256').update(name).digest().subarray(0, 16);
    digests.set(name, found);
  }
  return found;
}

/** Names become digests, so that every key has a fixed form and none can be too long or hold a NUL. */
export function nameKey(name: string, ...numbers: readonly number[]): Buffer {
  const key = Buffer.allocUnsafe(16 + 8 * numbers.length);
  digest(name).copy(key);
  numbers.forEach((n, i) => {
    putNumber(key, 16 + 8 * i, n);
  });
  return key;
}

export function numberKey(...numbers: readonly number[]): Buffer {
  const key = Buffer.allocUnsafe(8 * numbers.length);
  numbers.forEach((n, i) => {
    putNumber(key, 8 * i, n);
  });
  return key;
}

/** Big-endian, so that keys sort as their numbers do. */
function putNumber(key: Buffer, at: number, n: number): void {
  key.writeUInt32BE(Math.floor(n / 0x1_0000_0000), at);
  key.writeUInt32BE(n >>> 0, at + 4);
}

/** The number of a key that ends at `end` bytes (default: its end). */
export function numberOf(key: Buffer, end = key.length): number {
  return key.readUInt32BE(end - 8) * 0x1_0000_0000 + key.readUInt32BE(end - 4);
}

/** Above every number that is used. */
export const LAST = Number.MAX_SAFE_INTEGER;

/** What a page of disk costs a value: beyond half a page LMDB gives it whole pages of its own. */
export function costOf(bytes: number): number {
  return bytes > 2_000 ? Math.ceil((bytes + 24) / 4096) * 4096 : bytes + 24;
}
