/**
 * A filter as it comes, taught with some mails and tried on others that were attacked. Promises: task, features and model are the
 * defaults of `evaluate`; what is tried never teaches unless asked; the same mails and seed give the same figures. Mails
 * that cannot be decoded count as ones that pass.
 */
import type { Model } from '../../src/contract.ts';
import { mimeOptions, readMail } from '../../src/decode/mime.ts';
import { RowArena } from '../../src/features/rows.ts';
import { openEngine } from '../../src/model/engine.ts';
import { seededRandom } from '../../src/task/random.ts';
import { missedAtRate, Scores } from '../../src/task/ranking.ts';
import type { Task } from '../../src/task/task.ts';
import { mailTask, message } from '../inputs.ts';
import type { Attacker } from './attacks.ts';

export interface Specimen {
  readonly raw: Buffer;
  readonly spam: boolean;
}

/** One lesson: which mail, and what it is said to be. */
export interface Lesson {
  readonly raw: Buffer;
  readonly label: boolean;
}

export interface Figures {
  /** (1 - AUC) %. */
  readonly area: number;
  /** Per cent of the spam that is missed where at most 0.1 % of the ham is lost. */
  readonly missed: number;
  /** Per cent of the spam that is called spam. */
  readonly caught: number;
  /** Per cent of the ham that is called spam. */
  readonly lost: number;
}

const AT_ONCE = 256;

export class Laboratory {
  readonly task: Task;
  readonly #engine = openEngine({ threads: 1 });
  readonly #arena: RowArena;

  constructor(task: Task = mailTask()) {
    this.task = task;
    this.#arena = new RowArena(task.shape.dims, task.shape.denseDims);
  }

  newModel(): Model {
    return this.task.newModel(this.#engine);
  }

  load(bytes: Uint8Array): Model {
    return this.task.loadModel(this.#engine, bytes);
  }

  /** Learns the lessons in order. */
  async teach(model: Model, lessons: readonly Lesson[]): Promise<void> {
    await this.#each(lessons, (rows, labels) => model.learn(rows, labels));
  }

  /** Probabilities of spam. */
  async score(model: Model, raws: readonly Buffer[]): Promise<Float32Array> {
    const found: number[] = [];
    const lessons = raws.map((raw) => ({ raw, label: false }));
    await this.#each(lessons, async (rows) => {
      const scores = await model.score(rows);
      for (let i = 0; i < rows.count; i += 1) found.push(scores[i * 2 + 1]);
    });
    return Float32Array.from(found);
  }

  /** Probabilities of spam, each mail scored before its lesson is learned. */
  async goOn(model: Model, lessons: readonly Lesson[]): Promise<Float32Array> {
    const found: number[] = [];
    await this.#each(lessons, async (rows, labels) => {
      const scores = await model.step(rows, labels);
      for (let i = 0; i < rows.count; i += 1) found.push(scores[i * 2 + 1]);
    });
    return Float32Array.from(found);
  }

  async #each(
    lessons: readonly Lesson[],
    take: (rows: ReturnType<RowArena['view']>, labels: Int32Array) => Promise<void>,
  ): Promise<void> {
    for (let from = 0; from < lessons.length; from += AT_ONCE) {
      const some = lessons.slice(from, from + AT_ONCE);
      this.#arena.reset();
      for (const [i, { raw }] of some.entries())
        for (const event of this.task.decode(message(raw, from + i))) this.task.fill(event, this.#arena);
      await take(
        this.#arena.view(),
        Int32Array.from(some, ({ label }) => Number(label)),
      );
    }
  }
}

function scoresOf(values: Float32Array): Scores {
  const scores = new Scores();
  for (const value of values) scores.add(value);
  return scores;
}

/** Per cent of the pairs of a ham and a spam in which the ham has the higher score; equal ones count one half. */
function areaAbove(ham: Float32Array, spam: Float32Array): number {
  const sorted = ham.slice().sort();
  const below = (value: number, orAt: boolean) => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value || (orAt && sorted[middle] === value)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  let wrong = 0;
  for (const score of spam) wrong += sorted.length - (below(score, false) + below(score, true)) / 2;
  return (100 * wrong) / (ham.length * spam.length);
}

/** Of the scores of ham and of spam; what is above `bar` is called spam. */
export function figuresOf(ham: Float32Array, spam: Float32Array, bar = 0.5): Figures {
  const over = (scores: Float32Array) => (100 * scores.filter((p) => p > bar).length) / scores.length;
  return {
    area: areaAbove(ham, spam),
    missed: 100 * missedAtRate(scoresOf(spam), scoresOf(ham), 0.001),
    caught: over(spam),
    lost: over(ham),
  };
}

const MOST_WORDS = 500;
const LEAST_MAILS = 3;

/** Mails by word. */
function wordsOf(mails: readonly Specimen[]): Map<string, { ham: number; spam: number }> {
  const limits = mimeOptions.parse({});
  const found = new Map<string, { ham: number; spam: number }>();
  for (const { raw, spam } of mails) {
    const text = readMail(raw, limits)
      .texts.map((each) => each.text)
      .join(' ');
    for (const word of new Set(text.toLowerCase().match(/\p{L}{3,20}/gu) ?? [])) {
      const counts = found.get(word) ?? { ham: 0, spam: 0 };
      counts[spam ? 'spam' : 'ham'] += 1;
      found.set(word, counts);
    }
  }
  return found;
}

/** One who knows these mails. */
export function attackerOf(mails: readonly Specimen[], seed: number): Attacker {
  const limits = mimeOptions.parse({});
  const counts = [...wordsOf(mails)].filter(([, { ham, spam }]) => ham + spam >= LEAST_MAILS);
  const hams = mails.filter(({ spam }) => !spam);
  const goodness = ({ ham, spam }: { ham: number; spam: number }) =>
    Math.log((ham + 0.5) / (spam + 0.5)) * Math.log1p(ham);
  const ranked = [...counts].sort((a, b) => goodness(b[1]) - goodness(a[1]));
  return {
    random: seededRandom(seed, 'attacker'),
    goodWords: ranked.slice(0, MOST_WORDS).map(([word]) => word),
    dictionary: counts.map(([word]) => word),
    goodTexts: hams
      .map(({ raw }) => readMail(raw, limits).texts[0]?.text ?? '')
      .filter((text) => text.length > 200),
  };
}
