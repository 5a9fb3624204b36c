/**
 * Dense columns as a model gets them: missing values filled, outliers cut off, brought to scale, categories encoded by
 * their labels; each by a rule, with statistics of the rows learned so far. Promises: a row that is scored changes
 * nothing; a row that is learned is conditioned by those before it and only then counted, so that scoring it first
 * would have given the same numbers, and learning many at once equals learning them one by one.
 *
 * Where a statistic is not known yet the value is missing.
 */
import type { ColumnRule, ModelShape, Rows } from '../../contract.ts';
import { ColumnStats } from './column.ts';
import { Targets } from './targets.ts';

interface Column {
  readonly rule: ColumnRule;
  readonly stats: ColumnStats;
  readonly targets: Targets | null;
  /** Where the labels from the third on go. */
  readonly extra: number;
}

export class Conditioner {
  readonly shape: ModelShape;
  /** What the model behind it has. */
  readonly inner: ModelShape;
  readonly #columns: readonly Column[];

  constructor(shape: ModelShape) {
    const { dims, denseDims, classes, rules = [] } = shape;
    this.shape = shape;
    const more = classes - 2;
    let extra = denseDims;
    this.#columns = rules.map((rule) => {
      const ordered =
        rule.impute === 'median' || rule.clip > 0 || rule.scale === 'minmax' || rule.scale === 'robust';
      const targets = rule.target ? new Targets(classes) : null;
      const column = { rule, stats: new ColumnStats(ordered), targets, extra };
      if (rule.target) extra += more;
      return column;
    });
    this.inner = { dims, denseDims: extra, classes };
  }

  get bytes(): number {
    return this.#columns.reduce((all, { stats, targets }) => all + stats.bytes + (targets?.bytes ?? 0), 0);
  }

  /** Row `i`, conditioned, as row `to` of `out` (rows of `inner`). */
  write(rows: Rows, i: number, out: Float32Array, to: number): void {
    const { denseDims } = this.shape;
    const width = this.inner.denseDims;
    const from = i * denseDims;
    const start = to * width;
    for (let c = 0; c < denseDims; c += 1) out[start + c] = rows.dense[from + c];
    for (const { rule, stats, targets, extra } of this.#columns) {
      const value = rows.dense[from + rule.column];
      if (targets === null) {
        out[start + rule.column] = numberOf(value, rule, stats);
        continue;
      }
      out[start + rule.column] = targets.share(value, 1);
      for (let label = 2; label < this.shape.classes; label += 1)
        out[start + extra + label - 2] = targets.share(value, label);
    }
  }

  /** Row `i` was learned. */
  add(rows: Rows, i: number, label: number, weight: number): void {
    const from = i * this.shape.denseDims;
    for (const { rule, stats, targets } of this.#columns) {
      const value = rows.dense[from + rule.column];
      if (targets === null) stats.add(value);
      else targets.add(value, label, weight);
    }
  }

  /** Everything learned, in parts. */
  save(): Float64Array[] {
    return this.#columns.map(({ stats, targets }) => {
      if (targets) return targets.save();
      const { count, mean, squares, kept } = stats.save();
      return Float64Array.from([count, mean, squares, ...kept]);
    });
  }

  /** Of a new one; false where the parts cannot be what `save` gave. */
  restore(parts: readonly Float64Array[]): boolean {
    return this.#columns.every(({ stats, targets }, i) => {
      const part = parts[i];
      if (targets) return targets.restore(part);
      return stats.restore({ count: part[0], mean: part[1], squares: part[2], kept: part.subarray(3) });
    });
  }
}

function numberOf(given: number, { impute, clip, scale }: ColumnRule, stats: ColumnStats): number {
  let value = given;
  if (!(value - value === 0)) {
    if (impute === 'none') return Number.NaN;
    value = impute === 'mean' ? stats.mean : stats.median;
  }
  // What may be an outlier must not reach the moments of the model: they would remember it for ever.
  if (clip > 0 && !stats.settled) return Number.NaN;
  if (clip > 0) value = within(value, stats.median, clip * stats.range);
  if (scale === 'zscore') return by(value, stats.mean, stats.deviation);
  if (scale === 'robust') return by(value, stats.median, stats.range);
  if (scale === 'minmax') return by(value, stats.least, stats.most - stats.least);
  return value;
}

/** Scaled values are cut here, as in the models: one broken sensor must not drown the others. */
const MOST = 8;
/** Relative to the middle: what is smaller is the rounding noise of a constant. */
const NOISE = 1e-6;

/** A column whose middle half is one value has no range to cut by. */
const within = (value: number, middle: number, reach: number): number =>
  reach > 0 ? Math.min(middle + reach, Math.max(middle - reach, value)) : value;

/** What does not vary tells nothing: 0. Missing while nothing is known. */
function by(value: number, middle: number, spread: number): number {
  if (spread <= NOISE * Math.abs(middle)) return value - value;
  return Math.min(MOST, Math.max(-MOST, (value - middle) / spread));
}
