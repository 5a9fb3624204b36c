/**
 * The fleet's counts as a person reads them: one line a second while it runs, a few lines at the end.
 * Pure: text out of numbers.
 */
import type { DeviceCounts } from './feeds.ts';
import type { FleetCounts, FleetSummary, StreamCounts } from './fleet.ts';
import type { FollowerCounts } from './followers.ts';
import type { Progress, SimulationResult } from './scenario/run.ts';
import type { DriftFound } from './scoring.ts';
import type { TaskPhases } from './stream.ts';

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
  const head = ['task', 'sent', 'verdicts', 'dead', 'twice', 'labels', 'accuracy', 'ms p50 / p95 / p99'];
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

/** The status line of a scenario: that of the fleet, then devices away, followers by state, alarms. */
export function progressLine(before: Progress, now: Progress): string {
  const parts = [statusLine(before.counts, now.counts)];
  if (now.devices && now.devices.states.run < now.devices.devices) parts.push(away(now.devices));
  if (now.followers) parts.push(`followers ${statesOf(now.followers)}`);
  if (now.alarms > 0) parts.push(`${whole(now.alarms)} alarms`);
  return parts.join(' · ');
}

function away({ devices, states, held }: DeviceCounts): string {
  const gone = states.offline + states.boot;
  return `${whole(gone)} of ${whole(devices)} devices away${held > 0 ? `, ${whole(held)} held` : ''}`;
}

/** `940 run, 30 apply, 30 download`; states without anyone are left out. */
function statesOf({ states }: FollowerCounts): string {
  const some = Object.entries(states).filter(([, n]) => n > 0);
  return some
    .sort((a, b) => b[1] - a[1])
    .map(([state, n]) => `${whole(n)} ${state}`)
    .join(', ');
}

/** The final account of a scenario: what there is to tell, and nothing else. */
export function resultLines(result: SimulationResult): string[] {
  const lines = result.tasks.length > 0 ? summaryLines(result) : [];
  if (result.devices) lines.push(...deviceLines(result.devices));
  for (const task of result.phases) if (task.phases.length > 1) lines.push('', ...phaseLines(task));
  if (result.drift.length > 0) lines.push('', ...driftLines(result.drift));
  if (result.drift.length > 0 || result.falseAlarms > 0)
    lines.push(`${whole(result.falseAlarms)} false alarms`);
  if (result.followers) lines.push('', ...followerLines(result.followers));
  return lines;
}

function deviceLines({ outages, reboots, late, dropped, held }: DeviceCounts): string[] {
  if (outages + reboots === 0) return [];
  return [
    `${whole(outages)} losses of connection, ${whole(reboots)} restarts of devices: ${whole(late)} readings came late, ` +
      `${whole(dropped)} were dropped by devices, ${whole(held)} were still held at the end`,
  ];
}

function phaseLines({ task, phases }: TaskPhases): string[] {
  const rows = phases.map((phase) => [
    `${task}: ${phase.name}`,
    seconds(phase.at),
    whole(phase.sent),
    whole(phase.labelled),
    percent(phase.accuracy),
  ]);
  return table([['phase', 'from', 'sent', 'labels', 'accuracy'], ...rows]);
}

function driftLines(drift: readonly DriftFound[]): string[] {
  const rows = drift.map((one) => [
    `${one.name} ${one.what}`,
    one.site,
    seconds(one.after),
    one.delayMs === null ? 'no alarm' : seconds(one.delayMs),
    one.stream ?? '–',
    whole(one.falseAlarmsBefore),
  ]);
  return table([['drift', 'site', 'at', 'alarm after', 'stream', 'false before'], ...rows]);
}

function followerLines(followers: FollowerCounts): string[] {
  const { count, updates, restarts, refusals, running, corruptDownloads, corruptInstalled } = followers;
  const models = Object.entries(running).sort((a, b) => b[1] - a[1]);
  const refused = Object.entries(refusals).map(([code, n]) => `${whole(n)} ${code}`);
  return [
    `${whole(count)} followers: ${statesOf(followers)}`,
    ...models.map(
      ([digest, n]) => `  ${whole(n)} run ${digest === 'none' ? 'no model' : digest.slice(0, 12)}`,
    ),
    `  ${whole(updates)} updates, ${whole(restarts)} restarts in the midst of one, refused: ${refused.join(', ') || 'none'}`,
    ...(corruptDownloads > 0
      ? [`  ${whole(corruptDownloads)} damaged downloads, ${whole(corruptInstalled)} of them installed`]
      : []),
  ];
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
