/** The hub with the native model and the real trainer: what bad labels and one bad device cannot do, and what a real drift can. */
import { describe, expect, test } from 'vitest';
import type { LabelledRow } from '../../src/contract.ts';
import type { HubTask } from '../../src/fleet/hub/seams.ts';
import { Hub, hubLoopOptions } from '../../src/fleet/hub.ts';
import { openEngine } from '../../src/model/engine.ts';
import { inProcessTrainer } from '../../src/task/experiments.ts';
import { seededRandom } from '../../src/task/random.ts';
import {
  bundleOf,
  ManualClock,
  MemoryPool,
  MemoryRegistry,
  SEALING,
  SECOND,
  START,
  TASK,
} from './hub-kit.ts';

const engine = openEngine();
const trainer = inProcessTrainer(engine);
const task = (learning: HubTask['learning']): HubTask => ({
  ...TASK,
  learning,
  shape: { dims: 0, denseDims: 3, classes: 2 },
  first: { kind: 'linear', options: { rate: 0.4, l2: 0, eps: 1e-6, normalise: 1 }, passes: 2, newest: 0 },
});

interface Make {
  /** The concept: which sign of which column is a fault. */
  readonly concept?: 1 | -1;
  /** Whether the label of a row is told wrong. */
  readonly wrong?: (device: number, random: () => number) => boolean;
  readonly devices?: (random: () => number) => number;
}

/** A stream of labelled rows of ten devices at one site, three columns, 3 % of noise. */
class Stream {
  readonly #random: () => number;
  #seq = 0;
  constructor(seed: number) {
    this.#random = seededRandom(seed, 'rows');
  }
  next(at: number, { concept = 1, wrong = () => false, devices }: Make = {}): LabelledRow {
    const random = this.#random;
    this.#seq += 1;
    const device = devices ? devices(random) : Math.floor(random() * 10);
    const x = [random() * 2 - 1, random() * 2 - 1, random() * 2 - 1];
    const truth = concept * x[0] + 0.5 * x[1] > 0 !== random() < 0.03;
    const label = truth !== wrong(device, random) ? 1 : 0;
    return {
      site: 'a',
      task: TASK.name,
      seq: this.#seq,
      event: `e${this.#seq}`,
      device: `d${device}`,
      at,
      labelledAt: at,
      label,
      weight: 1,
      origin: 'test',
      features: TASK.features,
      rows: {
        count: 1,
        indptr: Uint32Array.of(0, 0),
        indices: new Uint32Array(0),
        values: new Float32Array(0),
        denseDims: 3,
        dense: Float32Array.from(x),
      },
      scores: Float32Array.of(0.5, 0.5),
      predicted: label,
      model: 'x+0',
      paired: null,
    };
  }
  take(count: number, at: number, make?: Make): LabelledRow[] {
    return Array.from({ length: count }, (_, i) => this.next(at + i, make));
  }
}

/** A hub whose live model was trained on clean rows of the first concept. */
async function openHub(stream: Stream, learning: HubTask['learning']) {
  const clock = new ManualClock();
  const registry = new MemoryRegistry();
  const pool = new MemoryPool();
  const ours = task(learning);
  const before = new MemoryPool();
  await before.add(stream.take(600, START - 600_000));
  const { set } = await before.training();
  const { model } = await trainer.train({
    set,
    shape: ours.shape,
    labels: ours.labels,
    budget: 1,
    first: ours.first,
    validation: 0.2,
    start: null,
    seed: 1,
  });
  const { digest } = await registry.put(bundleOf(0, { shape: ours.shape }, true, model), 'first', START);
  await registry.move(digest, 'live', 'first', START);
  const failures: string[] = [];
  const hub = new Hub({
    group: 'default',
    tasks: [ours],
    options: hubLoopOptions.parse({
      approve: 'auto',
      budget: 1,
      retrain: { minRows: 200, volume: 400 },
      gate: { minCount: 100 },
    }),
    clock,
    failed: (error) => failures.push(`${error.code}: ${error.message}`),
    parts: {
      pool,
      trainer,
      engine,
      registry,
      sealing: SEALING,
      state: { load: () => null, save: async () => undefined },
      announce: async () => undefined,
    },
  });
  const tick = async (times: number) => {
    for (let i = 0; i < times; i += 1) {
      clock.time += SECOND;
      await hub.tick();
      await hub.settled();
    }
  };
  return { hub, clock, tick, registry, failures };
}

type Outcome = 'passed' | 'rejected' | 'undecided';

/** Trains on some rows, tests on others that come later. */
async function outcome(seed: number, training: Make, unseen: Make, learning: HubTask['learning'] = 'online') {
  const stream = new Stream(seed);
  const { hub, clock, tick, failures } = await openHub(stream, learning);
  let said: Outcome = 'undecided';
  hub.onEvent((event) => {
    if (event.kind === 'gate') said = event.passed ? 'passed' : 'rejected';
  });
  await hub.rows(stream.take(400, clock.now(), training));
  await tick(2);
  for (let i = 0; i < 8 && said === 'undecided'; i += 1) {
    await hub.rows(stream.take(100, clock.now(), unseen));
    await tick(2);
  }
  const started = hub.status().tasks[0].rollout !== null || said !== 'undecided';
  await hub.close();
  expect(failures).toEqual([]);
  expect(started).toBe(true);
  return said as Outcome;
}

const count = (outcomes: readonly Outcome[], what: Outcome) =>
  outcomes.filter((each) => each === what).length;

describe('bad labels', () => {
  test('a candidate trained on 20 % flipped labels passes the gate in none of 100 runs', async () => {
    const flipped: Make = { wrong: (_device, random) => random() < 0.2 };
    const outcomes: Outcome[] = [];
    for (let seed = 0; seed < 100; seed += 1)
      outcomes.push(await outcome(seed, flipped, {}, seed % 2 === 0 ? 'frozen' : 'online'));
    expect(count(outcomes, 'passed')).toBe(0);
    // A frozen one is found worse, not merely undecided.
    expect(count(outcomes, 'rejected')).toBeGreaterThan(40);
  });

  test('a candidate from clean labels without a drift is no better by the margin, and stays where it is', async () => {
    const outcomes: Outcome[] = [];
    for (let seed = 0; seed < 20; seed += 1) outcomes.push(await outcome(seed, {}, {}, 'frozen'));
    expect(count(outcomes, 'rejected')).toBeLessThanOrEqual(2);
  });

  test('after a real drift the candidate passes', async () => {
    const drifted: Make = { concept: -1 };
    for (let seed = 0; seed < 10; seed += 1) {
      expect(await outcome(seed, drifted, drifted, 'frozen')).toBe('passed');
      expect(await outcome(seed, drifted, drifted, 'online')).toBe('passed');
    }
  });
});

describe('one hostile device in ten', () => {
  const liar = (device: number) => device === 0;

  test('does not sink the candidate after a drift, in training or at the gate', async () => {
    const drifted: Make = { concept: -1, wrong: liar };
    const outcomes: Outcome[] = [];
    for (let seed = 0; seed < 20; seed += 1) outcomes.push(await outcome(seed, drifted, drifted, 'frozen'));
    expect(count(outcomes, 'passed')).toBe(20);
  });

  test('does not carry a candidate that learned its lies, though it floods the gate', async () => {
    const lies: Make = { wrong: () => true };
    const flood: Make = {
      wrong: liar,
      devices: (random) => (random() < 0.8 ? 0 : Math.floor(random() * 10)),
    };
    const outcomes: Outcome[] = [];
    for (let seed = 0; seed < 20; seed += 1) outcomes.push(await outcome(seed, lies, flood, 'frozen'));
    expect(count(outcomes, 'passed')).toBe(0);
  });
});
