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
  /** Wider shapes are refused; left out where nothing is too wide. */
  readonly most?: { readonly columns: number; readonly labels: number };
  /** Whether it learns rows with OWN_LABEL; other kinds skip them: plain learners only learn their own mistakes by heart. */
  readonly teachesItself: boolean;
  readonly options: z.ZodObject<Readonly<Record<string, z.ZodType<number>>>>;
  /** The search space of experiments; an option that is not in it stays as configured. */
  readonly search: Readonly<Record<string, SearchRange>>;
}

/** One number with a default, the bounds of what makes sense, and what it does. */
const option = (least: number, most: number, fallback: number, meaning: string) =>
  z.number().min(least).max(most).default(fallback).describe(meaning);

const whole = (least: number, most: number, fallback: number, meaning: string) =>
  z.number().int().min(least).max(most).default(fallback).describe(meaning);

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
  forest: {
    summary:
      'Adaptive random forest: trees that grow as rows come, each over a random part of the columns, replaced when they fall behind. The choice for readings whose classes no line separates, and for streams that change; splits by columns and by categories. About thirty times the work of `linear`; memory is bounded.',
    labels: 'any',
    columns: true,
    teachesItself: false,
    options: z.strictObject({
      trees: whole(1, 256, 10, 'Trees that vote. More are better and cost their share of time.'),
      columns: option(
        0.001,
        1,
        0.6,
        'Share of the columns that a tree looks at, drawn once for each tree (random patches); never fewer than 12 columns.',
      ),
      candidates: option(
        0.001,
        1,
        0.3,
        "Share of a tree's columns that a leaf may split by, drawn for each leaf (random forest); never fewer than 5 columns.",
      ),
      bagging: option(
        0.1,
        16,
        6,
        'How often a tree learns a row, on average (Poisson). Less makes trees more careful.',
      ),
      grace: option(
        1,
        1e6,
        8,
        'Rows that a leaf learns before it looks for a split, and again between two looks.',
      ),
      confidence: option(
        1e-12,
        0.5,
        0.01,
        'Of a split: the probability that another column would have been better after all.',
      ),
      tie: option(
        0,
        1,
        0.05,
        'Splits whose gains certainly differ by less than this, in bits, are equally good.',
      ),
      warning: option(
        0,
        0.5,
        0.1,
        "Of the detector of a tree's errors that plants a new tree beside it: its probability of a false alarm per look. 0: none is planted.",
      ),
      drift: option(
        0,
        0.5,
        0.01,
        'Of the detector that puts the new tree in the place of the old one at once. 0: never.',
      ),
      better: option(
        0,
        1,
        0.05,
        'By how much the share of right answers of the new tree, over about 100 rows, must be higher to take the place of the old one without a drift. 1: never.',
      ),
      retired: whole(
        0,
        8,
        1,
        'Trees kept by each voice after their time, for concepts that come back; they are compared like the new tree.',
      ),
      predictor: whole(
        0,
        2,
        2,
        'What leaves say: the classes they counted (0), naive Bayes (1), or both by how often each was right (2).',
      ),
      balance: option(
        0,
        1,
        0,
        'Imbalance of classes taken out of the weights of rows: 0 not at all, 1 until each class weighs alike.',
      ),
      memory: option(
        1,
        65_536,
        64,
        'MiB that all trees together may grow to. The least promising leaves then stop to look for splits.',
      ),
    }),
    search: {
      trees: { values: [10, 30] },
      columns: { scale: 'linear', from: 0.3, to: 1 },
      candidates: { scale: 'linear', from: 0.1, to: 1 },
      bagging: { scale: 'log', from: 1, to: 12 },
      confidence: { scale: 'log', from: 1e-4, to: 0.1 },
      tie: { scale: 'log', from: 0.01, to: 0.2 },
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
    most: { columns: 1_024, labels: 256 },
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

/**
 * What learns where nothing is said: rows in several views pay for a learner each, rows with columns for learners of
 * several kinds, unless a lean model is meant to learn them.
 */
export function defaultKind(shape: ModelShape, views: number, lean = true): ModelKindName {
  if (views > 1 && takesShape(modelKinds.text, shape)) return 'text';
  return !lean && takesShape(modelKinds.stack, shape) ? 'stack' : 'linear';
}

/** Whether a kind takes rows of this shape. */
export function takesShape({ labels, columns, most }: ModelKind, shape: ModelShape): boolean {
  if (labels === 'two' && shape.classes !== 2) return false;
  if (most && (shape.denseDims > most.columns || shape.classes > most.labels)) return false;
  return columns || (shape.denseDims === 0 && shape.dims > 0);
}
