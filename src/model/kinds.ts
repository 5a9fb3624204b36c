/**
 * The table of model kinds: one row is the options of a kind with their ranges, defaults and meaning.
 * Configuration, documentation, `--set` and the contract tests derive from it; the native core takes
 * what it says and has no defaults of its own. Options are numbers, because that is what crosses the
 * boundary and the model file; a switch is 0 or 1. Refuses unknown options and values out of range.
 */
import { z } from 'zod';
import type { ModelShape } from '../contract.ts';

/** Where experiments look for an option: uniformly between two bounds, on a linear or a logarithmic scale, or among values. */
export type SearchRange =
  | { readonly scale: 'linear' | 'log'; readonly from: number; readonly to: number }
  | { readonly values: readonly number[] };

/** The label of a row of which none is known: kinds that teach themselves learn from it what they are sure of. */
export const OWN_LABEL = -2;

export interface ModelKind {
  /** One sentence for a person who chooses. */
  readonly summary: string;
  /** The shapes it takes: two labels or any number of them; with dense columns or without. */
  readonly labels: 'two' | 'any';
  readonly columns: boolean;
  /** Whether it learns rows with OWN_LABEL; other kinds skip them: plain learners only learn their own mistakes by heart. */
  readonly teachesItself: boolean;
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
    labels: 'any',
    columns: true,
    teachesItself: false,
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
  text: {
    summary:
      'The mean of several learners for texts and mails with two labels: one per view of the mail, one over naive-Bayes ratios of all features; calibrated as labels come. More accurate than `linear` where rows have views; three times its memory, half as long again to score, four times as long to learn.',
    labels: 'two',
    columns: false,
    teachesItself: true,
    options: z.strictObject({
      views: z
        .literal([1, 2, 4, 8])
        .default(4)
        .describe(
          'Regions of the index space that have a learner of their own, named by the top bits of a bucket. Those that no row uses cost nothing.',
        ),
      rate: option(
        1e-6,
        100,
        0.4,
        'Step size of AdaGrad, of every learner. 0.3 to 0.6 for rows of about unit length.',
      ),
      smoothing: option(
        1e-3,
        100,
        0.5,
        'Added to the counts behind the naive-Bayes ratios: larger values trust rare features less.',
      ),
      calibration: option(
        0,
        1,
        0.02,
        'Step size of the calibration that makes the mean a probability; 0 leaves it as it is.',
      ),
      all: flag(
        0,
        'Whether there is a learner over all features besides those of the views (1) or not (0): a third more memory, half as much time again.',
      ),
      guard: flag(
        1,
        'Whether the share of wrong labels is estimated, and learning made robust against them where it is not small (1) or every label is taken as true (0).',
      ),
    }),
    search: {
      rate: { scale: 'log', from: 0.1, to: 2 },
      smoothing: { scale: 'log', from: 0.1, to: 2 },
      all: { values: [0, 1] },
      guard: { values: [0, 1] },
    },
  },
  stack: {
    summary:
      'Several learners of different kinds over the columns of a row, linear, kernel, curves, a small network and nearest neighbours, weighed online by what each proved to be worth on this stream. For sensors, any number of labels; the most accurate kind where rows have dense columns, at 20 to 100 µs a row to score and learn.',
    labels: 'any',
    columns: true,
    teachesItself: false,
    options: z.strictObject({
      rate: option(
        1e-3,
        100,
        1,
        'Factor of all step sizes: above 1 follows drift faster, below 1 is steadier where labels are noisy.',
      ),
      window: z
        .number()
        .int()
        .min(1)
        .max(100_000)
        .default(2000)
        .describe(
          'Learned rows among which the nearest neighbours of a row are looked for. Cost and memory grow with it.',
        ),
      hidden: z
        .number()
        .int()
        .min(1)
        .max(256)
        .default(48)
        .describe('Width of the two layers of the network.'),
      features: z
        .number()
        .int()
        .min(0)
        .max(512)
        .default(64)
        .describe(
          'Random features of the kernel learner; the cost grows with the square of them and the columns.',
        ),
      history: flag(
        0,
        'Whether the label learned last is an input (1) or not (0). Helps a little where labels come at once and tend to repeat; harms where they come late.',
      ),
    }),
    search: {
      rate: { scale: 'log', from: 0.3, to: 3 },
      window: { values: [500, 1000, 2000, 4000] },
      hidden: { values: [32, 48, 64] },
      features: { values: [32, 64, 128] },
    },
  },
} as const satisfies Record<string, ModelKind>;

export type ModelKindName = keyof typeof modelKinds;

/** The row of a kind, or null: names come from files and configurations. */
export function findModelKind(name: string): ModelKind | null {
  return Object.hasOwn(modelKinds, name) ? modelKinds[name as ModelKindName] : null;
}

/** What learns where nothing is said: rows in several views pay for a learner each, others for none. */
export function defaultKind(shape: ModelShape, views: number): ModelKindName {
  return views > 1 && takesShape(modelKinds.text, shape) ? 'text' : 'linear';
}

/** Whether a kind takes rows of this shape. */
export function takesShape({ labels, columns }: ModelKind, shape: ModelShape): boolean {
  if (labels === 'two' && shape.classes !== 2) return false;
  return columns || (shape.denseDims === 0 && shape.dims > 0);
}
