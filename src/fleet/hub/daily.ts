/** Maintenance windows: spans of every day in UTC, `HH:MM-HH:MM`, which may run over midnight. Refuses other texts, and empty spans. */
import { z } from 'zod';

export interface DailyWindow {
  /** Minutes since midnight UTC; `to` < `from` runs over midnight. */
  readonly from: number;
  readonly to: number;
}

const CLOCK = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/;

export const dailyWindow = z.string().transform((text, context): DailyWindow => {
  const [, ...parts] = CLOCK.exec(text.replace(/\s/g, '')) ?? [];
  const [fromHour, fromMinute, toHour, toMinute] = parts.map(Number);
  const window = { from: fromHour * 60 + fromMinute, to: toHour * 60 + toMinute };
  if (parts.length === 4 && window.from !== window.to) return window;
  context.addIssue({
    code: 'custom',
    message: 'is no daily window; write HH:MM-HH:MM in UTC, as in 22:00-04:30',
  });
  return z.NEVER;
});

/** Whether changes are allowed at `now` (ms); always where there are no windows. */
export function isOpen(windows: readonly DailyWindow[], now: number): boolean {
  const date = new Date(now);
  const minute = date.getUTCHours() * 60 + date.getUTCMinutes();
  const inside = ({ from, to }: DailyWindow) =>
    from < to ? minute >= from && minute < to : minute >= from || minute < to;
  return windows.length === 0 || windows.some(inside);
}
