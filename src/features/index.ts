/**
 * The table of featurizers: one row a kind of event. Configuration, lint, schema and docs derive from it; adding one
 * is one file and one line here.
 */
import type { z } from 'zod';
import type { Featurizer } from '../contract.ts';
import { emailOptions, openEmail } from './email.ts';
import { type DeclaredFields, openSensor, sensorOptions } from './sensor.ts';

interface FeaturizerRow<Options> {
  readonly summary: string;
  readonly options: z.ZodType<Options>;
  /** The options as `options` parsed them; the declared fields of the task's decoder (none for mail). */
  open(options: Options, fields: DeclaredFields): Featurizer;
}

/** Ties a row's options to its `open`. */
function row<Options>(declared: FeaturizerRow<Options>): FeaturizerRow<Options> {
  return declared;
}

export const featurizers = {
  email: row({
    summary:
      'e-mail: raw 5-grams, words and sparse pairs of headers and texts, links, structure, attachments',
    options: emailOptions,
    open: openEmail,
  }),
  sensor: row({
    summary: 'readings: numbers, booleans and times dense, categories hashed',
    options: sensorOptions,
    open: openSensor,
  }),
} as const;

export type FeaturizerName = keyof typeof featurizers;
