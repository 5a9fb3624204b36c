/** From values to places on paper: linear and logarithmic scales, ticks that people would choose, and lines thinned to what an eye can tell apart. */
import { short } from './words.ts';

export type Point = readonly [x: number, y: number];

export interface Tick {
  readonly at: number;
  readonly text: string;
}

/** `place` maps a value from `low` to `high` to 0 … 1 (what lies outside goes to the nearer end). */
export interface Scale {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly Tick[];
  place(value: number): number;
}

const within = (share: number): number => Math.min(1, Math.max(0, share));

/** The 1, 2 or 5 times a power of ten next above range / most. */
function niceStep(range: number, most: number): number {
  const rough = range / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((f) => f * power >= rough * (1 - 1e-9)) ?? 10;
  return factor * power;
}

function multiples(low: number, high: number, step: number): number[] {
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** From `low` to `high` > `low`, with about `most` ticks. `text` writes them. */
export function linear(
  low: number,
  high: number,
  most: number,
  text: (value: number) => string = short,
): Scale {
  const ticks = multiples(low, high, niceStep(high - low, most)).map((at) => ({ at, text: text(at) }));
  return { low, high, ticks, place: (value) => within((value - low) / (high - low)) };
}

/** Counts from 0 to the tick at or above `most`; about two ticks above 0. */
export function upTo(most: number): Scale {
  const step = niceStep(Math.max(1, most), 2);
  return linear(0, Math.ceil(most / step - 1e-9) * step, 2);
}

/** Shares that reach up to 1: from the tick next below `least`. */
export function shares(least: number, most: number): Scale {
  const rough = Math.max(0.002, 1 - Math.max(0, least));
  const step = niceStep(rough, most);
  const low = Math.max(0, 1 - Math.ceil(rough / step - 1e-9) * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) - 2);
  return linear(low, 1, most + 1, (value) => `${(100 * value).toFixed(digits)} %`);
}

/** Powers of ten from that at or below `least` up to 1. `least` > 0. */
export function logarithmic(least: number): Scale {
  const decades = Math.min(12, Math.max(1, Math.ceil(-Math.log10(least) - 1e-9)));
  const ticks = Array.from({ length: decades + 1 }, (_, i) => {
    const at = Number((10 ** (i - decades)).toPrecision(3));
    return { at, text: `${Number((100 * at).toPrecision(3))} %` };
  });
  const place = (value: number) => (value <= 0 ? 0 : within(1 + Math.log10(value) / decades));
  return { low: 10 ** -decades, high: 1, ticks, place };
}

/** Most points of one line. */
const MAX_POINTS = 500;

/**
 * Those points of a line that matter (Ramer 1972, Douglas & Peucker 1973): no point left out lies further than
 * `tolerance` from the line drawn. Where that leaves more than 500, these are thinned again with twice as much.
 */
export function thin(points: readonly Point[], tolerance: number): readonly Point[] {
  let kept = simplify(points, tolerance);
  for (let reach = 2 * tolerance; kept.length > MAX_POINTS; reach *= 2) kept = simplify(kept, reach);
  return kept;
}

function simplify(points: readonly Point[], tolerance: number): readonly Point[] {
  if (points.length < 3) return points;
  const keep = new Uint8Array(points.length);
  keep[0] = 1;
  keep[points.length - 1] = 1;
  // A stack, not a recursion: a line of equal steps is as deep as it is long.
  const open: (readonly [from: number, to: number])[] = [[0, points.length - 1]];
  for (let span = open.pop(); span; span = open.pop()) {
    const [from, to] = span;
    let [worst, at] = [tolerance, -1];
    for (let i = from + 1; i < to; i++) {
      const off = distance(points[i], points[from], points[to]);
      if (off > worst) [worst, at] = [off, i];
    }
    if (at < 0) continue;
    keep[at] = 1;
    open.push([from, at], [at, to]);
  }
  return points.filter((_, i) => keep[i] === 1);
}

/** From a point to a stretch. */
function distance([x, y]: Point, [x0, y0]: Point, [x1, y1]: Point): number {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : within(((x - x0) * dx + (y - y0) * dy) / length);
  return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
}
