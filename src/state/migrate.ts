/**
 * Carries a store of an older format over to this version's, while no gateway runs: what the gateway itself would do at its
 * next start, for those who would rather see it done before. Refuses a store that a gateway holds, a damaged one (it is
 * left as it is) and one of a newer format.
 */
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SluiceError } from '../errors.ts';
import { Telemetry } from '../telemetry.ts';
import { checkFile } from './check.ts';
import { Lmdb } from './database.ts';
import { takeLock } from './lock.ts';
import { readVersion, settleVersion } from './version.ts';

/** The formats before and after; equal where there was nothing to do. */
export interface Migration {
  readonly from: number;
  readonly to: number;
}

/** Room for a copy of every page: a step is one transaction. */
const mapSize = (bytes: number): number => Math.ceil((2 * bytes + 1024 ** 3) / 65_536) * 65_536;

/** Throws INPUT_NOT_FOUND, STORE_LOCKED, STORE_CORRUPT, STORE_VERSION, STORE_FAILED. */
export async function migrate(path: string, now: number): Promise<Migration> {
  const folder = resolve(path);
  const data = join(folder, 'data.mdb');
  if (!existsSync(data)) throw new SluiceError('INPUT_NOT_FOUND', `there is no store in ${path}`);
  const lock = await takeLock(folder);
  try {
    const checked = checkFile(data);
    if (!checked.ok)
      throw new SluiceError('STORE_CORRUPT', `the store in ${path} is damaged: ${checked.reason}`);
    const telemetry = new Telemetry({ level: 'silent' });
    const lmdb = new Lmdb(folder, mapSize(statSync(data).size), telemetry, ['meta']);
    try {
      const { format: from } = readVersion(lmdb.tables);
      const { format: to } = await settleVersion(lmdb, false, now);
      return { from, to };
    } finally {
      await lmdb.close();
    }
  } finally {
    await lock.release();
  }
}
