/** What a model may learn by itself: very sure verdicts, few for each label, and none while they turn out wrong. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Message, Model, Rows } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { OWN_LABEL } from '../../src/model/kinds.ts';
import { evaluate, type Protocol } from '../../src/task/evaluation.ts';
import { parseFeedback } from '../../src/task/feedback.ts';
import { runStream } from '../../src/task/protocols.ts';
import { SelfTraining, surely, trainsItself } from '../../src/task/self-training.ts';
import { scoresOf } from './decision/kit.ts';
import { streamOf } from './fixtures.ts';
import { MAIL_LABELS, mailOf, mailTask, truthOf } from './mail-kit.ts';

const engine = openEngine({ backend: 'cpu' });
const anyone = () => true;

/** Probabilities of rows with these log-odds. */
const batch = (...odds: number[]) => Float32Array.from(odds.flatMap((each) => [...scoresOf(each)]));

/** Has learned so many labels, and heard none since. */
function taught(labels: number, silence = 200): SelfTraining {
  const self = new SelfTraining();
  for (let n = 0; n < labels; n++) self.learned(n % 2, n % 2);
  self.passed(silence);
  return self;
}

describe('a verdict', () => {
  it('is sure from log-odds of 8 on, either way, and where a probability rounds to 1', () => {
    expect([-40, -8.01, -7.9, 0, 7.9, 8.01, 30].map((odds) => surely(batch(0, odds), 2))).toEqual([
      0, 0, -1, -1, -1, 1, 1,
    ]);
  });

  it('that is no number, or was never given, is not sure', () => {
    expect(surely(Float32Array.of(Number.NaN, Number.NaN), 0)).toBe(-1);
    expect(surely(Float32Array.of(0, 0), 0)).toBe(-1);
    expect(surely(new Float32Array(0), 0)).toBe(-1);
  });
});

describe('the choice', () => {
  it('takes sure verdicts that may, in order, after 300 labels', () => {
    const scores = batch(9, 3, -9, 12, -20);
    expect(taught(299).choose(scores, 5, anyone)).toEqual([]);
    expect(taught(300).choose(scores, 5, anyone)).toEqual([0, 2, 3, 4]);
    expect(taught(300).choose(scores, 5, (row) => row !== 2)).toEqual([0, 3, 4]);
  });

  it('begins when no label has come for 200 events, and ends with the next', () => {
    const self = taught(400, 199);
    expect(self.choose(batch(9), 1, anyone)).toEqual([]);
    self.passed(1);
    expect(self.choose(batch(9), 1, anyone)).toEqual([0]);
    self.learned(1, -1);
    expect(self.choose(batch(9), 1, anyone)).toEqual([]);
  });

  it('counts labels that the base knows towards the 300, and allows nothing for them', () => {
    const self = new SelfTraining(100_000);
    self.passed(1_000);
    expect(self.choose(batch(9), 1, anyone)).toEqual([]);
    self.learned(1, -1);
    self.passed(200);
    expect(self.choose(batch(9, 9, 9, 9), 4, anyone)).toEqual([0, 1, 2]);
  });

  it('never takes more than three for each label, nor saves up more than 4,096', () => {
    const scores = batch(...Array.from({ length: 64 }, () => 20));
    const ask = (self: SelfTraining): number => {
      const rows = self.choose(scores, 64, anyone);
      for (const _ of rows) self.ask();
      return rows.length;
    };
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2_000 }), { maxLength: 8 }), (labels) => {
        const self = new SelfTraining();
        let learned = 0;
        for (const n of labels) {
          for (let i = 0; i < n; i++) self.learned(1, 1);
          learned += n;
          self.passed(200);
          const before = self.asked;
          while (ask(self) > 0);
          expect(self.asked - before).toBeLessThanOrEqual(4_096);
          expect(self.asked).toBeLessThanOrEqual(3 * learned);
        }
      }),
      { numRuns: 30, seed: 1 },
    );
    const rich = taught(50_000);
    while (ask(rich) > 0);
    expect(rich.asked).toBe(4_096);
  });

  it('leaves out what is on its way already', () => {
    const self = new SelfTraining(300, 2);
    self.passed(200);
    expect(self.choose(batch(9, 9, 9, 9, 9, 9, 9), 7, anyone)).toHaveLength(6);
    expect(self.choose(batch(9, 9, 9, 9, 9, 9, 9), 7, anyone, 4)).toEqual([0, 1]);
    expect(self.choose(batch(9, 9), 2, anyone, 100)).toEqual([]);
  });
});

describe('a model that runs away', () => {
  it('is stopped after three sure verdicts in a row that were wrong, whatever it is sure of', () => {
    const self = taught(1_000);
    for (const n of [1, 2, 3]) {
      expect(self.choose(batch(30), 1, anyone), `after ${n - 1}`).toEqual([0]);
      self.learned(0, 1);
      self.passed(200);
    }
    expect(self.paused).toBe(true);
    expect(self.choose(batch(30, -30), 2, anyone)).toEqual([]);
  });

  it('is stopped soon where one sure verdict in ten is wrong, and goes on after 150 in a row were right', () => {
    const self = taught(1_000);
    let seen = 0;
    while (!self.paused && seen < 1_000) {
      seen += 1;
      self.learned(0, seen % 10 === 0 ? 1 : 0);
    }
    expect(seen).toBeLessThan(60);
    let right = 0;
    while (self.paused && right < 1_000) {
      self.learned(1, 1);
      right += 1;
    }
    expect(right).toBeGreaterThan(140);
    expect(right).toBeLessThan(155);
  });

  it('is not stopped by one wrong label in 300, nor by wrong verdicts that were not sure', () => {
    const self = taught(1_000);
    for (let n = 0; n < 20_000; n++) {
      self.learned(0, n % 300 === 0 ? 1 : 0);
      self.learned(0, -1);
      expect(self.paused).toBe(false);
    }
  });

  it('goes on from what was saved as if it had not been', () => {
    const [one, other] = [taught(400), SelfTraining.restore(JSON.parse(JSON.stringify(taught(400).save())))];
    for (const self of [one, other]) {
      self.ask();
      self.learned(0, 1);
    }
    expect(other.save()).toEqual(one.save());
  });
});

it('is on for mail that `text` learns, and nowhere else', () => {
  expect(trainsItself('auto', 'email', 'text')).toBe(true);
  expect(trainsItself('auto', 'email', 'linear')).toBe(false);
  expect(trainsItself('auto', 'sensor', 'text')).toBe(false);
  expect(trainsItself('off', 'email', 'text')).toBe(false);
  expect(mailTask().selfTraining).toBe(true);
  expect(mailTask({ selfTraining: 'off' }).selfTraining).toBe(false);
  expect(mailTask({ features: { options: { bits: 12, preset: 'fast' } } }).selfTraining).toBe(false);
});

// ------------------------------------------------------------------ in an evaluation

const labelled = (count: number): Message[] =>
  Array.from({ length: count }, (_, n) => mailOf(n, undefined, MAIL_LABELS[truthOf(n)]));
const messages = labelled(850);

interface Told {
  readonly selfTrained: number;
  readonly scores: Float32Array;
}

async function evaluated(
  feedback: string,
  given: { selfTraining?: 'auto' | 'off'; protocol?: Protocol; seed?: number } = {},
): Promise<Told> {
  const { selfTraining, protocol = { kind: 'prequential' }, seed = 1 } = given;
  const scores: number[] = [];
  const { selfTrained } = await evaluate({
    ...{ engine, protocol, seed, train: null, total: messages.length },
    task: mailTask({ selfTraining, seed }),
    input: streamOf(messages),
    feedback: parseFeedback(feedback),
    onTested: ({ scores: all, offset }) => void scores.push(all[offset + 1]),
  });
  return { selfTrained, scores: Float32Array.from(scores) };
}

/** Labels that end, and labels that go on to come. */
const ENDING = ['delayed:400', 'delayed:400,lag:30', 'delayed:500,partial:0.8', 'delayed:500,active:350'];
const GOING_ON = ['immediate', 'noisy:0.1', 'lag:5', 'lag:100', 'lag:60s', 'partial:0.4', 'active:400'];

describe('an evaluation', () => {
  it.each(ENDING)('%s: gives the same verdicts every time, and counts what it taught itself', async (f) => {
    const [one, other] = [await evaluated(f), await evaluated(f)];
    expect(one.selfTrained).toBeGreaterThan(0);
    expect(other).toEqual(one);
  });

  it.each(ENDING)('%s: learns nothing by itself where that is off', async (f) => {
    expect((await evaluated(f, { selfTraining: 'off' })).selfTrained).toBe(0);
  });

  it.each(GOING_ON)('%s: is to the bit what it is without, while labels come', async (f) => {
    expect(await evaluated(f)).toEqual(await evaluated(f, { selfTraining: 'off' }));
  });

  it('tests a model that no longer changes as it is', async () => {
    const protocol: Protocol = { kind: 'holdout', trainFraction: 0.5 };
    for (const feedback of ['immediate', 'lag:20'])
      expect(await evaluated(feedback, { protocol })).toEqual(
        await evaluated(feedback, { protocol, selfTraining: 'off' }),
      );
  });

  it.each(ENDING)('%s: asks only for events that were scored, once, while they have no label', async (f) => {
    const log = await record(f);
    const [scored, learned, asked] = [new Set<string>(), new Set<string>(), new Set<string>()];
    for (const { what, row } of log) {
      if (what === 'score') scored.add(row);
      if (what === 'learn') learned.add(row);
      if (what !== 'own') continue;
      expect(scored.has(row)).toBe(true);
      expect(learned.has(row)).toBe(false);
      expect(asked.has(row)).toBe(false);
      asked.add(row);
    }
    expect(asked.size).toBeGreaterThan(0);
  });
});

/** What happened to the model, in order; rows by their cells. */
async function record(feedback: string): Promise<{ what: 'score' | 'learn' | 'own'; row: string }[]> {
  const log: { what: 'score' | 'learn' | 'own'; row: string }[] = [];
  const nameOf = ({ indices, indptr }: Rows, i: number) =>
    indices.subarray(indptr[i], indptr[i + 1]).join(' ');
  const task = mailTask();
  const model = task.newModel(engine);
  const step: Model['step'] = (rows, labels, weights, schedule) => {
    for (const entry of schedule ?? []) {
      const at = entry >= 0 ? entry : ~entry;
      const what = entry >= 0 ? 'score' : labels[at] === OWN_LABEL ? 'own' : 'learn';
      log.push({ what, row: nameOf(rows, at) });
    }
    return model.step(rows, labels, weights, schedule);
  };
  const spy = new Proxy(model, {
    get: (target, key) => (key === 'step' ? step : Reflect.get(target, key, target)),
  });
  await runStream(streamOf(messages), {
    ...{ task, model: spy, seed: 1, total: messages.length, testFrom: 0, frozen: false },
    feedback: parseFeedback(feedback),
    selfTraining: new SelfTraining(),
    onTested: () => {},
  });
  model.close();
  return log;
}
