/**
 * The protocols of the page, and how a system goes through one. Both systems run through the product's `runStream`, so
 * order, labels and their times are the same by construction; what is drawn by chance is drawn with the same seeds. What
 * is by chance is run with several.
 */
import type { Engine } from '../../src/contract.ts';
import { evaluate, type Protocol } from '../../src/task/evaluation.ts';
import { dependsOnVerdict, parseFeedback } from '../../src/task/feedback.ts';
import { type Observer, runStream } from '../../src/task/protocols.ts';
import { openTask, type Task } from '../../src/task/task.ts';
import { Bogofilter, type MailFiles, numberTask } from './bogofilter.ts';
import { type Corpus, streamOf } from './corpora.ts';
import { type Figures, figuresOf, meanFigures, type Verdict } from './figures.ts';

/** One way to learn and be tested. */
export interface Setting {
  /** In the words of `evaluate`. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly feedback: string;
  /** By the labels alone: no decision, no Unsure, one half parts ham from spam. */
  readonly labelsAlone?: boolean;
  /** Whether chance has a part in it. */
  readonly random: boolean;
  /** Counted from these events on, from 0: a row of the page each. */
  readonly from: readonly number[];
}

const prequential = (feedback: string, from: readonly number[] = [0]): Setting => ({
  ...{ name: feedback, protocol: { kind: 'prequential' }, feedback, from },
  random: /active|errors|partial|noisy/.test(feedback),
});

const holdout = (trainFraction: number): Setting => ({
  name: `holdout, first ${Math.round(trainFraction * 100)} % trains`,
  ...{ protocol: { kind: 'holdout', trainFraction }, feedback: 'immediate', random: false, from: [0] },
});

/** Where two verdicts are all that each may give. */
const byLabelsAlone = (setting: Setting): Setting => ({
  ...setting,
  name: `${setting.name}, by labels alone`,
  labelsAlone: true,
});

/** What mail is tested with; `scale` divides the numbers of events. */
export function mailSettings(scale: number): Setting[] {
  const n = (events: number) => Math.round(events / scale);
  const errors = prequential(`errors:0.3,lag:${n(200)}`, [0, n(1_000)]);
  const noisyErrors = prequential(`errors:0.3,lag:${n(200)},noisy:0.02`, [0, n(1_000)]);
  return [
    prequential('immediate'),
    prequential(`delayed:${n(1_000)}`),
    prequential(`lag:${n(200)}`, [0, n(1_000)]),
    ...[0.7, 0.5, 0.6, 0.8, 0.9].map(holdout),
    prequential('noisy:0.1'),
    prequential(`active:${n(500)}`),
    ...[errors, byLabelsAlone(errors)],
    prequential('partial:0.05'),
    ...[noisyErrors, byLabelsAlone(noisyErrors)],
  ];
}

export function smsSettings(scale: number): Setting[] {
  return [prequential('immediate'), prequential(`delayed:${Math.round(1_000 / scale)}`)];
}

/** What a run needs beside the system. */
interface Course {
  readonly corpus: Corpus;
  readonly setting: Setting;
  readonly seed: number;
}

interface Outcome {
  readonly verdicts: readonly Verdict[];
  readonly labels: number;
}

/** Goes through a course. */
export type System = (course: Course) => Promise<Outcome>;

/** Sluice as `evaluate spam` runs it: nothing said but the preset of what is read. */
export function sluice(engine: Engine, preset: 'full' | 'fast'): System {
  return async ({ corpus, setting, seed }) => {
    const task = mailTask(preset, seed, setting.labelsAlone ? { tag: 'off' } : {});
    const verdicts: Verdict[] = [];
    const result = await evaluate({
      ...{ task, engine, seed, train: null, protocol: setting.protocol },
      input: streamOf(corpus.messages),
      total: corpus.messages.length,
      feedback: parseFeedback(setting.feedback),
      onTested: ({ index, truth, predicted, scores, offset }) => {
        verdicts.push({ index, truth, predicted, spam: scores[offset + 1] });
      },
    });
    if (result.n !== corpus.messages.length)
      throw new Error(`${corpus.messages.length - result.n} mails were not read`);
    checkSame(result.oneMinusAucPercent, figuresOf(verdicts, result.labels, seed).oneMinusAuc);
    return { verdicts, labels: result.labels };
  };
}

/** The page counts as `evaluate` does, or it proves nothing of it. */
function checkSame(reported: number | undefined, counted: number): void {
  if (reported === undefined || Math.abs(reported - counted) > 1e-9)
    throw new Error(`evaluate reports ${reported} % for 1 - AUC, here it is ${counted} %`);
}

function mailTask(preset: 'full' | 'fast', seed: number, decision: object): Task {
  return openTask({
    ...{ name: 'spam', event: 'email', labels: ['ham', 'spam'], decode: { kind: 'mime' } },
    ...{ features: { options: { preset } }, seed, decision },
  });
}

/** Where the test of a course begins, as `evaluate` has it. */
function testFrom({ corpus, setting }: Course): number {
  if (setting.protocol.kind === 'holdout')
    return Math.floor(setting.protocol.trainFraction * corpus.messages.length);
  const { delayed } = parseFeedback(setting.feedback);
  return Number.isFinite(delayed) ? delayed : 0;
}

/** Accuracy of a score is counted from here on, by bogofilter's own rule of a cutoff, which counts as spam. */
const EVEN = 0.5;

/** The `ham_cutoff` and `spam_cutoff` of bogofilter: between them it says Unsure. */
const SURE = { ham: 0.45, spam: 0.99 } as const;

/** Where bogofilter has no opinion by its own word, as a gateway has none where it decides `unsure`. */
const thirdVerdict = (model: Bogofilter): Observer => ({
  met: () => {},
  scored: ({ id }) => {
    const spam = model.spamicity.get(Number(id)) as number;
    return spam > SURE.ham && spam < SURE.spam ? { action: 'unsure' } : null;
  },
  labelled: () => {},
});

/** bogofilter with the mails of `files`, which are those of the course's corpus. */
export function bogofilter(files: MailFiles, program?: string): System {
  let runs = 0;
  return async (course) => {
    const { corpus, setting, seed } = course;
    const task = numberTask(files);
    runs += 1;
    const model = new Bogofilter(files, task.shape, `words-${runs}`, program);
    const feedback = parseFeedback(setting.feedback);
    const verdicts: Verdict[] = [];
    try {
      const { labelsGiven } = await runStream(streamOf(corpus.messages), {
        ...{ task, model, seed, total: corpus.messages.length, testFrom: testFrom(course) },
        feedback,
        observer: dependsOnVerdict(feedback) && !setting.labelsAlone ? thirdVerdict(model) : null,
        frozen: setting.protocol.kind === 'holdout',
        onTested: ({ id, index, truth }) => {
          const spam = model.spamicity.get(Number(id)) as number;
          verdicts.push({ index, truth, predicted: spam >= EVEN ? 1 : 0, spam });
        },
      });
      return { verdicts, labels: labelsGiven };
    } finally {
      model.close();
    }
  };
}

/** A row of the page for one system. */
export interface SettingFigures {
  readonly setting: string;
  readonly from: number;
  readonly seeds: number;
  readonly figures: Figures;
}

/** A system's figures under a setting, over orders or seeds: one corpus each, and its seed. */
export async function measureSetting(
  system: (corpus: Corpus) => System,
  corpora: readonly Corpus[],
  setting: Setting,
  seeds: readonly number[],
): Promise<SettingFigures[]> {
  const several = setting.random ? seeds : seeds.slice(0, 1);
  const runs =
    corpora.length > 1
      ? corpora.map((corpus, i) => ({ corpus, seed: seeds[i] }))
      : several.map((seed) => ({ corpus: corpora[0], seed }));
  const figures: Figures[][] = setting.from.map(() => []);
  for (const { corpus, seed } of runs) {
    const { verdicts, labels } = await system(corpus)({ corpus, setting, seed });
    setting.from.forEach((from, i) => {
      figures[i].push(figuresOf(verdicts, labels, seed, from));
    });
  }
  return setting.from.map((from, i) => ({
    ...{ setting: setting.name, from, seeds: runs.length, figures: meanFigures(figures[i]) },
  }));
}
