/** Points of a series on their way to a chart: a delta put onto what was there, and gaps made visible. Pure. */
import type { Column, SeriesView } from '../view.ts';

/** So many times the usual step without a point is a gap. */
const GAP = 4;

/** The points that were there before `delta.from`, then those of the delta. */
export function merge(old: SeriesView | null, delta: SeriesView | null): SeriesView | null {
  if (!old || !delta || delta.from === 0) return delta;
  const newest = delta.at.at(-1) ?? old.at.at(-1) ?? 0;
  const oldest = newest - (delta.range === 'hour' ? 3_600_000 : 86_400_000);
  const first = old.at.findIndex((at) => at >= oldest);
  const end = old.at.findIndex((at) => at >= delta.from);
  const [a, b] = [first < 0 ? old.at.length : first, end < 0 ? old.at.length : end];
  const join = (name: Column) => [...old.columns[name].slice(a, b), ...delta.columns[name]];
  const columns = { ...delta.columns };
  for (const name of Object.keys(columns) as Column[]) columns[name] = join(name);
  return { ...delta, at: [...old.at.slice(a, b), ...delta.at], columns };
}

/** Where nothing was told for a while, a point without values, so that no line pretends to know. */
export function withGaps(series: SeriesView): SeriesView {
  const { at, columns, resolutionMs } = series;
  const steps = at.slice(1).map((time, i) => time - at[i]);
  const usual = [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)] ?? resolutionMs;
  const breaks = steps.flatMap((step, i) => (step > GAP * Math.max(usual, resolutionMs) ? [i + 1] : []));
  if (breaks.length === 0) return series;
  const broken = <T>(values: readonly T[], between: (i: number) => T): T[] =>
    values.flatMap((value, i) => (breaks.includes(i) ? [between(i), value] : [value]));
  const drawn = { ...columns };
  for (const name of Object.keys(drawn) as Column[]) drawn[name] = broken(drawn[name], () => null);
  return { ...series, at: broken(at, (i) => at[i - 1] + resolutionMs), columns: drawn };
}
