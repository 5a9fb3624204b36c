/**
 * A table of the environment, as the rooms see it: reads that end before they return, and operations as plain
 * data. Whatever is read after the environment began to close is refused with STORE_FAILED: lmdb-js would renew
 * its read transaction on a closing environment and throw from a timer of its own, where nobody can catch it.
 */
import type { Database } from 'lmdb';

export interface KeyRange {
  readonly start?: Buffer;
  readonly end?: Buffer;
  readonly limit?: number;
  readonly reverse?: boolean;
}

export class Table {
  readonly #db: Database<Buffer, Buffer>;
  readonly #demandOpen: () => void;

  /** `demandOpen` throws once nothing may be read any more. */
  constructor(db: Database<Buffer, Buffer>, demandOpen: () => void) {
    this.#db = db;
    this.#demandOpen = demandOpen;
  }

  /** Keys in order. Read to the end, so that no cursor is open while other values are read. */
  keys(range: KeyRange = {}): Buffer[] {
    this.#demandOpen();
    return [...this.#db.getKeys(range)];
  }

  has(key: Buffer): boolean {
    this.#demandOpen();
    return this.#db.doesExist(key);
  }

  /** A value to look at before the next read; it lies in a buffer that lmdb-js uses again. */
  glance(key: Buffer): Buffer | null {
    this.#demandOpen();
    const shared = this.#db.getBinaryFast(key);
    return shared ? Buffer.from(shared.buffer, shared.byteOffset, shared.length) : null;
  }

  /** Within a transaction only. */
  set(key: Buffer, value: Buffer | null): void {
    if (value === null) this.#db.remove(key);
    else this.#db.put(key, value);
  }
}

/** A null value removes. */
export interface Op {
  readonly table: Table;
  readonly key: Buffer;
  readonly value: Buffer | null;
}

export const glance = (table: Table, key: Buffer): Buffer | null => table.glance(key);
