/**
 * The fleet's counts as a person reads them: one line a second while it runs, a few lines at the end.
 * Pure: text out of numbers.
 */
import type { FleetCounts, FleetSummary, StreamCounts } from './fleet.ts';

const whole = (n: number): string => Math.round(n).toLocaleString('en-US');
const percent = (p: number | null): string => (p === null ? '–' : `${(100 * p).toFixed(1)} %`);
const sum = (counts: FleetCounts, pick: (task: StreamCounts) => number): number =>
  counts.tasks.reduce((total, task) => total + pick(task), 0);

/** Rates between two counts, a second. */
export function ratesBetween(
  before: FleetCounts,
  now: FleetCounts,
): { readonly sent: number; readonly verdicts: number } {
  const seconds = Math.max(1e-3, now.seconds - before.seconds);
  const rate = (pick: (task: StreamCounts) => number): number =>
    (sum(now, pick) - sum(before, pick)) / seconds;
  return { sent: rate((t) => t.sent), verdicts: rate((t) => t.verdicts) };
}

/** `  12 s  5,012/s sent  4,998/s verdicts  3 open · machine 97.1 % · spam learning …` */
export function statusLine(before: FleetCounts, now: FleetCounts): string {
  const { sent, verdicts } = ratesBetween(before, now);
  const open = sum(now, (t) => t.outstanding);
  const tasks = now.tasks.map((t) => {
    if (t.verdicts === 0) return `${t.task} no verdict yet`;
    return t.tested === 0 ? `${t.task} learning` : `${t.task} ${percent(t.recentAccuracy)}`;
  });
  const head = `${whole(now.seconds).padStart(4)} s  ${whole(sent)}/s sent  ${whole(verdicts)}/s verdicts  ${whole(open)} open`;
  return [head, ...tasks].join(' · ');
}

/** The final account, line by line. */
export function summaryLines(summary: FleetSummary): string[] {
  const rows = summary.tasks.map((t) => {
    const p = t.latencyMs;
    return [
      t.task,
      whole(t.sent),
      whole(t.verdicts),
      whole(t.deadLetters),
      whole(t.duplicates),
      whole(t.labelled),
      percent(t.accuracy),
      t.verdicts + t.deadLetters > 0 ? `${p.p50} / ${p.p95} / ${p.p99}` : '–',
    ];
  });
  const head = ['task', 'sent', 'verdicts', 'dead', 'duplicates', 'labels', 'accuracy', 'ms p50 / p95 / p99'];
  const lines = table([head, ...rows]);
  const skipped = sum(summary, (t) => t.skipped);
  if (skipped > 0)
    lines.push(`${whole(skipped)} messages were not made: broker or gateway were too slow for the rate`);
  if (summary.resent > 0)
    lines.push(`${whole(summary.resent)} messages were sent again after an unconfirmed publish`);
  if (summary.refused > 0) lines.push(`${whole(summary.refused)} messages were refused by the broker`);
  lines.push(`${whole(summary.lost)} lost in ${summary.seconds.toFixed(1)} s`);
  return lines;
}

/** Columns under each other; the first to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
  );
}
