/**
 * The table of featurizers: one row a kind of event. Configuration, lint, schema and docs derive from it; adding one
 * is one file and one line here.
 */
import type { z } from 'zod';
import type { Featurizer } from '../contract.ts';
import { openEmail } from './email.ts';
import { emailOptions } from './email-options.ts';
import { type DeclaredFields, openSensor, sensorOptions } from './sensor.ts';

interface FeaturizerRow<Options> {
  readonly summary: string;
  readonly options: z.ZodType<Options>;
  /**
   * What `sweep` tries instead of what is configured: a path into the options, and values in no order. An option that
   * is not here stays as it is: because it is a promise to others (`key`), or because data at hand flatter it
   * (`listHeaders`: mailing lists of a corpus mark its ham).
   */
  readonly search: Readonly<Record<string, readonly (number | boolean)[]>>;
  /** Options that bound memory and say nothing of what a row is: no version tells them apart. */
  readonly bounds: readonly string[];
  /** The options as `options` parsed them; the declared fields of the task's decoder (none for mail); how many labels it has. */
  open(options: Options, fields: DeclaredFields, labels?: number): Featurizer;
}

/** Ties a row's options to its `open`. */
function row<Options>(declared: FeaturizerRow<Options>): FeaturizerRow<Options> {
  return declared;
}

export const featurizers = {
  email: row({
    summary:
      'e-mail: raw tokens, words of headers and texts, pairs of each, characters, links, structure, attachments',
    options: emailOptions,
    search: {
      bits: [18, 20, 22],
      headBytes: [4_096, 16_384],
      'spaces.raw': [0, 0.5, 1],
      'spaces.chars': [0, 0.5, 1],
      'spaces.header': [0.5, 1, 2],
      'spaces.body': [0.5, 1, 2],
      'spaces.structure': [0.5, 1],
    },
    bounds: [],
    open: openEmail,
  }),
  sensor: row({
    summary: 'readings: numbers, booleans and times dense, categories as declared, windows of each device',
    options: sensorOptions,
    search: {
      bits: [10, 13, 16],
      missing: [true, false],
      eventTime: [true, false],
      'windows.on': [true, false],
    },
    bounds: ['windows.devices', 'windows.memory'],
    open: openSensor,
  }),
} as const;

export type FeaturizerName = keyof typeof featurizers;
