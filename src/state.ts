/**
 * The one store of a gateway, on lmdb: join store, journal, snapshots, waiting feedback, outbox, dead letters, cursors.
 * What a promise of it calls done is on disk and survives SIGKILL and power loss. One gateway per folder, by
 * lock; a tool may stand beside it. A store that is damaged is set aside before anything maps it, and a fresh
 * one begun, loudly; one written by a newer version is refused. Disk full and failed writes reject, and show
 * in `health` until a write succeeds; they never end the process.
 *
 * Folder: `data.mdb` and `lock.mdb` (LMDB's), `lock-<n>` (ours, see state/lock.ts).
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Clock, Health, Store } from './contract.ts';
import { asSluiceError, SluiceError } from './errors.ts';
import { Cursors } from './state/cursors.ts';
import { STORE_TABLES } from './state/database.ts';
import { Dead } from './state/dead.ts';
import { Join } from './state/join.ts';
import { Journal } from './state/journal.ts';
import { holder, type StoreLock, takeLock } from './state/lock.ts';
import { openSafely } from './state/open.ts';
import type { StoreLimits } from './state/options.ts';
import { Outbox } from './state/outbox.ts';
import type { Rooms } from './state/room.ts';
import { Snapshots } from './state/snapshots.ts';
import { readVersion } from './state/version.ts';
import { Waiting } from './state/waiting.ts';
import type { Telemetry } from './telemetry.ts';

export { type StoreLimits, type StoreOptions, storeOptions } from './state/options.ts';

export interface OpenStore {
  readonly path: string;
  readonly limits: StoreLimits;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** `privacy.key`, under which dead letters are encrypted. */
  readonly key?: string;
  /** gateway (default): takes the lock. tool: reads, and marks dead letters, beside a gateway or without one. */
  readonly mode?: 'gateway' | 'tool';
}

/**
 * Throws STORE_LOCKED, STORE_VERSION, STORE_FAILED, CONFIG_INVALID; for a tool also INPUT_NOT_FOUND and STORE_CORRUPT, since it
 * neither makes a store nor sets one aside.
 */
export async function openStore(options: OpenStore): Promise<Store> {
  const folder = resolve(options.path);
  const tool = options.mode === 'tool';
  if (tool && !existsSync(join(folder, 'data.mdb')))
    throw new SluiceError('INPUT_NOT_FOUND', `there is no store in ${folder}`);
  let lock: StoreLock | null = null;
  try {
    if (!tool) mkdirSync(folder, { recursive: true, mode: 0o700 });
    lock = tool ? null : await takeLock(folder);
    const alone = !tool || (await holder(folder)) === null;
    const { limits, clock, telemetry, key } = options;
    const bytes = limits.join.bytes + limits.outbox.bytes + limits.dead.bytes + limits.journal.bytes;
    return await openSafely(
      folder,
      { tables: STORE_TABLES, bytes, clock, telemetry },
      { tool, alone },
      (ground) => build({ ...ground, limits }, lock, key),
    );
  } catch (error) {
    await lock?.release();
    throw asSluiceError(error, 'STORE_FAILED');
  }
}

function build(rooms: Rooms, lock: StoreLock | null, key: string | undefined): Store {
  const { lmdb } = rooms;
  const snapshots = new Snapshots(rooms);
  const journal = new Journal(rooms, snapshots);
  snapshots.asks((task) => journal.isWhole(task));
  const joins = new Join(rooms);
  const waiting = new Waiting(rooms);
  const outbox = new Outbox(rooms);
  const dead = new Dead(rooms, key);
  const cursors = new Cursors(rooms);
  let closing: Promise<void> | null = null;
  const health = (): Health => {
    const disk = lmdb.health();
    if (!disk.ok) return disk;
    return outbox.full ? { ok: false, reason: 'STORE_FULL: the outbox is at its limit' } : disk;
  };
  const sweep = async (): Promise<void> => {
    if (rooms.tool) return;
    for (const room of [joins, journal, outbox, dead, waiting]) await room.sweep();
    if (lmdb.failed) await lmdb.write([readVersion(rooms.tables).op]); // is the disk back?
  };
  const shut = async (): Promise<void> => {
    await lmdb.close();
    await lock?.release();
  };
  const close = (): Promise<void> => {
    closing ??= shut();
    return closing;
  };
  return { join: joins, journal, snapshots, waiting, outbox, dead, cursors, sweep, health, close };
}
