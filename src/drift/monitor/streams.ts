/**
 * The streams of a task: which there are, which way each is watched, how its number reads in its own unit, and which
 * alarm goes first where several have one cause. Names are public: they stand in drift messages and metrics.
 */
import type { Side } from '../sums.ts';

/** Most dense columns that are watched each by itself. */
export const MOST_COLUMNS = 256;
/** Most labels whose loss is watched each by itself. */
export const MOST_LABELS = 32;

export type StreamKind =
  | 'logLoss'
  | 'labelLoss'
  | 'errors'
  | 'margin'
  | 'score'
  | 'verdicts'
  | 'missing'
  | 'feature'
  | 'spread'
  | 'cells'
  | 'values'
  | 'sketch'
  | 'volume'
  | 'latency';

interface Row {
  /** Lower goes first: labels tell that it hurts, the rest that something is different. */
  readonly rank: number;
  readonly side: Side;
  /** The number that is watched, in the unit that people read. */
  readonly unit: (value: number) => number;
}

const same = (value: number): number => value;
/** Losses and distances of distributions are watched by their roots, errors by their angles: see blocks.ts. */
const squared = (value: number): number => value * value;

export const streamKinds: Readonly<Record<StreamKind, Row>> = {
  // Labels: only getting worse is told; a model that learns gets better all the time.
  logLoss: { rank: 0, side: 'up', unit: squared },
  // Of the events of one true label: how many of them there are says nothing, only how they are judged.
  labelLoss: { rank: 0, side: 'up', unit: squared },
  errors: { rank: 0, side: 'up', unit: (value) => Math.sin(value) ** 2 },
  margin: { rank: 0, side: 'down', unit: (value) => 1 - value * value },
  // Confidence rises while a model learns.
  score: { rank: 1, side: 'down', unit: same },
  verdicts: { rank: 1, side: 'up', unit: squared },
  missing: { rank: 2, side: 'both', unit: same },
  feature: { rank: 3, side: 'both', unit: same },
  spread: { rank: 3, side: 'both', unit: same },
  cells: { rank: 3, side: 'both', unit: same },
  values: { rank: 3, side: 'both', unit: same },
  sketch: { rank: 3, side: 'up', unit: squared },
  // Twice the root of a count has deviation 1 whatever the count (Anscombe 1948).
  volume: { rank: 4, side: 'both', unit: (value) => Math.max(0, (value / 2) ** 2 - 3 / 8) },
  latency: { rank: 5, side: 'up', unit: Math.exp },
};

/** Of labels, or of what a model gives: a new model makes new levels. */
export const ofModel = (kind: StreamKind): boolean => streamKinds[kind].rank <= 1;

export interface StreamName {
  readonly name: string;
  readonly kind: StreamKind;
  /** Index into the watched columns, -1 for none. */
  readonly column: number;
}

export const labelLoss = (label: string): string => `logLoss:${label}`;

/** The labels that are watched each by itself: the first ones of many, none where there is but one. */
export const watchedLabels = (labels: readonly string[]): readonly string[] =>
  labels.length < 2 ? [] : labels.slice(0, MOST_LABELS);

/** Every stream of a task with these watched columns and labels. */
export function streamNames(columns: readonly string[], labels: readonly string[]): StreamName[] {
  const plain = (kind: StreamKind): StreamName => ({ name: kind, kind, column: -1 });
  const ofColumn = (kind: StreamKind) =>
    columns.map((column, i): StreamName => ({ name: `${kind}:${column}`, kind, column: i }));
  return [
    ...(['logLoss', 'errors', 'margin', 'score', 'verdicts'] as const).map(plain),
    ...labels.map((label): StreamName => ({ name: labelLoss(label), kind: 'labelLoss', column: -1 })),
    ...ofColumn('missing'),
    ...ofColumn('feature'),
    ...ofColumn('spread'),
    ...(['cells', 'values', 'sketch', 'volume', 'latency'] as const).map(plain),
  ];
}

/**
 * Names of dense columns with those blanked that are not worth watching by themselves: marks of missing values (the column
 * tells that) and sines and cosines of times (they turn with the clock).
 */
export const watchedColumns = (names: readonly string[]): string[] =>
  names.map((name) => (/ (missing|sin|cos)$/.test(name) ? '' : name));
