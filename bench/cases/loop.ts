/** The closed loop in virtual time: what it wins back after drift, what it does where nothing changed, whom it refuses. */
import type { Engine } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { type BenchCase, measure } from '../case.ts';
import { accuracy, runLoop } from '../loop/run.ts';
import { type DriftStory, driftStory, flippedStory, quietStory } from '../loop/story.ts';

const SEEDS = 20;
const FLIPPED_SEEDS = 100;

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function driftTable(stories: readonly DriftStory[]): string {
  const seconds = (pick: (story: DriftStory) => number | null) => {
    const known = stories.map(pick).filter((value) => value !== null);
    return known.length === 0
      ? 'never'
      : `${mean(known).toFixed(0)} s (${Math.min(...known)} to ${Math.max(...known)}; ${known.length} of ${stories.length})`;
  };
  const share = (pick: (story: DriftStory) => number) =>
    `${percent(mean(stories.map(pick)))} (${percent(Math.min(...stories.map(pick)))} to ${percent(Math.max(...stories.map(pick)))})`;
  return [
    `| with drift, ${stories.length} seeds | mean (least to most) |`,
    '| --- | --- |',
    `| accuracy before | ${share(({ before }) => before)} |`,
    `| from the drift to the new model | ${share(({ low }) => low)} |`,
    `| at the end | ${share(({ after }) => after)} |`,
    `| of the quality lost, recovered | ${share(({ recovered }) => recovered)} |`,
    `| drift to first alarm | ${seconds(({ alarm }) => alarm)} |`,
    `| drift to candidate | ${seconds(({ candidate }) => candidate)} |`,
    `| drift to passed gate | ${seconds(({ passed }) => passed)} |`,
    `| drift to live on all gateways, watched | ${seconds(({ live }) => live)} |`,
  ].join('\n');
}

const loop: BenchCase = {
  name: 'loop',
  what: 'seconds of a plant with two gateways and a hub that retrains after a drift, in virtual time',
  peer: 'the same plant and gateways with a hub that trains once and never again',
  unit: 'seconds',
  async prepare({ seed, quick, tell }) {
    const engine = openEngine({ threads: 1 });
    const seeds = (n: number) =>
      Array.from({ length: quick ? Math.min(2, n) : n }, (_, i) => seed * 1_000 + i);
    const each = async <T>(what: string, n: number, story: (engine: Engine, seed: number) => Promise<T>) => {
      const told: T[] = [];
      const all = seeds(n);
      for (const one of all) {
        tell(`${what}, seed ${told.length + 1} of ${all.length}`);
        told.push(await story(engine, one));
      }
      return told;
    };
    const drift = await each('with drift', SEEDS, driftStory);
    const quiet = await each('without drift', SEEDS, quietStory);
    const flipped = await each('flipped labels', FLIPPED_SEEDS, flippedStory);
    const alarms = quiet.flatMap((story) => story.alarms.map((text) => `${text} (seed ${story.seed})`));
    const page = [
      driftTable(drift),
      '',
      `Recovered, seed by seed: ${drift.map(({ recovered }) => `${(100 * recovered).toFixed(0)} %`).join(', ')}.`,
      '',
      `Without drift, ${quiet.length} seeds of 15 minutes: ${alarms.length} alarms${alarms.length > 0 ? ` (${alarms.join(', ')})` : ''}, ` +
        `${quiet.reduce((n, { rollouts }) => n + rollouts, 0)} roll-outs after the first model; accuracy ${percent(mean(quiet.map((story) => story.accuracy)))}.`,
      '',
      `With one label in five flipped once a model is live, ${flipped.length} seeds: ${flipped.reduce((n, { candidates }) => n + candidates, 0)} candidates, ` +
        `${flipped.reduce((n, { promoted }) => n + promoted, 0)} came to a gateway.`,
      '',
      `Readings lost in all of it: ${[...drift, ...quiet, ...flipped].reduce((n, { lost }) => n + lost, 0)}.`,
    ].join('\n');
    const common = {
      ...{ engine, seed, sites: 2, devices: 10, rate: 40, seconds: 300, learning: 'frozen' as const },
      labels: { fraction: 0.25, wrong: 0.01, delaySeconds: 2 },
      drift: [{ at: 120_000, over: 0, who: '*', kind: 'concept' as const, strength: 0.9 }],
    };
    const once = (drift: 'labels' | 'never') => `approve: auto
retrain: { minRows: 400, volume: 0, every: 1d, cooldown: 10s, afterDrift: 300, afterDriftDeadline: 1m, drift: ${drift} }
gate: { minCount: 100, deadline: 1m }
rollout: { stages: [fleet], minCount: 50, deadline: 1m, watch: 5s, silent: 20s }
`;
    const side = (kind: 'labels' | 'never') =>
      measure(async () => {
        const run = await runLoop({ ...common, hub: once(kind) });
        return accuracy(run, 0, 300) === null ? 0 : 300;
      });
    return { sluice: () => side('labels'), peer: () => side('never'), page };
  },
};

export const loopCases: readonly BenchCase[] = [loop];
