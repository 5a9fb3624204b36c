/** What the hub knows, for the dashboard, `/metrics` and `models`: plain data, made anew at each call. */
import type { BundleRef } from '../../contract.ts';
import type { Incident } from './incidents.ts';
import type { TaskLoop } from './loop.ts';
import type { HubLoopOptions } from './options.ts';
import type { PairedFigures } from './paired.ts';
import type { Finished, Step, Tally } from './record.ts';
import type { Progress, SiteFacts } from './sites.ts';
import { sayNext } from './triggers.ts';

export interface RolloutStatus {
  readonly candidate: BundleRef;
  readonly base: BundleRef | null;
  readonly cause: string;
  readonly step: Step;
  /** When the roll-out and this step began, and until when it must be decided; ms. null: no deadline. */
  readonly begun: number;
  readonly since: number;
  readonly deadline: number | null;
  readonly waits: string;
  readonly sites: readonly string[];
  /** Of the test that decides this step; null where none runs. */
  readonly figures: PairedFigures | null;
  readonly gate: PairedFigures | null;
  readonly progress: Progress | null;
}

export interface TaskLoopStatus {
  readonly task: string;
  readonly live: BundleRef | null;
  readonly previous: BundleRef | null;
  readonly serial: number;
  /** Whether the broker has the last word. */
  readonly told: boolean;
  readonly paused: boolean;
  readonly training: string | null;
  /** New labels since the last training. */
  readonly fresh: number;
  readonly next: string;
  readonly pendingApproval: string | null;
  readonly rollout: RolloutStatus | null;
  /** Newest first. */
  readonly incidents: readonly Readonly<Incident>[];
  /** Oldest first, the newest 50. */
  readonly finished: readonly Finished[];
}

export interface HubStatus {
  readonly group: string;
  readonly sites: readonly SiteFacts[];
  readonly tasks: readonly TaskLoopStatus[];
  /** As the summary of a run names them; accuracy null where no verdict was tested. */
  readonly rollouts: readonly {
    readonly task: string;
    readonly model: string;
    readonly at: number;
    readonly accuracyBefore: number | null;
    readonly accuracyAfter: number | null;
  }[];
  readonly driftAlarms: readonly { readonly task: string; readonly stream: string; readonly at: number }[];
}

const accuracy = ({ tested, correct }: Tally): number | null => (tested > 0 ? correct / tested : null);

export function taskStatus(loop: TaskLoop, options: HubLoopOptions, now: number): TaskLoopStatus {
  const { record, serial } = loop.memory;
  const { rollout } = record;
  return {
    task: loop.task.name,
    live: record.live,
    previous: record.previous,
    serial,
    told: record.told,
    paused: record.paused !== null,
    training: record.training?.reason ?? null,
    fresh: record.fresh,
    next: sayNext(loop.triggers, options, now),
    pendingApproval: rollout?.step === 'approval' ? rollout.candidate.digest : null,
    rollout: rollout && rolloutStatus(loop, options, now),
    incidents: loop.incidents.list.map((incident) => ({ ...incident })),
    finished: record.finished.map((entry) => ({ ...entry })),
  };
}

function rolloutStatus(loop: TaskLoop, options: HubLoopOptions, now: number): RolloutStatus | null {
  const { rollout, toldAt } = loop.memory.record;
  if (!rollout) return null;
  const { candidate, base, cause, step, begun, waits, sites, passed } = rollout;
  const staged = step === 'shadow' || step === 'canary' || step === 'fleet' || step === 'watch';
  const since = staged ? Math.max(rollout.since, toldAt) : rollout.since;
  const lengths = {
    gate: options.gate.deadline,
    approval: null,
    due: null,
    shadow: options.rollout.deadline,
    canary: options.rollout.deadline,
    fleet: options.rollout.deadline,
    watch: options.rollout.watch,
  };
  const length = lengths[step];
  return {
    candidate,
    base,
    cause: cause.reason,
    step,
    begun,
    since,
    deadline: length === null ? null : since + length,
    waits,
    sites: [...sites],
    figures: loop.machine.figures,
    gate: passed,
    progress: staged ? loop.machine.progress(rollout, now) : null,
  };
}

export function summaries(tasks: readonly TaskLoopStatus[]): Pick<HubStatus, 'rollouts' | 'driftAlarms'> {
  const rollouts = tasks.flatMap(({ finished }) =>
    finished
      .filter(({ outcome }) => outcome === 'live')
      .map(({ task, model, at, before, after }) => ({
        task,
        model,
        at,
        accuracyBefore: accuracy(before),
        accuracyAfter: accuracy(after),
      })),
  );
  const driftAlarms = tasks.flatMap(({ task, incidents }) =>
    incidents
      .filter(({ accepted }) => accepted)
      .map(({ streams, first }) => ({ task, stream: streams[0] ?? '', at: first })),
  );
  const byTime = <T extends { readonly at: number }>(list: T[]) => list.sort((a, b) => a.at - b.at);
  return { rollouts: byTime(rollouts), driftAlarms: byTime(driftAlarms) };
}
