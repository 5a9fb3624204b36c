/**
 * What the hub remembers of one task: a small JSON record, written whole at every decision, so that a kill at any
 * point continues from the last one. Promises: what `decodeRecord` gives has the shape of this version; a record
 * that cannot be read is null, and the hub then starts from what the registry says is live.
 */
import { z } from 'zod';
import type { BundleRef, Desired } from '../../contract.ts';
import type { SavedIncidents } from './incidents.ts';
import type { PairedFigures, SavedPaired } from './paired.ts';

/** Why a training is due. */
export interface Cause {
  readonly kind: 'first' | 'drift' | 'volume' | 'time' | 'order';
  readonly reason: string;
  readonly at: number;
  /** Of drift: the incident, since when, labelled rows from after that. */
  readonly incident: number | null;
  readonly since: number;
  /** Another candidate for the same drift. */
  readonly again?: boolean;
  /** New labels that it waits for; left out: those that every drift waits for. */
  readonly want?: number;
  rows: number;
}

/** Where a roll-out is: `due` waits to enter the stage `stages[next]`. */
export type Step = 'gate' | 'approval' | 'due' | 'shadow' | 'canary' | 'fleet' | 'watch';

/** Verdicts whose label came. */
export interface Tally {
  tested: number;
  correct: number;
}

export interface Rollout {
  readonly candidate: BundleRef;
  /** What ran when it began; null: nothing. */
  readonly base: BundleRef | null;
  readonly cause: Cause;
  /** Rows of the pool behind this are unseen. */
  readonly position: number;
  readonly begun: number;
  step: Step;
  /** Of `rollout.stages`, the one to enter, or that it is in. */
  stage: number;
  /** When this step began; deadlines count from here. */
  since: number;
  /** An operator's promote order came, or none is needed. */
  approved: boolean;
  /** The gate was passed, with these figures. */
  passed: PairedFigures | null;
  /** Sites of a shadow or canary stage. */
  sites: string[];
  /** Evidence of the running stage. */
  test: SavedPaired | null;
  readonly before: Tally;
  readonly after: Tally;
  /** What it waits for, in words. */
  waits: string;
}

/** How a roll-out ended. */
export interface Finished {
  readonly task: string;
  readonly model: string;
  readonly version: number;
  readonly outcome: 'live' | 'rejected' | 'rolledBack';
  readonly reason: string;
  readonly begun: number;
  readonly at: number;
  readonly before: Tally;
  readonly after: Tally;
  /** Of the cause, and whether the gate was passed. */
  readonly incident: number | null;
  readonly passed: boolean;
  /** The gate did not pass it, and no person said so: another try may do better. */
  readonly again?: boolean;
}

/** A thing that a decision asks for outside the record; done after it was saved, and again after a kill: at least once. */
export type Deed =
  | {
      readonly do: 'move';
      readonly digest: string;
      readonly stage: 'canary' | 'live' | 'retired' | 'rejected';
      readonly reason: string;
      readonly by: string;
    }
  | {
      readonly do: 'audit';
      readonly what: string;
      readonly digest: string;
      readonly reason: string;
      readonly by: string;
    }
  | { readonly do: 'order'; readonly id: string };

export interface TaskRecord {
  readonly format: 1;
  /** The last word given to the group, and whether the broker has it. */
  word: Desired | null;
  told: boolean;
  /** When the broker had it, ms: stages count from here at the earliest. */
  toldAt: number;
  /** A serial above this one was asked for and stands in no word yet; null: none was. */
  claimed: number | null;
  live: BundleRef | null;
  previous: BundleRef | null;
  /** Since when, ms; null: not. */
  paused: number | null;
  readonly created: number;
  /** Start of the last training, ms, and how often it was begun without an end. */
  trainedAt: number | null;
  attempts: number;
  /** New labels since the last training. */
  fresh: number;
  /** By site the highest journal seq that was counted. */
  through: Record<string, number>;
  /** Of the next training, and of the one under way. */
  cause: Cause | null;
  training: Cause | null;
  rollout: Rollout | null;
  incidents: SavedIncidents;
  finished: Finished[];
  /** Ids of the newest orders that were followed or refused. */
  orders: string[];
  deeds: Deed[];
}

export function blankRecord(now: number): TaskRecord {
  return {
    format: 1,
    word: null,
    told: true,
    toldAt: 0,
    claimed: null,
    live: null,
    previous: null,
    paused: null,
    created: now,
    trainedAt: null,
    attempts: 0,
    fresh: 0,
    through: {},
    cause: null,
    training: null,
    rollout: null,
    incidents: { next: 1, incidents: [], spent: [] },
    finished: [],
    orders: [],
    deeds: [],
  };
}

/** The record is this hub's own writing: what is checked is that it is whole and of this version. */
const recordSchema = z.object({
  format: z.literal(1),
  word: z.object({ serial: z.int().min(0) }).nullable(),
  told: z.boolean(),
  toldAt: z.number(),
  claimed: z.number().nullable(),
  live: z.object({ digest: z.string() }).nullable(),
  previous: z.object({ digest: z.string() }).nullable(),
  paused: z.number().nullable(),
  created: z.number(),
  trainedAt: z.number().nullable(),
  attempts: z.int(),
  fresh: z.number(),
  through: z.record(z.string(), z.number()),
  cause: z.object({ kind: z.string() }).nullable(),
  training: z.object({ kind: z.string() }).nullable(),
  rollout: z.object({ step: z.string(), candidate: z.object({ digest: z.string() }) }).nullable(),
  incidents: z.object({ next: z.int(), incidents: z.array(z.unknown()), spent: z.array(z.number()) }),
  finished: z.array(z.unknown()),
  orders: z.array(z.string()),
  deeds: z.array(z.object({ do: z.string() })),
});

export function decodeRecord(text: string | null): TaskRecord | null {
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    return recordSchema.safeParse(value).success ? (value as TaskRecord) : null;
  } catch {
    return null;
  }
}
