import { describe, expect, it } from 'vitest';
import type { Message, Model, Rows } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { type Feedback, immediate, parseFeedback } from '../../src/task/feedback.ts';
import { type Observer, type RunOptions, runStream, type Tested } from '../../src/task/protocols.ts';
import { seededRandom } from '../../src/task/random.ts';
import { decide, SUFFICIENT, suffices } from '../../src/task/verdict.ts';
import { LABELS, readingMessage, readingTask, streamOf } from './fixtures.ts';

const engine = openEngine({ backend: 'cpu' });

/** Readings numbered by `n`; x tells the label but for `noise`. Times rise by 1 s, now and then by much more. */
function stream(count: number, noise = 0.2, seed = 1): Message[] {
  const random = seededRandom(seed, 'stream');
  let at = 0;
  return Array.from({ length: count }, (_, n) => {
    const truth = random() < 0.5 ? 1 : 0;
    const x = truth + (random() - 0.5) * 2 * (random() < noise ? 3 : 0.4);
    at += random() < 0.02 ? 600_000 : 1_000;
    return readingMessage(n, { n: n / count, x, mode: random() < 0.5 ? 'a' : 'b' }, LABELS[truth], at);
  });
}

interface Outcome {
  readonly tested: readonly { id: string; truth: number; predicted: number; score: number }[];
  readonly labelsGiven: number;
  readonly model: Buffer;
}

type Asked = Partial<Omit<RunOptions, 'task' | 'model' | 'onTested'>>;

async function run(messages: readonly Message[], asked: Asked = {}, seed = 1): Promise<Outcome> {
  const task = readingTask(seed);
  const model = task.newModel(engine);
  const tested: { id: string; truth: number; predicted: number; score: number }[] = [];
  const onTested = ({ id, truth, predicted, scores, offset }: Tested) =>
    void tested.push({ id, truth, predicted, score: scores[offset + 1] });
  const options = { feedback: immediate, seed, total: messages.length, testFrom: 0, frozen: false, ...asked };
  const { labelsGiven } = await runStream(streamOf(messages), { ...options, task, model, onTested });
  const bytes = Buffer.from(await model.save());
  model.close();
  return { tested, labelsGiven, model: bytes };
}

const accuracy = ({ tested }: Outcome) =>
  tested.filter((t) => t.truth === t.predicted).length / tested.length;

/** What happened to the model, in order: scoring and learning of the readings by their number. */
type Step = { readonly score: number } | { readonly learn: number; readonly label: number };

/** A real model whose calls are written down. The first dense column carries the reading's number. */
function recorded(model: Model, count: number, log: Step[]): Model {
  const numberOf = (rows: Rows, row: number) => Math.round(rows.dense[row * rows.denseDims] * count);
  const spy: Pick<Model, 'step' | 'score' | 'learn'> = {
    step: (rows, labels, weights, schedule) => {
      if (!schedule) throw new Error('a schedule was expected');
      for (const step of schedule)
        log.push(
          step >= 0
            ? { score: numberOf(rows, step) }
            : { learn: numberOf(rows, ~step), label: labels[~step] },
        );
      return model.step(rows, labels, weights, schedule);
    },
    score: () => Promise.reject(new Error('a step was expected')),
    learn: () => Promise.reject(new Error('a step was expected')),
  };
  return new Proxy(model, {
    get: (target, key) => (key in spy ? spy[key as keyof typeof spy] : Reflect.get(target, key, target)),
  });
}

async function record(messages: readonly Message[], feedback: Feedback, asked: Asked = {}): Promise<Step[]> {
  const task = readingTask();
  const model = task.newModel(engine);
  const log: Step[] = [];
  const spy = recorded(model, messages.length, log);
  const options = { seed: 1, total: messages.length, testFrom: 0, frozen: false, ...asked };
  await runStream(streamOf(messages), { ...options, feedback, task, model: spy, onTested: () => {} });
  model.close();
  return log;
}

/** The naive order: one event at a time, labels from a list of what is due. No chunks, no schedules. */
function naiveOrder(messages: readonly Message[], feedback: Feedback): Step[] {
  const log: Step[] = [];
  const waiting: { n: number; label: number; at: number }[] = [];
  let clock = Number.NEGATIVE_INFINITY;
  messages.forEach((message, n) => {
    clock = Math.max(clock, message.at);
    const due = (w: { n: number; at: number }) =>
      feedback.lagMs > 0 ? w.at + feedback.lagMs <= clock : w.n + feedback.lag < n;
    while (waiting.length > 0 && due(waiting[0])) {
      const { n: learn, label } = waiting.shift()!;
      log.push({ learn, label });
    }
    log.push({ score: n });
    if (n < feedback.delayed) waiting.push({ n, label: LABELS.indexOf(message.label!), at: clock });
  });
  return log;
}

describe('the order of scoring and learning', () => {
  const messages = stream(1_300);

  it.each([
    'immediate',
    'lag:1',
    'lag:200',
    'lag:700',
    'delayed:100',
    'lag:2s',
    'lag:20m',
    'delayed:900,lag:511',
  ])('is that of one event at a time under %s, whatever the chunks', async (words) => {
    const feedback = parseFeedback(words);
    const log = await record(messages, feedback);
    // Labels that come after the last event was scored change no verdict: they may be learned or not.
    const scored = log.findLastIndex((step) => 'score' in step) + 1;
    expect(log.slice(0, scored)).toEqual(naiveOrder(messages, feedback));
  });

  it.each([
    'errors:1',
    'errors:0.5,lag:30',
    'active:200',
    'active:200,lag:150',
    'errors:1,lag:1m',
    'errors:1,delayed:600',
  ])(
    'never learns an event before its last score, nor scores past a label that has come, under %s',
    async (words) => {
      const feedback = parseFeedback(words);
      const log = await record(messages, feedback);
      const lastScore = new Map<number, number>();
      const learned = new Map<number, number>();
      log.forEach((step, i) => {
        if ('score' in step) lastScore.set(step.score, i);
        else {
          expect(learned.has(step.learn)).toBe(false);
          learned.set(step.learn, i);
        }
      });
      expect(lastScore.size).toBe(messages.length);
      const clocks = messages.map((message) => message.at);
      const wrong: string[] = [];
      for (const [n, at] of learned) {
        if (lastScore.get(n)! >= at) wrong.push(`${n} was learned before it was scored`);
        // The final score of every event after the label's coming lies after the learning, of every one before it before.
        for (const [m, scored] of lastScore) {
          const come = feedback.lagMs > 0 ? clocks[m] >= clocks[n] + feedback.lagMs : m > n + feedback.lag;
          if (scored > at !== come)
            wrong.push(`${m} was scored ${come ? 'before' : 'after'} the label of ${n}`);
        }
      }
      expect(wrong).toEqual([]);
      expect(learned.size).toBeGreaterThan(20);
    },
  );

  it('trains without scoring, then tests with a model that stands still, under holdout', async () => {
    const log = await record(messages, immediate, { testFrom: 1_000, frozen: true });
    const learned = log.flatMap((step) => ('learn' in step ? [step.learn] : []));
    const scored = log.flatMap((step) => ('score' in step ? [step.score] : []));
    expect(learned).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
    expect(scored).toEqual(Array.from({ length: 300 }, (_, n) => 1_000 + n));
    expect(log.findIndex((step) => 'score' in step)).toBe(1_000);
  });
});

describe('verdicts', () => {
  const messages = stream(1_300);

  /** Errors and active, one event and one call at a time, against the public Model alone. */
  async function naive(feedback: Feedback, errorDraws: () => number): Promise<number[]> {
    const task = readingTask();
    const model = task.newModel(engine);
    const arena = new (await import('../../src/features/rows.ts')).RowArena(
      task.shape.dims,
      task.shape.denseDims,
    );
    const scores: number[] = [];
    const learned = [0, 0];
    for (const message of messages) {
      arena.reset();
      task.fill(task.decode(message)[0], arena);
      const given = await model.score(arena.view());
      scores.push(given[1]);
      const truth = LABELS.indexOf(message.label!);
      const draw = errorDraws();
      const opinion = suffices(learned, SUFFICIENT) ? decide(given, 0, 2).predicted : -1;
      if (draw >= feedback.errors! || opinion === truth) continue;
      await model.learn(arena.view(), Int32Array.of(truth));
      learned[truth] += 1;
    }
    model.close();
    return scores;
  }

  it.each(['errors:1', 'errors:0.4'])(
    'under %s equal those of scoring and learning one by one, bit for bit',
    async (words) => {
      const feedback = parseFeedback(words);
      const { tested } = await run(messages, { feedback });
      expect(tested.map((t) => t.score)).toEqual(await naive(feedback, seededRandom(1, 'errors')));
    },
  );

  it.each(['immediate', 'partial:0.3', 'noisy:0.2', 'active:100', 'errors:0.5,lag:20,noisy:0.1'])(
    'and the model are the same for the same seed and another for another, under %s',
    async (words) => {
      const feedback = parseFeedback(words);
      const [a, b] = [await run(messages, { feedback }, 3), await run(messages, { feedback }, 3)];
      expect(b).toEqual(a);
      if (words === 'immediate') return;
      const other = await run(messages, { feedback }, 4);
      expect(other.model.equals(a.model)).toBe(false);
    },
  );

  it('are no better than chance where labels are chance: no label gets in before its score', async () => {
    const random = seededRandom(9, 'coin');
    const coins = stream(4_000).map((message) => ({ ...message, label: LABELS[random() < 0.5 ? 1 : 0] }));
    for (const words of ['immediate', 'lag:10', 'errors:1', 'active:2000', 'partial:0.5']) {
      const found = accuracy(await run(coins, { feedback: parseFeedback(words) }));
      // Five standard deviations of 4,000 coins.
      expect(Math.abs(found - 0.5), words).toBeLessThan(5 * 0.5 * Math.sqrt(1 / 4_000));
    }
  });

  it('are right where the rule can be learned', async () => {
    expect(accuracy(await run(stream(3_000, 0)))).toBeGreaterThan(0.97);
  });
});

describe('what is tested and what is given', () => {
  const messages = stream(1_000);

  it('tests all events of a prequential run, and gives every label', async () => {
    const { tested, labelsGiven } = await run(messages);
    expect(tested.map((t) => t.id)).toEqual(messages.map((message) => message.position));
    expect(labelsGiven).toBe(1_000);
  });

  it('tests the events after the first N of delayed:N', async () => {
    const { tested, labelsGiven } = await run(messages, {
      feedback: parseFeedback('delayed:300'),
      testFrom: 300,
    });
    expect(tested).toHaveLength(700);
    expect(tested[0].id).toBe('f#300');
    expect(labelsGiven).toBe(300);
  });

  it('gives no label to the test part of a holdout', async () => {
    const { tested, labelsGiven } = await run(messages, { testFrom: 600, frozen: true });
    expect([tested.length, labelsGiven]).toEqual([400, 600]);
  });

  it('measures against the true labels under noisy', async () => {
    const { tested } = await run(messages, { feedback: parseFeedback('noisy:1') });
    expect(tested.map((t) => LABELS[t.truth])).toEqual(messages.map((message) => message.label));
  });

  it('gives about the share that partial asks for', async () => {
    const { labelsGiven } = await run(messages, { feedback: parseFeedback('partial:0.25') });
    expect(Math.abs(labelsGiven - 250)).toBeLessThan(5 * Math.sqrt(1_000 * 0.25 * 0.75));
  });

  it.each([0, 1, 50, 400])(
    'lets an active learner ask for no more than %d labels, and nearly all of them',
    async (budget) => {
      const { labelsGiven } = await run(messages, { feedback: parseFeedback(`active:${budget}`) });
      expect(labelsGiven).toBeLessThanOrEqual(budget);
      expect(labelsGiven).toBeGreaterThanOrEqual(budget * 0.9);
    },
  );

  it('spreads the questions over the stream', async () => {
    const log = await record(messages, parseFeedback('active:200'));
    const asked = log.flatMap((step) => ('learn' in step ? [step.learn] : []));
    expect(asked.filter((n) => n < 500).length).toBeLessThan(asked.length * 0.9);
    expect(asked.filter((n) => n >= 750).length).toBeGreaterThan(0);
  });

  it('gives labels only for verdicts that were not right under errors', async () => {
    const asked = { feedback: parseFeedback('errors:1'), sufficient: null };
    const { tested, labelsGiven } = await run(messages, asked);
    expect(labelsGiven).toBe(tested.filter((t) => t.truth !== t.predicted).length);
  });

  it.each([
    [undefined, SUFFICIENT.labels],
    [{ labels: 120, perLabel: 5 }, 120],
    [{ labels: 0, perLabel: 0 }, 0],
  ])(
    'counts no opinion as not right under errors: while the model has learned less than %j',
    async (sufficient, least) => {
      const { tested, labelsGiven } = await run(messages, {
        feedback: parseFeedback('errors:1'),
        sufficient,
      });
      const right = (t: { truth: number; predicted: number }) => t.truth === t.predicted;
      expect(tested.slice(0, least).some(right)).toBe(least > 0);
      expect(labelsGiven).toBe(least + tested.slice(least).filter((t) => !right(t)).length);
    },
  );

  it('counts what is decided to be unsure as not right under errors, and states no label before it has one', async () => {
    const stated: number[] = [];
    const observer: Observer = {
      met: () => {},
      scored: ({ index, stated: label }) => {
        stated.push(label);
        return index % 3 === 0 ? { action: 'unsure' } : { action: 'tag' };
      },
      labelled: () => {},
    };
    const { tested, labelsGiven } = await run(messages, { feedback: parseFeedback('errors:1'), observer });
    const open = (i: number) => i % 3 === 0 || i < SUFFICIENT.labels;
    expect(labelsGiven).toBe(tested.filter((t, i) => open(i) || t.truth !== t.predicted).length);
    expect(stated).toEqual(tested.map((t, i) => (i < SUFFICIENT.labels ? -1 : t.predicted)));
  });

  it('flips labels to another one, evenly, under noisy', async () => {
    const log = await record(messages, parseFeedback('noisy:0.3'));
    const flipped = log.filter(
      (step) => 'learn' in step && LABELS[step.label] !== messages[step.learn].label,
    );
    expect(Math.abs(flipped.length - 300)).toBeLessThan(5 * Math.sqrt(1_000 * 0.21));
  });

  it('scores an event without a label but neither tests nor learns it', async () => {
    const some = messages.map((message, n) => (n % 4 === 0 ? { ...message, label: undefined } : message));
    const { tested, labelsGiven } = await run(some);
    expect([tested.length, labelsGiven]).toEqual([750, 750]);
  });

  it('counts what cannot be decoded and goes on', async () => {
    const task = readingTask();
    const model = task.newModel(engine);
    const broken = { ...messages[0], payload: Buffer.from('{oops') };
    const options = {
      feedback: immediate,
      seed: 1,
      total: 3,
      testFrom: 0,
      frozen: false,
      onTested: () => {},
    };
    const found = await runStream(streamOf([messages[0], broken, messages[1]]), { ...options, task, model });
    model.close();
    expect(found).toEqual({ events: 2, labelsGiven: 2, dead: { DECODE_JSON: 1 } });
  });

  it('refuses a label that the task does not have', async () => {
    const wrong = [{ ...messages[0], label: 'maybe' }];
    await expect(run(wrong)).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  });
});

describe('the words of --feedback', () => {
  it('combine', () => {
    expect(parseFeedback('errors:0.3,lag:2d,noisy:0.02')).toEqual({
      ...immediate,
      errors: 0.3,
      lagMs: 2 * 86_400_000,
      noisy: 0.02,
    });
    expect(parseFeedback('immediate')).toEqual(immediate);
  });

  it.each([
    'sometimes',
    'lag',
    'lag:',
    'lag:-1',
    'lag:2 moons',
    'delayed:1.5',
    'partial:2',
    'partial:x',
    'noisy:',
    'lag:1,lag:2',
    'active:5,errors:1',
    'immediate,lag:3',
    '',
  ])('refuse %j with USAGE', (words) => {
    expect(() => parseFeedback(words)).toThrowError(expect.objectContaining({ code: 'USAGE' }));
  });
});
