/**
 * The options of the features of mail: what is read, and what each namespace weighs. What is not said comes from a
 * preset, so that rows of `full` said in full and of `full` by its name are the same rows. Refuses values out of range and
 * unknown options.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { HASH_VERSION, keyMark } from './hash.ts';

/** Raised with every change of what a mail's row is. */
const EMAIL_VERSION = 3;

/** Regions of the buckets: the top two bits of an index say which view of the mail it is of. */
export const EMAIL_VIEWS = 4;

/**
 * What an option is where nothing is said of it. `fast` has one view, for a single model learns all of it, and reads no more than
 * the best filters of TREC 2007 did: the headers and the first few thousand characters, once.
 */
const PRESETS = {
  full: {
    views: EMAIL_VIEWS,
    bits: 21,
    ...{ headBytes: 16_384, tailBytes: 4_096, textLength: 32_768, charsLength: 3_000 },
    spaces: {
      ...{ raw: 1, textForm: 1, header: 1, headerPairs: 1, structure: 0.5, headerForm: 1 },
      ...{ body: 1, bodyPairs: 1 },
      ...{ links: 1, attachments: 1, disguise: 0.5, chars: 1, subject: 1 },
    },
  },
  fast: {
    views: 1,
    bits: 20,
    ...{ headBytes: 0, tailBytes: 0, textLength: 4_096, charsLength: 0 },
    spaces: {
      ...{ raw: 0, textForm: 0, header: 1, headerPairs: 1, structure: 0.5, headerForm: 0 },
      ...{ body: 1, bodyPairs: 1 },
      ...{ links: 1, attachments: 1, disguise: 0.5, chars: 0, subject: 1 },
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
      'defaults of the other options: `full` is the most accurate; `fast` reads less and keeps one view, for a model an eighth as large and about twice as many mails a second',
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
    .optional()
    .describe('bytes of the raw body that are read at its begin; default 16384, 0 with the preset `fast`'),
  tailBytes: z
    .number()
    .int()
    .min(0)
    .max(1_048_576)
    .optional()
    .describe('bytes of the raw body that are read at its end; default 4096, 0 with the preset `fast`'),
  textLength: z
    .number()
    .int()
    .min(0)
    .max(1_048_576)
    .optional()
    .describe(
      'characters of decoded text of which words are made; default 32768, 4096 with the preset `fast`',
    ),
  charsLength: z
    .number()
    .int()
    .min(0)
    .max(1_048_576)
    .optional()
    .describe('characters of decoded text of which n-grams are made; default 3000, 0 with the preset `fast`'),
  spaces: z
    .strictObject({
      raw: weight('tokens between blanks of the raw mail'),
      textForm: weight('how the texts are written: shares of capitals, digits, marks, lines, links'),
      header: weight('words of headers, by name'),
      headerPairs: weight('pairs of neighbouring words of headers'),
      structure: weight('names of headers and their order'),
      headerForm: weight('what headers say of each other, and how names, dates and the subject are formed'),
      body: weight('words of the decoded texts'),
      bodyPairs: weight('pairs of neighbouring words of the texts'),
      links: weight('hosts, paths and oddities of links'),
      attachments: weight('parts; types, names and digests of attachments'),
      disguise: weight('what disguises words, and how many are hidden'),
      chars: weight('n-grams of characters of the decoded texts'),
      subject: weight('n-grams of characters of the subject'),
    })
    .prefault({})
    .describe('the namespaces of a mail and what each weighs'),
});

export type EmailOptions = z.infer<typeof emailOptions>;
export type SpaceName = keyof EmailOptions['spaces'];

type ByPreset = 'bits' | 'headBytes' | 'tailBytes' | 'textLength' | 'charsLength';

/** With the preset's values where nothing is said. */
export interface ResolvedOptions
  extends Omit<EmailOptions, 'preset' | 'spaces' | ByPreset>,
    Required<Pick<EmailOptions, ByPreset>> {
  readonly views: number;
  readonly spaces: Readonly<Record<SpaceName, number>>;
}

export function resolve({ preset, spaces, ...given }: EmailOptions): ResolvedOptions {
  const { spaces: usual, ...others } = PRESETS[preset];
  // Always in this order, for the version is made of it.
  return { ...others, ...said(given), spaces: { ...usual, ...said(spaces) } } as ResolvedOptions;
}

/** The options of which something is said. */
function said(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Tells rows apart that were made in other ways. */
export function versionOf(options: ResolvedOptions): string {
  const { key, ...rest } = options;
  const text = JSON.stringify([EMAIL_VERSION, HASH_VERSION, keyMark(key), rest]);
  return `email-${EMAIL_VERSION}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
}
