/**
 * What the store says of itself: its format, the seed of its hashes, when it was begun. A store of a newer
 * format is refused (STORE_VERSION); an older one is carried over, one step a transaction.
 */
import { randomBytes } from 'node:crypto';
import { SluiceError } from '../errors.ts';
import { ByteReader, ByteWriter } from './codec.ts';
import { glance, type Lmdb, nameKey, type Op, type Tables } from './database.ts';
import type { HashSeed } from './hash.ts';

/** Raise by one with each change of what lies on disk, and add the step to `steps`. */
export const FORMAT = 1;

/** steps[n] gives what carries a store from format n to n + 1. */
const steps: Readonly<Record<number, (tables: Tables<'meta'>) => Op[]>> = {};

export interface Version {
  readonly format: number;
  readonly seed: HashSeed;
  readonly begunAt: number;
  /** Writes this version as it is. */
  readonly op: Op;
}

const KEY = 'version';

function version(tables: Tables<'meta'>, format: number, seed: HashSeed, begunAt: number): Version {
  const value = new ByteWriter().u32(format).u32(seed.high).u32(seed.low).f64(begunAt).seal();
  return { format, seed, begunAt, op: { table: tables.meta, key: nameKey(KEY), value } };
}

/** Throws STORE_CORRUPT where there is none. */
export function readVersion(tables: Tables<'meta'>): Version {
  const value = glance(tables.meta, nameKey(KEY));
  if (!value) throw new SluiceError('STORE_CORRUPT', 'the store has no version record');
  const from = new ByteReader(Buffer.from(value));
  const format = from.u32();
  return version(tables, format, { high: from.u32(), low: from.u32() }, from.f64());
}

/** A kill between the creation of the file and its first record leaves a store with nothing in it. */
const isEmpty = (tables: Tables<'meta'>) =>
  Object.values(tables).every((table) => table.keys({ limit: 1 }).length === 0);

/** The version of this store, begun or carried over where needed. A tool changes nothing. */
export async function settleVersion(lmdb: Lmdb<'meta'>, tool: boolean, now: number): Promise<Version> {
  const { tables } = lmdb;
  if (!tool && isEmpty(tables)) {
    const seed = randomBytes(8);
    const first = version(tables, FORMAT, { high: seed.readUInt32LE(0), low: seed.readUInt32LE(4) }, now);
    await lmdb.write([first.op]);
    return first;
  }
  let current = readVersion(tables);
  if (current.format > FORMAT)
    throw new SluiceError(
      'STORE_VERSION',
      `the store has format ${current.format}, this version knows ${FORMAT}`,
    );
  while (current.format < FORMAT) {
    const step = steps[current.format];
    if (tool || !step)
      throw new SluiceError(
        'STORE_VERSION',
        `the store has format ${current.format}; start the gateway once, or run sluice state migrate`,
      );
    const next = version(tables, current.format + 1, current.seed, current.begunAt);
    await lmdb.write([...step(tables), next.op]);
    current = next;
  }
  return current;
}
