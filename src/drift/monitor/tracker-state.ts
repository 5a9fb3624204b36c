/** What a tracker of one stream remembers between blocks, and keeps over a restart. */
import { z } from 'zod';
import { count } from '../kind.ts';
import { SUMS } from '../sums.ts';

/** Blocks that a reference is learned from. */
export const LEARN = 30;

const finite = z.number();
const run = z.strictObject({ sum: finite, since: finite, total: finite, blocks: count });
export type Run = z.output<typeof run>;
export const freshRun = (): Run => ({ sum: 0, since: 0, total: 0, blocks: 0 });

export const trackerState = z.strictObject({
  /** Values gathered for a reference, those under suspicion, or the newest ones during an alarm; oldest first. */
  values: z.array(finite).max(LEARN),
  phase: z.enum(['learning', 'watching', 'alarmed']),
  blocks: count,
  /** Blocks that the correlation is known from. */
  pairs: count,
  level: finite,
  /** Means of d d, d d' and e e. */
  distances: z.number().min(0),
  products: finite,
  residuals: z.number().min(0),
  /** Distances of the last block, and of the last one that was learned. */
  previous: finite,
  learned: finite.default(0),
  last: finite,
  error: z.number().min(0),
  sums: z.array(z.number().min(0)).length(SUMS),
  /** For `since`: cumulative sums up and down, the time of the block at which each began, and what came since then. */
  rise: run,
  fall: run,
  /** The same for large changes: what went before at a slant is not part of them. */
  leap: run.prefault(freshRun()),
  drop: run.prefault(freshRun()),
  /** Level told with the alarm, since when, and how many blocks ago. */
  told: finite,
  since: finite,
  age: count,
  /** What was usual before the reference was given up: the worst level that was borne, and the spreads. */
  former: z
    .strictObject({
      level: finite,
      distances: z.number().min(0),
      products: finite,
      residuals: z.number().min(0),
      pairs: count,
      /** Whether what is learned now is held against that level. */
      held: z.boolean().default(true),
    })
    .nullable()
    .default(null),
});
export type TrackerState = z.output<typeof trackerState>;

export const fresh = (): TrackerState => ({
  values: [],
  phase: 'learning',
  blocks: 0,
  pairs: 0,
  level: 0,
  distances: 0,
  products: 0,
  residuals: 0,
  previous: 0,
  learned: 0,
  last: 0,
  error: 0,
  sums: new Array<number>(SUMS).fill(0),
  rise: freshRun(),
  fall: freshRun(),
  leap: freshRun(),
  drop: freshRun(),
  told: 0,
  since: 0,
  age: 0,
  former: null,
});
