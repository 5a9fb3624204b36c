/** Numbers as the report writes them. What has no value is a dash, never NaN. */

export const DASH = '–';

const has = (value: number | null | undefined): value is number =>
  typeof value === 'number' && Number.isFinite(value);

/** 45,312 */
export const count = (value: number | null | undefined): string =>
  has(value) ? Math.round(value).toLocaleString('en-US') : DASH;

/** Of a share: 88.12 %. What is not quite all or nothing is never written as if it were. */
export function percent(share: number | null | undefined, digits = 2): string {
  if (!has(share)) return DASH;
  const text = (100 * share).toFixed(digits);
  const least = 10 ** -digits;
  if (share < 1 && Number(text) === 100) return `> ${(100 - least).toFixed(digits)} %`;
  if (share > 0 && Number(text) === 0) return `< ${least.toFixed(digits)} %`;
  return `${text} %`;
}

export const decimal = (value: number | null | undefined, digits = 4): string =>
  has(value) ? value.toFixed(digits).replace('-', '−') : DASH;

/** On axes, short: 500, 20 k, 1.5 M. */
export function short(value: number): string {
  const units: readonly (readonly [number, string])[] = [
    [1e9, ' G'],
    [1e6, ' M'],
    [1e4, ' k'],
  ];
  for (const [least, unit] of units) {
    const size = least === 1e4 ? 1e3 : least;
    if (Math.abs(value) >= least) return `${Number((value / size).toPrecision(4))}${unit}`;
  }
  return value.toLocaleString('en-US');
}

/** 1.2 MiB */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let [value, unit] = [bytes, 0];
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** 0.42 s, 12.3 s, 2 min 05 s */
export function seconds(value: number): string {
  if (value < 120) return `${value.toFixed(value < 1 ? 2 : 1)} s`;
  const whole = Math.round(value);
  return `${count(Math.floor(whole / 60))} min ${String(whole % 60).padStart(2, '0')} s`;
}
