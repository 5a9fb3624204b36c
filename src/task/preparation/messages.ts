/**
 * What passes between the pool and a worker of it, and the shared memory beside it. Payloads and rows never pass:
 * payloads lie in the memory of a place (written here, read there), rows in arenas on shared memory (the other way
 * round), and a place is used by one side at a time: from the posting of a job by the worker, from its answer by the pool.
 *
 * Memory is named once and not again until it is another: each naming costs the receiver, whose garbage collector takes
 * all of it for new.
 *
 *   progress: Int32 job, Int32 message   where the worker is; message NOTHING: between two jobs
 */
import type { Rows } from '../../contract.ts';
import type { ErrorCode } from '../../errors.ts';
import type { TaskSpec } from '../task.ts';

export const JOB = 0;
export const MESSAGE = 1;
export const NOTHING = -1;

/** One value for all where they are the same, as they mostly are. */
export type Column<T> = { readonly all: T } | { readonly each: readonly T[] };

export function column<T>(values: readonly T[]): Column<T> {
  const [first] = values;
  for (const value of values) if (value !== first) return { each: values };
  return { all: first };
}

export const cell = <T>(column: Column<T>, i: number): T => ('all' in column ? column.all : column.each[i]);

export interface Opening {
  /** By group; tasks of a group share decoder and labels. */
  readonly groups: readonly (readonly TaskSpec[])[];
  readonly progress: Int32Array;
}

export interface Job {
  readonly job: number;
  readonly place: number;
  readonly group: number;
  /** Of the place; null: as before. */
  readonly memory: SharedArrayBuffer | null;
  /** Payloads lie in it one after the other; payload i ends at ends[i]. */
  readonly ends: Uint32Array;
  /** Messages that must not be touched. */
  readonly skip: readonly number[];
  readonly at: Float64Array;
  readonly sources: Column<string>;
  readonly topics: Column<string>;
  readonly keys: Column<string | null>;
  readonly positions: Column<string>;
  readonly headers: Column<Readonly<Record<string, string>> | null>;
}

/** The arrays of rows, on shared memory. */
export type RowsMemory = Omit<Rows, 'count'>;

/** What became of the messages of a job; events stand in their order. */
export interface Answer {
  readonly job: number;
  /** Events by message. */
  readonly counts: Uint32Array;
  readonly refused: readonly (readonly [message: number, code: ErrorCode, detail: string])[];
  /** Null where it is the position of the message. */
  readonly ids: Column<string | null>;
  readonly weak: Column<boolean>;
  readonly devices: Column<string>;
  readonly at: Float64Array;
  readonly aliases: readonly (readonly string[])[];
  /** Bytes of the payload from where the mail begins. */
  readonly lengths: Uint32Array;
  /** By task of the group, for this place: row i is of event i. Null: the same arrays as before. */
  readonly rows: readonly (RowsMemory | null)[];
}

export type Said = 'ready' | Answer;
