/**
 * Numbers and times as people read them, always with their unit. Pure, so that server and page say the same.
 * What is no number is a dash, never `NaN`.
 */
const NONE = '–';
const isNumber = (x: unknown): x is number => typeof x === 'number' && Number.isFinite(x);

/** `12,400` */
export function count(x: number | null | undefined): string {
  return isNumber(x) ? Math.round(x).toLocaleString('en') : NONE;
}

/** `412`, `5.2k`, `1.3M`: for figures that change every second. */
export function short(x: number | null | undefined): string {
  if (!isNumber(x)) return NONE;
  const size = Math.abs(x);
  if (size >= 999_500) return `${trim(x / 1e6)}M`;
  if (size >= 9_995) return `${trim(x / 1e3)}k`;
  return size >= 100 || Number.isInteger(x) ? count(x) : trim(x);
}

const trim = (x: number): string => (Math.abs(x) >= 99.95 ? Math.round(x).toString() : x.toFixed(1));

/** `5.2k/s` */
export function rate(x: number | null | undefined): string {
  return isNumber(x) ? `${short(x)}/s` : NONE;
}

/** `97.1 %` of a share. Two decimals where one would hide that something is missing to 100. */
export function percent(x: number | null | undefined): string {
  if (!isNumber(x)) return NONE;
  const points = 100 * x;
  return `${points > 99.9 && points < 100 ? Math.min(99.99, points).toFixed(2) : points.toFixed(1)} %`;
}

/** A share near nothing, with two significant digits: `0.024 %`. */
export function small(x: number): string {
  const points = 100 * x;
  if (!(points > 0)) return '0 %';
  const digits = Math.max(0, 1 - Math.floor(Math.log10(points)));
  return `${points.toFixed(Math.min(digits, 6))} %`;
}

/** `+0.9 ± 0.3 points` */
export function points(x: number, by: number): string {
  return `${x < 0 ? '−' : '+'}${Math.abs(x).toFixed(1)} ± ${by.toFixed(1)} points`;
}

/** `0.42 ms`, `4 ms`, `1.3 s` */
export function ms(x: number | null | undefined): string {
  if (!isNumber(x)) return NONE;
  if (x >= 10_000) return `${Math.round(x / 1000)} s`;
  if (x >= 1000) return `${(x / 1000).toFixed(1)} s`;
  if (x >= 10) return `${Math.round(x)} ms`;
  return `${x >= 1 ? x.toFixed(1) : x.toFixed(2)} ms`;
}

/** `3.0 MiB` */
export function bytes(x: number | null | undefined): string {
  if (!isNumber(x)) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [size, unit] = [x, 0];
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

/** A number of any size in a few characters: levels of what is watched. */
export function level(x: number | null | undefined): string {
  if (!isNumber(x)) return NONE;
  if (x === 0) return '0';
  const size = Math.abs(x);
  if (size >= 100_000 || size < 0.001) return x.toExponential(1);
  return size >= 1000 ? count(x) : String(Number(x.toPrecision(3)));
}

/** `just now`, `12 s`, `4 min`, `3 h`, `2 d`: how long a span is. */
export function span(milliseconds: number | null | undefined): string {
  if (!isNumber(milliseconds)) return NONE;
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 6_000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** The first twelve digits of a digest. */
export function digest(text: string): string {
  return text.slice(0, 12);
}

/** `1 gateway`, `2 gateways` */
export function plural(n: number, word: string): string {
  return `${count(n)} ${word}${n === 1 ? '' : 's'}`;
}
