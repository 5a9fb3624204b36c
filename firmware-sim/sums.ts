/**
 * Books of several sites as one: what is a count is a sum, what is a share is of the sums. Percentiles cannot be
 * added: those of the slower site are shown.
 */
import type { DeviceCounts } from './feeds.ts';
import type { FleetCounts, StreamCounts } from './fleet.ts';
import type { PhaseCounts } from './phases.ts';
import type { TaskPhases } from './stream.ts';

/** Every member of `a` that is a number, plus that of `b`; the others as in `a`. */
function sums<T extends object>(a: T, b: T): T {
  const other = b as Readonly<Record<string, unknown>>;
  const entries = Object.entries(a).map(([key, value]) => {
    const more = other[key];
    return [key, typeof value === 'number' && typeof more === 'number' ? value + more : value];
  });
  return Object.fromEntries(entries) as T;
}

const shareOf = (correct: number, tested: number): number | null => (tested > 0 ? correct / tested : null);

export function addCounts(all: readonly FleetCounts[]): FleetCounts {
  const total = (pick: (counts: FleetCounts) => number): number =>
    all.reduce((sum, counts) => sum + pick(counts), 0);
  return {
    seconds: Math.max(0, ...all.map(({ seconds }) => seconds)),
    tasks: byTask(all.map(({ tasks }) => tasks)).map((tasks) => tasks.reduce(addStreams)),
    resent: total(({ resent }) => resent),
    refused: total(({ refused }) => refused),
    unreadableAnswers: total(({ unreadableAnswers }) => unreadableAnswers),
    faults: addRecords(all.map(({ faults }) => faults)),
  };
}

function addRecords(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const added: Record<string, number> = {};
  for (const one of all)
    for (const [key, value] of Object.entries(one)) added[key] = (added[key] ?? 0) + value;
  return added;
}

function byTask<T extends { readonly task: string }>(all: readonly (readonly T[])[]): T[][] {
  const groups = new Map<string, T[]>();
  for (const one of all.flat()) groups.set(one.task, [...(groups.get(one.task) ?? []), one]);
  return [...groups.values()];
}

function addStreams(a: StreamCounts, b: StreamCounts): StreamCounts {
  const added = sums(a, b);
  const [x, y] = [a.recentAccuracy, b.recentAccuracy];
  return {
    ...added,
    accuracy: shareOf(added.correct, added.tested),
    recentAccuracy: x === null || y === null ? (x ?? y) : (x + y) / 2,
    latencyMs: a.latencyMs.p99 >= b.latencyMs.p99 ? a.latencyMs : b.latencyMs,
    ended: a.ended && b.ended,
  };
}

export function addPhases(all: readonly (readonly TaskPhases[])[]): TaskPhases[] {
  return byTask(all).map((tasks) => ({
    task: tasks[0].task,
    phases: tasks[0].phases.map((_, i) => tasks.map(({ phases }) => phases[i]).reduce(addPhase)),
  }));
}

function addPhase(a: PhaseCounts, b: PhaseCounts): PhaseCounts {
  const added = sums(a, b);
  return { ...added, at: a.at, accuracy: shareOf(added.correct, added.tested) };
}

/** null where no site has devices. */
export function addDevices(all: readonly (DeviceCounts | null)[]): DeviceCounts | null {
  const some = all.filter((counts) => counts !== null);
  if (some.length === 0) return null;
  return some.reduce((a, b) => ({ ...sums(a, b), states: sums(a.states, b.states) }));
}
