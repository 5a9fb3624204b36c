import { describe, expect, test } from 'vitest';
import type { Message } from '../../../src/contract.ts';
import { openEngine } from '../../../src/model/engine.ts';
import { DecisionTrial } from '../../../src/task/decision/trial.ts';
import { Decision } from '../../../src/task/decision.ts';
import { type Evaluation, evaluate } from '../../../src/task/evaluation.ts';
import { parseFeedback } from '../../../src/task/feedback.ts';
import { ReportCollector } from '../../../src/task/html/collector.ts';
import { reportHtml } from '../../../src/task/html/page.ts';
import { type Observer, runStream, type Tested } from '../../../src/task/protocols.ts';
import { seededRandom } from '../../../src/task/random.ts';
import { reportLines } from '../../../src/task/report.ts';
import { openTask, type Task } from '../../../src/task/task.ts';
import { readingMessage, streamOf } from '../fixtures.ts';

const engine = openEngine({ backend: 'cpu' });
const LABELS = ['ham', 'spam'];

function taskWith(decision: object): Task {
  return openTask({
    ...{ name: 'machine', event: 'sensor', labels: LABELS, seed: 1, model: { kind: 'linear' }, decision },
    decode: { kind: 'json', options: { fields: { x: { type: 'number' } } } },
    features: { options: { preset: 'fast' } },
  });
}

/** Readings of which x tells the label, most of the time. */
function stream(count: number): Message[] {
  const random = seededRandom(1, 'stream');
  return Array.from({ length: count }, (_, n) => {
    const truth = random() < 0.4 ? 1 : 0;
    const x = truth + (random() - 0.5) * (random() < 0.1 ? 3 : 1);
    return readingMessage(n, { x }, LABELS[truth], 1_000 * (n + 1));
  });
}

const N = 1_500;
const messages = stream(N);

function run(task: Task, feedback: string, more: object = {}): Promise<Evaluation> {
  const protocol = { kind: 'prequential' } as const;
  const given = { task, engine, train: null, input: streamOf(messages), total: N, protocol, seed: 1 };
  return evaluate({ ...given, feedback: parseFeedback(feedback), ...more });
}

const ON = { tag: 0.05, hold: 0.02, window: 500 };

/** The same decision, asked by hand: the label of event i is known before i + 1 + lag is judged. */
async function byHand(task: Task, lag: number): Promise<string[]> {
  const decision = new Decision({ options: task.decision!, positive: task.positive, secret: '' });
  decision.running('evaluate');
  const seen: Tested[] = [];
  const model = task.newModel(engine);
  const options = { task, model, seed: 1, total: N, testFrom: 0, frozen: false };
  const onTested = (tested: Tested) => void seen.push(tested);
  await runStream(streamOf(messages), { ...options, feedback: parseFeedback(`lag:${lag}`), onTested });
  model.close();
  const actions: string[] = [];
  const learned = [0, 0];
  const verdicts: number[] = [];
  for (let i = 0; i < N; i++) {
    const due = i - 1 - lag;
    if (due >= 0) {
      const { truth: label, scores, offset } = seen[due];
      learned[label] += 1;
      const row = { seq: due + 1, event: '', supersedes: 0, base: 'evaluate', predicted: verdicts[due] };
      decision.labelled({ ...row, label, scores, offset });
    }
    verdicts[i] = Math.min(...learned) >= 5 && learned[0] + learned[1] >= 50 ? seen[i].predicted : -1;
    actions.push(decision.decide('', null, verdicts[i], seen[i].scores, seen[i].offset).action);
  }
  return actions;
}

describe('evaluate', () => {
  test.each([0, 1, 70, 300])('decides as a gateway would whose labels come %i events late', async (lag) => {
    const task = taskWith(ON);
    const { decision } = await run(task, lag === 0 ? 'immediate' : `lag:${lag}`);
    const actions = await byHand(task, lag);
    const of = (label: string, action: string) =>
      actions.filter((each, i) => each === action && messages[i].label === label).length;
    for (const [label, counts] of [
      ['ham', decision!.ham],
      ['spam', decision!.spam],
    ] as const) {
      const { tested, tagged, held, unsure } = counts;
      expect({ tagged, held, unsure }).toEqual({
        tagged: of(label, 'tag'),
        held: of(label, 'hold'),
        unsure: of(label, 'unsure'),
      });
      expect(tested).toBe(messages.filter((each) => each.label === label).length);
    }
    expect(decision!.spam.tagged + decision!.spam.held).toBeGreaterThan(20);
    expect(decision!.from).toBeGreaterThan(59 + lag);
  });

  test.each(['immediate', 'lag:40,noisy:0.1', 'active:200,lag:10', 'delayed:500'])(
    'measures the same with and without a decision, under %s',
    async (feedback) => {
      const [on, off] = await Promise.all([run(taskWith(ON), feedback), run(taskWith({}), feedback)]);
      expect(off.decision).toBe(undefined);
      expect(on.logLoss).toBe(off.logLoss);
      expect(on.confusion).toEqual(off.confusion);
      expect(on.decision!.ham.tested + on.decision!.spam.tested).toBe(on.tested);
    },
  );

  test('under errors tells of what was left unsure, too, and of nothing that was acted on rightly', async () => {
    const [never, soon, off] = await Promise.all(
      [{ tag: 0.001 }, ON, {}].map((decision) => run(taskWith(decision), 'errors:1')),
    );
    // Never enough evidence: all that is called spam is unsure, and told of.
    expect(never.labels).toBeGreaterThan(messages.filter(({ label }) => label === 'spam').length * 0.9);
    expect(never.decision!.spam.tagged).toBe(0);
    expect(soon.labels).toBeLessThan(never.labels);
    expect(off.labels).toBeLessThan(soon.labels);
  });

  test('takes the labels of the part that only trains for evidence, and of a model that knew before too', async () => {
    const delayed = await run(taskWith(ON), 'delayed:500');
    expect(delayed.decision).toMatchObject({ from: 500, figures: { begun: true } });
    const trained = await run(taskWith(ON), 'delayed:0', { train: streamOf(stream(300)) });
    expect(trained.decision).toMatchObject({ from: null, figures: { confirmed: 0 } });
    expect(trained.decision!.spam.unsure).toBeGreaterThan(400);
  });

  test('tells it in one line and in a card', async () => {
    const task = taskWith(ON);
    const collector = new ReportCollector({ labels: LABELS, positive: 1 });
    const result = await run(task, 'immediate', { onTested: (tested: Tested) => collector.add(tested) });
    const head = { task: 'spam', protocol: 'prequential', feedback: 'immediate' };
    expect(reportLines(head, result).at(-1)).toMatch(
      /^a gateway tags or holds from event \d+ on: \d+ of \d+ ham, \d+ of \d+ spam, \d+ unsure$/,
    );
    const page = reportHtml(head, result, collector);
    expect(page).toContain('What a gateway would have done');
    expect(page).toContain('tag 5.000 %, hold 2.000 %');
    const never = await run(taskWith({ tag: 0.001 }), 'immediate');
    expect(reportLines(head, never).at(-1)).toMatch(
      /^a gateway would not act yet: \d+ of 2,995 ham confirmed$/,
    );
    const without = await run(taskWith({}), 'immediate');
    expect(reportHtml(head, without, collector)).not.toContain('What a gateway would have done');
    expect(reportLines(head, without).join()).not.toContain('gateway');
  });
});

test('labels come to who observes right before the event that is scored with them, in every protocol', async () => {
  for (const feedback of ['lag:3', 'errors:1,lag:3', 'errors:1', 'active:400']) {
    const told: string[] = [];
    const observer: Observer = {
      met: () => undefined,
      scored: ({ index }) => {
        told.push(`s${index}`);
        return null;
      },
      labelled: (index) => void told.push(`l${index}`),
    };
    const task = taskWith({});
    const model = task.newModel(engine);
    const options = {
      task,
      model,
      seed: 1,
      total: N,
      testFrom: 0,
      frozen: false,
      observer,
      onTested: () => {},
    };
    const { labelsGiven } = await runStream(streamOf(messages), {
      ...options,
      feedback: parseFeedback(feedback),
    });
    model.close();
    const lag = feedback.includes('lag') ? 3 : 0;
    expect(told.filter((each) => each.startsWith('s'))).toEqual(messages.map((_, i) => `s${i}`));
    const labels = told.filter((each) => each.startsWith('l'));
    expect(labels.length).toBeGreaterThan(labelsGiven - lag - 2);
    expect(labels.length).toBeGreaterThan(20);
    for (const each of labels) {
      const i = Number(each.slice(1));
      const next = told.slice(told.indexOf(each)).find((other) => other.startsWith('s'));
      if (next !== undefined) expect(next).toBe(`s${i + lag + 1}`);
    }
  }
});

test('a trial keeps no more than it needs of events that never get a label', () => {
  const trial = new DecisionTrial(taskWith(ON));
  const scores = Float32Array.of(0.1, 0.9);
  const n = 400_000;
  for (let index = 0; index < n; index++)
    trial.scored({ id: '', index, truth: 0, predicted: 1, stated: 1, scores, offset: 0 }, false);
  trial.labelled(5, 0);
  expect(trial.report().figures.confirmed).toBe(0);
  trial.labelled(n - 200_000, 0);
  expect(trial.report().figures.confirmed).toBe(1);
});
