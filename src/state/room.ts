/** What every room of a store is built with. */
import type { Clock } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import type { Lmdb, Op, StoreTable, Tables } from './database.ts';
import { glance, nameKey } from './database.ts';
import type { HashSeed } from './hash.ts';
import type { StoreLimits } from './options.ts';

export interface Ground<N extends string = 'meta'> {
  readonly lmdb: Lmdb<'meta'>;
  readonly tables: Tables<N | 'meta'>;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly seed: HashSeed;
  /** A tool stands beside a gateway: it reads, and leaves marks on dead letters, nothing else. */
  readonly tool: boolean;
}

/** What the rooms of a gateway's store stand on. */
export interface Rooms extends Ground<StoreTable> {
  readonly limits: StoreLimits;
}

/** Throws where a tool tries to write what only the gateway writes, and where the store is closed. */
export function demandGateway(rooms: Ground): void {
  rooms.lmdb.demand();
  if (rooms.tool) throw new SluiceError('STORE_LOCKED', 'only the gateway writes this part of the store');
}

/** A damaged record is counted, told once, and stepped over: what is left must go on. A closed store is no damage. */
export function tellDamage(rooms: Ground, error: unknown, where: string): void {
  if (rooms.lmdb.closing) throw error;
  const known = asSluiceError(error, 'STORE_FAILED');
  rooms.telemetry.count('store_failed', {}, 1, { code: known.code, reason: known.message, where });
}

/** Removes keys in the background, a slice at a time, so that no transaction grows with what is dropped. */
export const SLICE = 2_000;

export const metaOp = (rooms: Ground, name: string, value: Buffer): Op => ({
  table: rooms.tables.meta,
  key: nameKey(name),
  value,
});

export const readMeta = (rooms: Ground, name: string): Buffer | null =>
  glance(rooms.tables.meta, nameKey(name));
