/**
 * The options of readings as features, and what is declared of each field, as the decoder's schema gives it. Promises:
 * whatever a row depends on is in the featurizer's version, so rows made with other options never mix; what only bounds the
 * memory is not, so a bound may change under a model.
 */
import { z } from 'zod';
import { byteSize, duration } from '../units.ts';
import { type HalfLife, WINDOW_STATS } from './window-stats.ts';

/** Readings in a window where nothing is said. */
export const WINDOW_READINGS = 64;

const statNames = z.enum(WINDOW_STATS);

/** A number of readings, or a time as in `10m`. */
const halfLife = z
  .union([z.number().positive().max(10_000), z.string().regex(/^\d+(\.\d+)?(ms|s|m|h|d|w)$/)])
  .describe('a number of readings, or a time such as 10m');

/** One or several, also as one text with commas between them. */
function list<T extends z.ZodType>(item: T, most: number) {
  return z.preprocess((given) => {
    if (typeof given === 'number') return [given];
    if (typeof given !== 'string') return given;
    const parts = given.split(',').map((part) => part.trim());
    return parts.map((part) => (/^\d+(\.\d+)?$/.test(part) ? Number(part) : part));
  }, z.array(item).max(most));
}

/** Devices and bytes of windows where nothing is said. */
const WINDOW_DEVICES = 10_000;
const WINDOW_MEMORY = 64 * 1024 ** 2;

export const sensorPresets = ['full', 'fast'] as const;

export const windowOptions = z.strictObject({
  on: z
    .boolean()
    .optional()
    .describe('whether rows tell what the device sent before; default true, false with the preset `fast`'),
  fields: list(z.string(), 1_024)
    .default([])
    .describe('the numbers that windows are made of; none named: all'),
  count: z
    .int()
    .min(2)
    .max(1_000)
    .default(WINDOW_READINGS)
    .describe('readings in a window, at most, before the current one'),
  span: duration
    .default(0)
    .describe('how far a window reaches back in event time; 0: as far as its readings'),
  stats: list(statNames, WINDOW_STATS.length)
    .default(['departure'])
    .describe(
      'what is told of a window: lag (the value before), difference from it, mean, deviation, min, max, slope (a second), ewma (exponential means), departure (difference from these)',
    ),
  halfLives: list(halfLife, 8)
    .default([8, 32])
    .describe('half-lives of the exponential means: numbers of readings, or times such as 10m'),
  lateness: duration
    .default(3_600_000)
    .describe('a reading this far behind the newest of its device is scored and not remembered'),
  devices: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(WINDOW_DEVICES)
    .describe('devices that are remembered, at most'),
  memory: byteSize
    .default(WINDOW_MEMORY)
    .describe('memory for them, at most; who was not heard longest is forgotten'),
});

export type WindowOptions = z.output<typeof windowOptions>;

export const sensorOptions = z.strictObject({
  preset: z
    .enum(sensorPresets)
    .default('full')
    .describe(
      'what is not said elsewhere: `full` is the most accurate, with windows of each device and the model `stack`; `fast` has neither windows nor more than the model `linear`, for several times as many readings a second. More than 128 fields or 256 labels have what `fast` has',
    ),
  bits: z
    .number()
    .int()
    .min(4)
    .max(26)
    .default(16)
    .describe('2^bits buckets for categories; none where no field is a hashed category'),
  key: z.string().default('').describe('secret of the fleet that the hashes are seeded with'),
  missing: z
    .boolean()
    .default(true)
    .describe('a column beside each field that says whether the value was missing'),
  eventTime: z.boolean().default(false).describe("hour and weekday of the event's own time as columns"),
  windows: windowOptions.prefault({}).describe('what a device sent before, as columns'),
});

export type SensorOptions = z.output<typeof sensorOptions>;

/** What is declared of a field, as the decoders parse it; they and the features do not know each other. */
export interface DeclaredField {
  readonly type: 'number' | 'category' | 'boolean' | 'time';
  readonly required?: boolean;
  readonly categories?: readonly string[];
  readonly missing?:
    | 'keep'
    | 'drop'
    | 'last'
    | 'mean'
    | 'median'
    | { readonly constant: number | boolean | string };
  readonly clip?: number | readonly [low: number, high: number];
  readonly spike?: number;
  readonly stuck?: number;
  readonly scale?: 'auto' | 'none' | 'zscore' | 'minmax' | 'robust';
  readonly period?: number;
  readonly encode?: 'hash' | 'onehot' | 'ordinal' | 'target';
}

export type DeclaredFields = Readonly<Record<string, DeclaredField>>;

/** Half-lives with names for their columns. */
export function halfLivesOf({ halfLives }: Pick<WindowOptions, 'halfLives'>): HalfLife[] {
  return halfLives.map((given) => {
    const readings = Number(given);
    if (readings > 0) return { name: String(readings), readings, ms: 0 };
    return { name: String(given), readings: 0, ms: duration.parse(given) };
  });
}

/** With the preset's answer where nothing is said. */
export type ResolvedSensor = Omit<SensorOptions, 'preset' | 'windows'> & {
  readonly windows: Omit<WindowOptions, 'on'> & { readonly on: boolean };
};

/**
 * The options that a row depends on, as they stand in the version. Until the bounds of memory were left out of it they stood
 * there: in their places stand the defaults that they had, so that who never changed them keeps version and models.
 */
export function versioned({ key: _, ...options }: ResolvedSensor): object {
  const { on, ...windows } = options.windows;
  const bounds = { devices: WINDOW_DEVICES, memory: WINDOW_MEMORY };
  const { bits, missing, eventTime } = options;
  return { bits, missing, eventTime, windows: { on, ...windows, ...bounds } };
}
