/** The schema of a monitor's saved state: every number has its place and bound, nothing else is taken. */
import { z } from 'zod';
import { count } from '../kind.ts';
import { MOST_WAITING } from './alarms.ts';
import { cellsState, meanState } from './blocks.ts';
import { devicesState } from './devices.ts';
import { histogramState } from './histogram.ts';
import { labelLossesState } from './label-losses.ts';
import { packed } from './packed.ts';
import { reliabilityState } from './reliability.ts';
import { MOST_COLUMNS, MOST_LABELS } from './streams.ts';
import { trackerState } from './tracker-state.ts';

const MOST_STREAMS = 3 * MOST_COLUMNS + MOST_LABELS + 20;
const name = z.string().max(1_000);
const change = z.strictObject({
  state: z.enum(['drift', 'over']),
  statistic: z.number(),
  threshold: z.number(),
  window: count,
  since: z.number(),
  before: z.number(),
  now: z.number(),
});

export const monitorState = z.strictObject({
  format: z.literal(3),
  labels: count,
  streams: z
    .array(trackerState.extend({ name, announced: z.boolean(), seen: z.boolean() }))
    .max(MOST_STREAMS),
  devices: devicesState,
  reliability: reliabilityState,
  dense: packed,
  cells: cellsState,
  means: z.strictObject({ loss: meanState, margin: meanState, confidence: meanState, latency: meanState }),
  losses: labelLossesState,
  verdicts: histogramState,
  wrong: count,
  events: count,
  volume: count,
  from: z.strictObject({ events: z.number(), labels: z.number(), volume: z.number() }),
  waiting: z.array(z.strictObject({ stream: name, change, at: z.number() })).max(MOST_WAITING),
  cause: z.strictObject({ at: z.number(), since: z.number(), labels: z.boolean() }).nullable(),
});
