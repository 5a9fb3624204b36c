/**
 * The model kind `text` on rows of real mails, beside the plainest loops that V8 can run: the same members, updated by the
 * same rules. What it costs beside `linear` on the same rows, in time and memory, is in the table.
 */
import type { Model, Rows } from '../../src/contract.ts';
import { EMAIL_VIEWS } from '../../src/features/email-options.ts';
import { RowArena } from '../../src/features/rows.ts';
import { openEngine } from '../../src/model/engine.ts';
import { type BenchCase, measure } from '../case.ts';
import { type LabelledMail, mailTask, message, realMails } from '../inputs.ts';
import { learnerSides } from '../learners.ts';

const MAILS = 2_000;
const VIEWS = EMAIL_VIEWS;
/** As in native/core/text_numbers.h. */
const FIRST_RATIO_WEIGHT = 0.1;
const SHARED_LOGIT = 0.3;
const RATE = 0.4;
const BIAS_RATE = RATE / 2;

function rowsOf(mails: readonly LabelledMail[]): { rows: Rows; labels: Int32Array } {
  const task = mailTask('full');
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  for (const [n, { raw }] of mails.entries())
    for (const event of task.decode(message(raw, n, 'mail/in'))) task.fill(event, arena);
  return { rows: arena.view(), labels: Int32Array.from(mails, ({ label }) => (label === 'spam' ? 1 : 0)) };
}

const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

/** A weight of each bucket under AdaGrad. */
class Member {
  readonly weights: Float32Array;
  readonly #squares: Float32Array;

  constructor(size: number) {
    this.weights = new Float32Array(size);
    this.#squares = new Float32Array(size);
  }

  update(bucket: number, gradient: number, rate = RATE): void {
    this.#squares[bucket] += gradient * gradient;
    this.weights[bucket] -= (rate * gradient) / (Math.sqrt(this.#squares[bucket]) + 1e-6);
  }
}

/** The members of `text` and their mean, one number at a time; without calibration and guard, which cost nothing. */
class PlainText {
  readonly #view: Member;
  readonly #ratios: Member;
  readonly #biases = new Member(VIEWS + 1);
  readonly #ham: Float32Array;
  readonly #spam: Float32Array;
  readonly #rows: [number, number] = [0, 0];
  readonly #shift: number;
  readonly #logits = new Float64Array(VIEWS + 1);

  constructor(dims: number) {
    this.#view = new Member(dims);
    this.#ratios = new Member(dims);
    this.#ham = new Float32Array(dims);
    this.#spam = new Float32Array(dims);
    this.#shift = Math.log2(dims / VIEWS);
  }

  #ratio(bucket: number): number {
    const ham = this.#ham[bucket];
    const spam = this.#spam[bucket];
    if (ham + spam === 0) return 0;
    return Math.log(((spam + 0.5) / (ham + 0.5)) * ((this.#rows[0] + 1) / (this.#rows[1] + 1)));
  }

  score(rows: Rows, i: number): number {
    const logits = this.#logits;
    logits.set(this.#biases.weights);
    for (let k = rows.indptr[i]; k < rows.indptr[i + 1]; k++) {
      const bucket = rows.indices[k];
      const x = rows.values[k];
      logits[bucket >>> this.#shift] += this.#view.weights[bucket] * x;
      logits[VIEWS] +=
        (this.#ratios.weights[bucket] + FIRST_RATIO_WEIGHT) * Math.abs(x) * this.#ratio(bucket);
    }
    return sigmoid(this.#blend());
  }

  #blend(): number {
    let sum = 0;
    for (const logit of this.#logits) sum += logit;
    return sum / this.#logits.length;
  }

  learn(rows: Rows, i: number, label: number): void {
    this.score(rows, i);
    const shared = SHARED_LOGIT * this.#blend();
    const errors = this.#logits.map((logit) => sigmoid((1 - SHARED_LOGIT) * logit + shared) - label);
    const counts = label === 1 ? this.#spam : this.#ham;
    for (let k = rows.indptr[i]; k < rows.indptr[i + 1]; k++) {
      const bucket = rows.indices[k];
      const x = rows.values[k];
      this.#view.update(bucket, errors[bucket >>> this.#shift] * x);
      this.#ratios.update(bucket, errors[VIEWS] * Math.abs(x) * this.#ratio(bucket));
      counts[bucket] += 1;
    }
    for (let v = 0; v <= VIEWS; v++) this.#biases.update(v, errors[v], BIAS_RATE);
    this.#rows[label] += 1;
  }
}

/** Microseconds of CPU a row, the best of three runs. */
async function cost(run: () => Promise<unknown>, rows: number): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i += 1) {
    const { cpuSeconds } = await measure(async () => {
      await run();
      return rows;
    });
    best = Math.min(best, ((cpuSeconds ?? 0) / rows) * 1e6);
  }
  return best;
}

async function page(models: readonly Model[], rows: Rows, labels: Int32Array): Promise<string> {
  const cells = rows.indptr[rows.count] / rows.count;
  const lines: string[] = [];
  for (const model of models) {
    const score = await cost(() => model.score(rows), rows.count);
    const learn = await cost(() => model.learn(rows, labels), rows.count);
    const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
    const file = (await model.save()).length;
    lines.push(
      `| ${model.kind} | ${score.toFixed(1)} | ${learn.toFixed(1)} | ${mebibytes(model.bytes)} | ${mebibytes(file)} |`,
    );
  }
  return [
    `| kind (${cells.toFixed(0)} features a mail) | µs to score | µs to learn | MiB | MiB as a file |`,
    '| --- | ---: | ---: | ---: | ---: |',
    ...lines,
  ].join('\n');
}

function textCase(name: string, what: string, learns: boolean): BenchCase {
  return {
    name,
    what,
    peer: 'the same members in plain scalar loops in JavaScript over the same rows',
    unit: 'mails',
    floor: learns ? 5 : 10,
    async prepare(options) {
      const mails = await realMails(options, MAILS);
      if (typeof mails === 'string') return mails;
      const { rows, labels } = rowsOf(mails);
      const { dims } = mailTask('full').shape;
      const engine = openEngine({ threads: 1 });
      const make = (kind: string) => engine.create(kind, { dims, denseDims: 0, classes: 2 }, {}, 1);
      const [model, linear, plain] = [make('text'), make('linear'), new PlainText(dims)];
      await model.learn(rows, labels);
      await linear.learn(rows, labels);
      for (let i = 0; i < rows.count; i++) plain.learn(rows, i, labels[i]);
      const table = await page([model, linear], rows, labels);
      linear.close();
      return { ...learnerSides(model, plain, { rows, labels }, learns), page: table };
    },
  };
}

export const textCases: readonly BenchCase[] = [
  textCase('score-text', 'feature rows of mails scored by the kind text, one thread', false),
  textCase('learn-text', 'feature rows of mails learned by the kind text, one by one, one thread', true),
];
