/**
 * Losses by true label: a model whose mistakes come in bursts, because the events that it finds hard do, is still seen to
 * get worse; and what the bursts do to the mix of labels is no change.
 */
import { describe, expect, test } from 'vitest';
import type { Alarm } from '../../src/contract.ts';
import { LEAST_EVENTS } from '../../src/drift/monitor/blocks.ts';
import { LabelLosses, labelLossesState } from '../../src/drift/monitor/label-losses.ts';
import { MOST_LABELS, watchedLabels } from '../../src/drift/monitor/streams.ts';
import { LEARN_LEVEL } from '../../src/drift/monitor/tracker.ts';
import { TaskMonitor } from '../../src/drift/monitor.ts';
import { seededRandom } from '../../src/task/random.ts';
import { options } from './fleet.ts';

const BLOCK_MS = 2_000;
const SECOND = 1_000;
const CHANGE = 400 * SECOND;
const LABELS_A_SECOND = 16;
const MACHINES = 10;
const OK = 0;
const FAULT = 1;

interface Story {
  readonly seed: number;
  readonly seconds: number;
  /** From `CHANGE` on: faults that were recognised are not, and sound machines look a little odd. */
  readonly worse?: boolean;
  /** From `CHANGE` on machines fail so many times as often, and are judged as they were. */
  readonly more?: number;
}

interface Watched {
  readonly alarms: readonly Alarm[];
  /** Streams of all labels together that were ever away from their level, told or not. */
  readonly together: ReadonlySet<string>;
}

/**
 * What a monitor says about a plant of ten machines that fail for 5 to 20 s each; a fault is recognised for as long as it lasts, or
 * mostly not, so that one event in ten is judged wrongly, in bursts.
 */
function life({ seed, seconds, worse = false, more = 1 }: Story): Watched {
  const monitor = new TaskMonitor({ ...options, columns: [] });
  const random = seededRandom(seed, 'bursts');
  const machines = Array.from({ length: MACHINES }, () => ({ until: 0, missed: false }));
  const told: Alarm[] = [];
  const together = new Set<string>();
  for (let second = 0; second < seconds; second++) {
    const at = second * SECOND;
    const changed = at >= CHANGE;
    for (const machine of machines) {
      if (machine.until > second || random() > 0.025 * (changed ? more : 1)) continue;
      machine.until = second + 5 + 15 * random();
      machine.missed = random() < 0.5;
    }
    for (let n = 0; n < LABELS_A_SECOND; n++) {
      const d = Math.floor(MACHINES * random());
      const truth = machines[d].until > second ? FAULT : OK;
      const wrong =
        truth === FAULT
          ? random() < (changed && worse ? 0.9 : machines[d].missed ? 0.8 : 0.1)
          : random() < 0.002;
      // How sure it is of what it gives: sound machines are the easy part.
      const sure = truth === OK ? 0.985 - (changed && worse ? 0.07 : 0) - 0.01 * random() : 0.95;
      const predicted = wrong ? 1 - truth : truth;
      const probability = wrong ? 1 - sure : sure;
      monitor.labelled({ truth, predicted, probability, confidence: sure, device: `m-${d}`, at });
    }
    if (second % 2 !== 0) continue;
    const { alarms, window } = monitor.close(at, 'm');
    told.push(...alarms);
    for (const stream of ['logLoss', 'errors', 'margin'])
      if (window.streams[stream]?.alarm) together.add(stream);
  }
  return { alarms: told.filter(({ state }) => state === 'drift'), together };
}

const seeds = Array.from({ length: 20 }, (_, i) => 100 + i);

test('a model that errs in bursts is told to be worse, by the label where it shows', () => {
  const stories = seeds.map((seed) => life({ seed, seconds: 600, worse: true }));
  const first = stories.map(({ alarms: [alarm] }) => alarm);
  expect(first.filter((alarm) => alarm && alarm.at < CHANGE)).toEqual([]);
  const told = first.filter((alarm) => alarm !== undefined);
  expect(told.length).toBeGreaterThanOrEqual(19);
  // It drowns in the bursts of all labels together.
  expect(stories.filter(({ together }) => together.size > 0).length).toBeLessThanOrEqual(2);
  const byLabel = told.filter(({ stream }) => stream.startsWith('logLoss:'));
  expect(byLabel.length).toBeGreaterThanOrEqual(15);
  for (const { stream, before, now, since } of byLabel) {
    expect(stream).toMatch(/^logLoss:(ok|fault)$/);
    expect(now).toBeGreaterThan(before);
    expect(since).toBeGreaterThan(CHANGE - 20 * BLOCK_MS);
  }
});

test('bursts tell nothing of any label: four hours and more of twenty plants', () => {
  expect(seeds.flatMap((seed) => life({ seed, seconds: 800 }).alarms)).toEqual([]);
});

test('more faults, judged as before, are no change of the loss of any label', () => {
  const told = seeds.flatMap((seed) => life({ seed, seconds: 700, more: 2 }).alarms);
  expect(told.filter(({ stream }) => stream.startsWith('logLoss:'))).toEqual([]);
});

test('another model: worse for one label is no change, and worse than that is one, told as soon', () => {
  const random = seededRandom(7, 'models');
  const monitor = new TaskMonitor({ ...options, columns: [] });
  const told: { readonly stream: string; readonly block: number }[] = [];
  const pass = (blocks: number, losses: readonly [number, number]) => {
    told.length = 0;
    for (let block = 0; block < blocks; block++) {
      clock += BLOCK_MS;
      for (let n = 0; n < 80; n++) {
        const truth = n % 2;
        const probability = Math.exp(-losses[truth] * 2 * random());
        const of = { truth, predicted: truth, probability, confidence: probability, device: 'd' };
        monitor.labelled({ ...of, at: clock });
      }
      for (const { stream, state } of monitor.close(clock, 'm').alarms)
        if (state === 'drift') told.push({ stream, block });
    }
    return [...told];
  };
  let clock = 0;
  expect(pass(200, [0.1, 1])).toEqual([]);
  monitor.rebase(clock);
  expect(pass(LEARN_LEVEL + 20, [0.3, 0.5])).toEqual([]);
  const [first] = pass(20, [0.5, 0.5]);
  expect(first.block).toBeLessThan(12);
});

describe('blocks of a label', () => {
  const fill = (losses: LabelLosses, label: number, n: number, at: number): void => {
    for (let i = 0; i < n; i++) losses.add(label, 0.25, at);
  };

  test('end by themselves, when long enough and full enough', () => {
    const losses = new LabelLosses(['a', 'b'], BLOCK_MS);
    fill(losses, 0, LEAST_EVENTS, 1_000);
    fill(losses, 1, LEAST_EVENTS - 1, 1_000);
    expect(losses.due(1_000 + BLOCK_MS - 1)).toEqual([]);
    expect(losses.due(1_000 + BLOCK_MS)).toMatchObject([
      { stream: 'a', level: { value: 0.5 }, begin: 1_000 },
    ]);
    fill(losses, 1, 1, 60_000);
    expect(losses.due(60_000)).toMatchObject([{ stream: 'b', begin: 1_000 }]);
    expect(losses.due(1e9)).toEqual([]);
  });

  test('are dropped for another model, and begin again where a clock is set back', () => {
    const losses = new LabelLosses(['a'], BLOCK_MS);
    fill(losses, 0, 50, 5_000);
    losses.clear();
    expect(losses.due(1e9)).toEqual([]);
    fill(losses, 0, 50, 1e9);
    expect(losses.due(3_000)).toEqual([]);
    expect(losses.due(3_000 + BLOCK_MS)).toMatchObject([{ begin: 3_000 }]);
  });

  test('labels that are none are passed over', () => {
    const losses = new LabelLosses(['a'], BLOCK_MS);
    for (const label of [-1, 1, 0.5, Number.NaN]) fill(losses, label, 50, 0);
    expect(losses.due(1e9)).toEqual([]);
  });

  test('go on after save and restore; what is damaged is refused by its schema', () => {
    const losses = new LabelLosses(['a', 'b'], BLOCK_MS);
    fill(losses, 1, 12, 7_000);
    const saved = JSON.parse(JSON.stringify(losses.save()));
    const restored = new LabelLosses(['a', 'b'], BLOCK_MS);
    restored.restore(labelLossesState.parse(saved));
    for (const one of [losses, restored]) fill(one, 1, 12, 8_000);
    expect(restored.due(9_000)).toEqual(losses.due(9_000));
    expect(restored.save()).toEqual(losses.save());
    const many = new Array(MOST_LABELS + 1).fill(saved[0]);
    for (const wrong of [null, [{}], [{ ...saved[0], begin: null }], [{ ...saved[0], more: 1 }], many])
      expect(labelLossesState.safeParse(wrong).success).toBe(false);
  });
});

test('one label is what all are, and of very many the first ones are watched', () => {
  expect(watchedLabels(['only'])).toEqual([]);
  const many = Array.from({ length: 100 }, (_, i) => `label ${i}`);
  expect(watchedLabels(many)).toEqual(many.slice(0, MOST_LABELS));
});
