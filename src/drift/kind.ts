/**
 * What a row of the table of detectors is, and how its state is kept. Promises: what `save` gives leads, through
 * `restore`, to a detector with the same future, bit for bit (JSON keeps a double exactly). Refuses saved text that is
 * not of this detector, out of range, or larger than its options allow: DETECTOR_STATE.
 */
import { z } from 'zod';
import type { Detector } from '../contract.ts';
import { SluiceError } from '../errors.ts';

/** One row of the table. */
export interface DetectorKind<Options = unknown> {
  /** One sentence for a person who chooses. */
  readonly summary: string;
  readonly options: z.ZodObject;
  /** Throws CONFIG_INVALID where the options do not fit together. */
  create(options: Options): Detector;
  /** From what `save` gave. Throws DETECTOR_STATE. */
  restore(text: string): Detector;
}

interface Definition<O extends z.ZodObject, S extends z.ZodType> {
  readonly name: string;
  readonly summary: string;
  readonly options: O;
  readonly state: S;
  /** Opens a new detector (`state` null), or one that goes on. */
  open(options: z.output<O>, state: z.output<S> | null): Detector;
}

/** Saved text longer than this is not looked at: no detector writes so much. */
const MAX_TEXT = 16 * 1024 * 1024;

/** A row from its options, the schema of its state, and how it is opened. */
export function defineDetector<O extends z.ZodObject, S extends z.ZodType>(
  definition: Definition<O, S>,
): DetectorKind<z.input<O>> & { readonly options: O } {
  const { name, summary, options, state } = definition;
  const saved = z.strictObject({ detector: z.literal(name), options, state });
  return {
    summary,
    options,
    create(given) {
      const parsed = options.safeParse(given);
      if (!parsed.success)
        throw new SluiceError('CONFIG_INVALID', `the detector ${name}: ${firstIssue(parsed.error)}`);
      return definition.open(parsed.data, null);
    },
    restore(text) {
      const value = readSaved(`the detector ${name}`, saved, text) as {
        options: z.output<O>;
        state: z.output<S>;
      };
      return definition.open(value.options, value.state);
    },
  };
}

/** What `save` gives. */
export const savedDetector = (name: string, options: unknown, state: unknown): string =>
  JSON.stringify({ detector: name, options, state });

/** JSON that `schema` accepts, or DETECTOR_STATE with the first reason. */
export function readSaved<S extends z.ZodType>(what: string, schema: S, text: string): z.output<S> {
  const refuse = (reason: string) => new SluiceError('DETECTOR_STATE', `${what} cannot go on: ${reason}`);
  if (text.length > MAX_TEXT) throw refuse(`${text.length} characters are more than it ever saves`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refuse('the text is not JSON');
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw refuse(firstIssue(parsed.error));
  return parsed.data;
}

function firstIssue(error: z.ZodError): string {
  const [issue] = error.issues;
  const place = issue.path.join('.');
  return place === '' ? issue.message : `${place}: ${issue.message}`;
}

/** The schema of a count that stays exact in a double. */
export const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Beyond it the square of a value, summed, could leave the range of a double. */
const LARGEST = 1e140;

/** NaN, infinities and absurd values say nothing about a level; every detector passes them over. */
export const usable = (value: number): boolean => value <= LARGEST && value >= -LARGEST;

/** Which changes are told. */
export const side = (fallback: 'up' | 'down' | 'both') =>
  z
    .enum(['up', 'down', 'both'])
    .default(fallback)
    .describe('Which changes of the level are told: rises (`up`), falls (`down`), or `both`.');
