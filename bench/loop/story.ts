/**
 * The stories that the loop is judged by, in virtual time, and their account: a plant that changes, one that does not,
 * and one whose labels turn bad. The hub's options are the same in all three, apart from why it trains.
 */
import type { Engine } from '../../src/contract.ts';
import { accuracy, type LoopOptions, type LoopRun, runLoop } from './run.ts';

const PLANT = {
  sites: 2,
  devices: 10,
  rate: 40,
  labels: { fraction: 0.4, wrong: 0.01, delaySeconds: 2 },
  learning: 'frozen',
} as const;

const hub = (retrain: string, minRows = 600) => `approve: auto
budget: 6
retrain: { minRows: ${minRows}, cooldown: 30s, afterDrift: 1500, afterDriftDeadline: 3m, ${retrain} }
gate: { minCount: 200, deadline: 2m, margin: 0.05 }
rollout: { stages: [canary, fleet], canaryShare: 0.5, minCount: 150, deadline: 2m, watch: 20s, silent: 20s }
`;

export const DRIFT_AT = 400;
export const DRIFT_SECONDS = 800;
export const QUIET_SECONDS = 900;
/** Before the drift, and at the end: the quality that is compared. */
const SPAN = 150;

export interface DriftStory {
  readonly seed: number;
  readonly before: number;
  /** From the drift to the first site that runs the new model. */
  readonly low: number;
  readonly after: number;
  /** Of what was lost, the part that came back; above 1 it is better than before. */
  readonly recovered: number;
  /** Seconds after the drift; null: never. */
  readonly alarm: number | null;
  readonly candidate: number | null;
  readonly passed: number | null;
  readonly live: number | null;
  readonly lost: number;
}

const secondOf = (run: LoopRun, from: number, kind: string): number | null =>
  run.events.find((event) => event.second > from && event.kind === kind)?.second ?? null;

const since = (second: number | null): number | null => (second === null ? null : second - DRIFT_AT);

/** Every machine begins to behave differently at once; only the hub's retraining can bring quality back. */
export async function driftStory(engine: Engine, seed: number): Promise<DriftStory> {
  const run = await runLoop({
    ...PLANT,
    ...{ engine, seed, seconds: DRIFT_SECONDS },
    drift: [{ at: DRIFT_AT * 1_000, over: 0, who: '*', kind: 'concept', strength: 0.9 }],
    hub: hub('volume: 0, every: 1d'),
  });
  const running = run.events.find(({ second, kind }) => second > DRIFT_AT && kind === 'stage')?.second;
  const before = accuracy(run, DRIFT_AT - SPAN, DRIFT_AT) ?? 0;
  const low = accuracy(run, DRIFT_AT + 2, running ?? DRIFT_SECONDS) ?? 0;
  const after = accuracy(run, DRIFT_SECONDS - SPAN, DRIFT_SECONDS) ?? 0;
  const alarm =
    run.alarms.find(({ second, state }) => second > DRIFT_AT && state === 'drift')?.second ?? null;
  return {
    ...{ seed, before, low, after, recovered: (after - low) / (before - low), lost: run.lost },
    alarm: since(alarm),
    candidate: since(secondOf(run, DRIFT_AT, 'trained')),
    passed: since(secondOf(run, DRIFT_AT, 'gate')),
    live: since(secondOf(run, DRIFT_AT, 'live')),
  };
}

export interface QuietStory {
  readonly seed: number;
  /** Drift alarms of gateways. */
  readonly alarms: readonly string[];
  /** Roll-outs after the first model. */
  readonly rollouts: number;
  readonly accuracy: number;
  readonly lost: number;
}

/** Nothing changes but machines that fail and are repaired. */
export async function quietStory(engine: Engine, seed: number): Promise<QuietStory> {
  const options = {
    ...PLANT,
    engine,
    seed,
    seconds: QUIET_SECONDS,
    drift: [],
    hub: hub('volume: 0, every: 1d'),
  };
  const run = await runLoop(options);
  return {
    seed,
    alarms: run.alarms
      .filter(({ state }) => state === 'drift')
      .map(({ second, stream }) => `${stream} at ${second} s`),
    rollouts: Math.max(0, run.events.filter(({ kind }) => kind === 'live').length - 1),
    accuracy: accuracy(run, QUIET_SECONDS / 3, QUIET_SECONDS) ?? 0,
    lost: run.lost,
  };
}

export interface FlippedStory {
  readonly seed: number;
  /** Candidates trained on labels of which one in five is wrong, and those of them that came to a gateway. */
  readonly candidates: number;
  readonly promoted: number;
  readonly lost: number;
}

/**
 * Once a model is live that has learned enough clean labels to know the plant, one label in five is flipped, in training
 * and at the gate; the hub retrains by volume.
 */
export async function flippedStory(engine: Engine, seed: number): Promise<FlippedStory> {
  const options: LoopOptions = {
    ...PLANT,
    ...{ engine, seed, seconds: 480, drift: [], flipped: 0.2, hub: hub('volume: 2000, every: 1d', 2_500) },
  };
  const run = await runLoop(options);
  const live = secondOf(run, -1, 'live') ?? Number.POSITIVE_INFINITY;
  const after = run.events.filter(({ second }) => second > live);
  return {
    seed,
    candidates: after.filter(({ kind }) => kind === 'trained').length,
    promoted: after.filter(({ kind }) => kind === 'stage').length,
    lost: run.lost,
  };
}
