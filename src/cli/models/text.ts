/** How a model is written for a person: numbers with their units, times with how long ago, columns that line up. */
import type { BundleManifest, Measured } from '../../contract.ts';
import type { PublicKey } from '../../model/signing.ts';
import { safeText } from '../preview.ts';

export const shortDigest = (digest: string): string => digest.slice(0, 12);
export const whole = (n: number): string => n.toLocaleString('en-US', { maximumFractionDigits: 0 });
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
/** Three significant digits, never as 1e-7 where that can be helped. */
export const figure = (n: number): string => {
  const rounded = Number(n.toPrecision(3));
  return Math.abs(rounded) >= 1e-6 || rounded === 0
    ? rounded.toLocaleString('en-US', { maximumFractionDigits: 9, useGrouping: false })
    : String(rounded);
};

const UNITS = ['B', 'KiB', 'MiB', 'GiB'] as const;

export function size(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const amount = bytes / 1024 ** power;
  return `${power === 0 || amount >= 100 ? amount.toFixed(0) : amount.toFixed(1)} ${UNITS[power]}`;
}

const SPANS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** `3 d`, `2 h`, `0 s`: the largest unit that fits. */
export function span(ms: number): string {
  const [unit, length] = SPANS.find(([, least]) => Math.abs(ms) >= least) ?? SPANS[3];
  return `${Math.floor(Math.abs(ms) / length)} ${unit}`;
}

/** `2026-01-31 14:05 UTC`; what is no time of this world is said to be none. */
export function moment(ms: number): string {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return 'no time';
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

export const ago = (ms: number, now: number): string =>
  ms > now ? `in ${span(ms - now)}` : `${span(now - ms)} ago`;

export const nameOf = ({ task, version }: BundleManifest): string => `${task} v${version}`;

/** `0.081 (0.069–0.093)` */
export const logLoss = ({ logLoss, interval: [low, high] }: Measured): string =>
  `${figure(logLoss)} (${figure(low)}–${figure(high)})`;

/** A signer by the name it is trusted under, else by its key. */
export function signerName(signer: string | null, trusted: readonly PublicKey[]): string {
  if (signer === null) return 'nobody';
  const known = trusted.find(({ hex }) => signer === `ed25519:${Buffer.from(hex, 'hex').toString('base64')}`);
  return known?.name ? `${safeText(known.name)} (${signer})` : signer;
}

export interface Column {
  readonly head: string;
  /** Numbers stand right. */
  readonly right?: true;
}

/** Lines of a table, its head first; columns as wide as their widest cell, lines cut at `width`. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  const all = [columns.map(({ head }) => head), ...rows];
  const widths = columns.map((_, c) => Math.max(...all.map((row) => row[c].length)));
  return all.map((row) => {
    const cells = row.map((cell, c) =>
      columns[c].right ? cell.padStart(widths[c]) : cell.padEnd(widths[c]),
    );
    const line = cells.join('  ').trimEnd();
    return line.length > width ? `${line.slice(0, width - 1)}…` : line;
  });
}

/** `name      text`, further lines of the same name below each other. */
export function field(name: string, ...lines: readonly string[]): string[] {
  return lines.map((line, i) => `${(i === 0 ? name : '').padEnd(10)} ${line}`);
}
