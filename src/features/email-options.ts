/**
 * The options of the features of mail: what is read, and what each namespace weighs. What is not said comes from a
 * preset, so that rows of `full` said in full and of `full` by its name are the same rows. Refuses values out of range and
 * unknown options.
 */
import { z } from 'zod';

/** Regions of the buckets: the top two bits of an index say which view of the mail it is of. */
export const EMAIL_VIEWS = 4;

/** What an option is where nothing is said of it. `fast` has one view: a single model learns all of it. */
const PRESETS = {
  full: {
    views: EMAIL_VIEWS,
    bits: 21,
    spaces: {
      ...{ raw: 1, header: 1, headerPairs: 1, structure: 0.5, body: 1, bodyPairs: 1 },
      ...{ links: 1, attachments: 1, chars: 1, subject: 1 },
    },
  },
  fast: {
    views: 1,
    bits: 20,
    spaces: {
      ...{ raw: 1, header: 1, headerPairs: 0, structure: 0.5, body: 1, bodyPairs: 0 },
      ...{ links: 1, attachments: 1, chars: 0, subject: 1 },
    },
  },
} as const;

export const mailPresets = Object.keys(PRESETS) as (keyof typeof PRESETS)[];

const weight = (what: string) =>
  z.number().min(0).max(100).optional().describe(`weight of ${what}; 0 leaves it out; default by the preset`);

export const emailOptions = z.strictObject({
  preset: z
    .enum(mailPresets)
    .default('full')
    .describe(
      'defaults of the other options: `full` is the most accurate; `fast` reads less and keeps one view, for a model a quarter as large and several times as fast',
    ),
  bits: z
    .number()
    .int()
    .min(10)
    .max(26)
    .optional()
    .describe('2^bits buckets; default 21, 20 with the preset `fast`'),
  key: z
    .string()
    .default('')
    .describe('secret of the fleet that the hashes are seeded with; all gateways and the hub share it'),
  listHeaders: z
    .boolean()
    .default(true)
    .describe('whether List-*, Precedence and other headers of mailing lists are used'),
  headBytes: z
    .number()
    .int()
    .min(0)
    .max(1_048_576)
    .default(16_384)
    .describe('bytes of the raw body that are read at its begin'),
  tailBytes: z
    .number()
    .int()
    .min(0)
    .max(1_048_576)
    .default(4_096)
    .describe('bytes of the raw body that are read at its end'),
  textLength: z
    .number()
    .int()
    .min(0)
    .max(1_048_576)
    .default(32_768)
    .describe('characters of decoded text of which words are made'),
  charsLength: z
    .number()
    .int()
    .min(0)
    .max(1_048_576)
    .default(3_000)
    .describe('characters of decoded text of which n-grams are made'),
  spaces: z
    .strictObject({
      raw: weight('tokens between blanks of the raw mail'),
      header: weight('words of headers, by name'),
      headerPairs: weight('pairs of neighbouring words of headers'),
      structure: weight('names of headers and their order'),
      body: weight('words of the decoded texts'),
      bodyPairs: weight('pairs of neighbouring words of the texts'),
      links: weight('hosts, paths and oddities of links'),
      attachments: weight('parts; types, names and digests of attachments'),
      chars: weight('n-grams of characters of the decoded texts'),
      subject: weight('n-grams of characters of the subject'),
    })
    .prefault({})
    .describe('the namespaces of a mail and what each weighs'),
});

export type EmailOptions = z.infer<typeof emailOptions>;
export type SpaceName = keyof EmailOptions['spaces'];

/** With the preset's values where nothing is said. */
export interface ResolvedOptions extends Omit<EmailOptions, 'preset' | 'bits' | 'spaces'> {
  readonly bits: number;
  readonly views: number;
  readonly spaces: Readonly<Record<SpaceName, number>>;
}

export function resolve({ preset, spaces, bits: given, ...options }: EmailOptions): ResolvedOptions {
  const { views, bits, spaces: usual } = PRESETS[preset];
  const said = Object.entries(spaces).filter(([, weight]) => weight !== undefined);
  const weights = { ...usual, ...Object.fromEntries(said) };
  // Always in this order, for the version is made of it.
  return { ...options, views, bits: given ?? bits, spaces: weights };
}
