/**
 * What is done to a declared field on its way into the row: the options stand beside its type and unit, where people
 * look for them; the features and the model carry them out. Refuses combinations that mean nothing, each with the option
 * that is wrong, so that `lint` names it.
 */
import { z } from 'zod';

const MOST_COLUMNS = 64;

/** Options of a field, besides those that say how it is read. */
export const treatment = {
  missing: z
    .union([
      z.enum(['keep', 'drop', 'last', 'mean', 'median']),
      z.strictObject({
        constant: z.union([z.number(), z.boolean(), z.string()]).describe('stands for what is missing'),
      }),
    ])
    .default('keep')
    .describe(
      'what stands for a missing or wrong value. keep: nothing, the model knows missing values; drop: the whole reading is passed over; last: the last value of the device; mean, median: of the readings learned',
    ),
  clip: z
    .union([z.tuple([z.number(), z.number()]), z.number().positive().max(1_000)])
    .optional()
    .describe(
      'cuts outliers off: [lowest, highest], or so many interquartile ranges beside the median of the readings learned',
    ),
  spike: z
    .number()
    .min(1)
    .max(1_000)
    .optional()
    .describe(
      "so many robust deviations from the median of the device's window a value is flagged as a spike and counts as missing",
    ),
  stuck: z
    .int()
    .min(2)
    .max(1_024)
    .optional()
    .describe('so many equal values of a device in a row are flagged as stuck and count as missing'),
  scale: z
    .enum(['auto', 'none', 'zscore', 'minmax', 'robust'])
    .default('auto')
    .describe(
      'how a number is brought to scale, by the readings learned. auto: as the model does it; minmax: of the last 512; robust: median and interquartile range of the last 512',
    ),
  period: z
    .number()
    .positive()
    .optional()
    .describe('the number goes round: 24 for hours, 360 for degrees; the row has its sine and cosine'),
  encode: z
    .enum(['hash', 'onehot', 'ordinal', 'target'])
    .default('hash')
    .describe(
      'how a category becomes numbers. hash: a bucket each; onehot: a column for each of `categories`; ordinal: its place in `categories`; target: how often each label came with it, smoothed',
    ),
};

type Treated = { readonly type: string; readonly categories?: readonly string[]; readonly unit?: string } & {
  readonly unitPointer?: string;
} & z.output<z.ZodObject<typeof treatment>>;

/** Complains about options that mean nothing for this field. */
export function checkTreatment(field: Treated, context: z.RefinementCtx): void {
  const complain = (option: string, message: string) =>
    context.addIssue({ code: 'custom', path: [option], message });
  const { type, categories, clip, missing } = field;
  const numeric = type === 'number';
  for (const option of ['clip', 'spike', 'stuck', 'period'] as const)
    if (field[option] !== undefined && !numeric) complain(option, 'is for numbers');
  if (field.scale !== 'auto' && !numeric) complain('scale', 'is for numbers');
  if (field.encode !== 'hash' && type !== 'category') complain('encode', 'is for categories');
  if ((field.encode === 'onehot' || field.encode === 'ordinal') && !categories)
    complain('encode', `${field.encode} needs \`categories\`, in order`);
  if (field.encode === 'onehot' && categories && categories.length > MOST_COLUMNS)
    complain('encode', `onehot takes at most ${MOST_COLUMNS} categories; use hash or target`);
  if (Array.isArray(clip) && !(clip[0] < clip[1]))
    complain('clip', 'the lower bound is not below the upper one');
  if (field.unitPointer !== undefined && field.unit === undefined)
    complain('unitPointer', 'needs `unit` to compare with');
  if (field.period !== undefined && (field.scale !== 'auto' || typeof clip === 'number'))
    complain('period', 'what goes round has no scale to bring it to');
  if ((missing === 'mean' || missing === 'median') && (!numeric || field.period !== undefined))
    complain('missing', `${missing} is for plain numbers`);
  if (missing === 'last' && (type === 'category' || type === 'time'))
    complain('missing', 'last is for numbers and booleans');
  if (typeof missing === 'object') checkConstant(field, missing.constant, complain);
}

function checkConstant(
  { type, categories }: Treated,
  constant: number | boolean | string,
  complain: (option: string, message: string) => void,
): void {
  const wanted = { number: 'number', boolean: 'boolean', category: 'string', time: 'none' }[type];
  if (wanted === 'none') complain('missing', 'a time has no constant');
  else if (typeof constant !== wanted) complain('missing', `the constant of a ${type} must be a ${wanted}`);
  else if (categories && !categories.includes(String(constant)))
    complain('missing', 'the constant is not one of `categories`');
}
