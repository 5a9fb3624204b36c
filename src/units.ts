/**
 * Durations and sizes as people write them (`10s`, `7d`, `64MiB`), parsed once at the edge to
 * milliseconds and bytes. Refuses what it cannot read exactly.
 */
import { z } from 'zod';

const MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
const BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, kB: 1e3, MB: 1e6, GB: 1e9 } as const;

function parse(text: string, units: Readonly<Record<string, number>>): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*$/.exec(text);
  if (!match) return null;
  const unit = units[match[2]];
  return unit === undefined ? null : Number(match[1]) * unit;
}

/** `"500ms" | "10s" | "5m" | "2h" | "7d" | "1w"` or a number of milliseconds, to milliseconds. */
export const duration = z
  .union([z.number().nonnegative(), z.string()])
  .transform((value, context) => {
    const ms = typeof value === 'number' ? value : parse(value, MS);
    if (ms !== null) return ms;
    context.addIssue({ code: 'custom', message: 'not a duration; write 500ms, 10s, 5m, 2h or 7d' });
    return z.NEVER;
  })
  .meta({ unit: 'duration' });

/** `"64MiB" | "1GiB" | "300kB"` or a number of bytes, to bytes. */
export const byteSize = z
  .union([z.number().nonnegative(), z.string()])
  .transform((value, context) => {
    const bytes = typeof value === 'number' ? value : parse(value, BYTES);
    if (bytes !== null) return Math.floor(bytes);
    context.addIssue({ code: 'custom', message: 'not a size; write 300kB, 64MiB or 1GiB' });
    return z.NEVER;
  })
  .meta({ unit: 'size' });

/** Milliseconds or bytes as people write them, in the largest unit that says them exactly. */
export function showUnit(unit: 'duration' | 'size', amount: number): string {
  const units = Object.entries(unit === 'duration' ? MS : BYTES).sort((a, b) => b[1] - a[1]);
  const exact = units.find(([, size]) => amount >= size && amount % size === 0);
  return exact ? `${amount / exact[1]}${exact[0]}` : String(amount);
}
