/**
 * From a folder to an open environment that can be trusted. The file is proved sound before LMDB maps it
 * (check.ts), then opened, then its own records are read; what is damaged at any of these steps is moved to
 * `<folder>.damaged-<time>` and a fresh store begun. Nothing is ever deleted. A tool only reports.
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import { checkFile } from './check.ts';
import { Lmdb } from './database.ts';
import type { Ground } from './room.ts';
import { settleVersion } from './version.ts';

const DATA = 'data.mdb';
const FILES = [DATA, 'lock.mdb'];
const GiB = 1024 ** 3;

export interface OpenContext<N extends string> {
  readonly tables: readonly (N | 'meta')[];
  /** What its rooms may hold in all. */
  readonly bytes: number;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/**
 * Address space, not memory or disk: the map never moves, and the file can never outgrow it (STORE_FULL).
 * Twice the limits for pages in use by both, freed and not yet reused; 2 GiB for models and the rest.
 */
const mapSize = (bytes: number): number =>
  Math.ceil(Math.min(2 * bytes + 2 * GiB, 8_192 * GiB) / 65_536) * 65_536;

/**
 * `alone`: no gateway is writing, so that the pages stand still and can be walked. `build` reads the rooms'
 * records; what it throws closes the environment and, where it means damage, sets the store aside.
 */
export async function openSafely<N extends string, T>(
  folder: string,
  context: OpenContext<N>,
  mode: { readonly tool: boolean; readonly alone: boolean },
  build: (ground: Ground<N>) => T,
): Promise<T> {
  const data = join(folder, DATA);
  if (!existsSync(data)) return openOnce(folder, context, mode.tool, build);
  const checked = mode.alone ? checkFile(data) : { ok: true as const };
  if (checked.ok) {
    try {
      return await openOnce(folder, context, mode.tool, build);
    } catch (error) {
      const known = asSluiceError(error, 'STORE_FAILED');
      if (!looksDamaged(known)) throw known;
      report(folder, context, mode.tool, known.message);
    }
  } else report(folder, context, mode.tool, checked.reason);
  return openOnce(folder, context, mode.tool, build);
}

/** Ours, or LMDB's CORRUPTED, PAGE_NOTFOUND, INVALID, VERSION_MISMATCH, PANIC, BAD_… */
function looksDamaged(error: SluiceError): boolean {
  return (
    error.code === 'STORE_CORRUPT' ||
    /MDB_(CORRUPTED|PAGE_NOTFOUND|INVALID|VERSION|PANIC|BAD_|INCOMP)/.test(error.message)
  );
}

/** Sets the damaged store aside, loudly; a tool throws instead. */
function report(folder: string, context: OpenContext<string>, tool: boolean, reason: string): void {
  if (tool) throw new SluiceError('STORE_CORRUPT', `the store in ${folder} is damaged: ${reason}`);
  const aside = setAside(folder, context.clock.now());
  context.telemetry.count('store_set_aside', {}, 1, { reason, aside });
}

/** Moves LMDB's files; the lock stays where it is and keeps guarding the folder. */
function setAside(folder: string, now: number): string {
  const stem = `${folder}.damaged-${new Date(now).toISOString().replace(/[:.]/g, '-')}`;
  let aside = stem;
  for (let n = 2; existsSync(aside); n++) aside = `${stem}-${n}`;
  mkdirSync(aside, { mode: 0o700 });
  for (const file of FILES)
    if (existsSync(join(folder, file))) renameSync(join(folder, file), join(aside, file));
  return aside;
}

async function openOnce<N extends string, T>(
  folder: string,
  context: OpenContext<N>,
  tool: boolean,
  build: (ground: Ground<N>) => T,
): Promise<T> {
  const { tables, bytes, clock, telemetry } = context;
  const lmdb = new Lmdb(folder, mapSize(bytes), telemetry, tables);
  try {
    const { seed } = await settleVersion(lmdb, tool, clock.now());
    return build({ lmdb, tables: lmdb.tables, clock, telemetry, seed, tool });
  } catch (error) {
    await lmdb.close();
    throw error;
  }
}
