/**
 * The table of model kinds: one row is the options of a kind with their ranges, defaults and meaning.
 * Configuration, documentation, `--set` and the contract tests derive from it; the native core takes
 * what it says and has no defaults of its own. Options are numbers, because that is what crosses the
 * boundary and the model file; a switch is 0 or 1. Refuses unknown options and values out of range.
 */
import { z } from 'zod';

/** Where experiments look for an option: uniformly between two bounds, on a linear or a logarithmic scale, or among values. */
export type SearchRange =
  | { readonly scale: 'linear' | 'log'; readonly from: number; readonly to: number }
  | { readonly values: readonly number[] };

export interface ModelKind {
  /** One sentence for a person who chooses. */
  readonly summary: string;
  readonly options: z.ZodObject<Readonly<Record<string, z.ZodType<number>>>>;
  /** The search space of experiments; an option that is not in it stays as configured. */
  readonly search: Readonly<Record<string, SearchRange>>;
}

/** One number with a default, the bounds of what makes sense, and what it does. */
const option = (least: number, most: number, fallback: number, meaning: string) =>
  z.number().min(least).max(most).default(fallback).describe(meaning);

const flag = (fallback: 0 | 1, meaning: string) =>
  z.number().int().min(0).max(1).default(fallback).describe(meaning);

export const modelKinds = {
  linear: {
    summary:
      'Logistic (two labels) or softmax regression over hashed and dense features, learned online with a rate of its own per feature (AdaGrad). Fast, small, explainable; the first choice for text.',
    options: z.strictObject({
      rate: option(
        1e-6,
        100,
        0.4,
        'Step size of AdaGrad. 0.3 to 0.6 for rows of about unit length; lower where labels are noisy.',
      ),
      l2: option(0, 1, 0, 'Pull of the weights of seen features towards 0, per learned row.'),
      eps: option(
        1e-12,
        1e6,
        1e-6,
        'Added to the root of the summed squared gradients: larger values make the first steps of a new feature smaller.',
      ),
      normalise: flag(
        1,
        'Whether dense columns are standardised by their running mean and deviation (1) or taken as they are (0).',
      ),
    }),
    search: {
      rate: { scale: 'log', from: 0.03, to: 3 },
      l2: { values: [0, 0, 1e-7, 1e-6, 1e-5, 1e-4] },
      eps: { scale: 'log', from: 1e-7, to: 1 },
    },
  },
} as const satisfies Record<string, ModelKind>;

export type ModelKindName = keyof typeof modelKinds;

/** The row of a kind, or null: names come from files and configurations. */
export function findModelKind(name: string): ModelKind | null {
  return Object.hasOwn(modelKinds, name) ? modelKinds[name as ModelKindName] : null;
}
