/**
 * What the decision does with ham and spam while some of the labels are wrong: a gateway that learns each label, right or
 * wrong, once it has given its verdict, and decides by what was confirmed until then. Counted by the true labels, from the
 * first mail on for which there was enough evidence. Promises: decided and learned as `evaluate` does it.
 */
import type { Decided, Message } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { DecisionTrial } from '../../src/task/decision/trial.ts';
import { immediate } from '../../src/task/feedback.ts';
import { type Observer, runStream, type Tested } from '../../src/task/protocols.ts';
import { openTask } from '../../src/task/task.ts';
import { message } from '../inputs.ts';
import type { Lesson } from './laboratory.ts';

/** Mails by what was done with them; the rest was delivered without a word. */
export interface Treated {
  mails: number;
  tagged: number;
  unsure: number;
}

export interface DecidedFigures {
  readonly ham: Treated;
  readonly spam: Treated;
  /** The first mail, from 0, for which there was enough evidence; null: none. */
  readonly from: number | null;
}

/** Counts what a trial decides by the truth, which it is not told. */
class Treatment implements Observer {
  readonly #trial: DecisionTrial;
  readonly #isSpam: (index: number) => boolean;
  readonly ham: Treated = { mails: 0, tagged: 0, unsure: 0 };
  readonly spam: Treated = { mails: 0, tagged: 0, unsure: 0 };

  constructor(trial: DecisionTrial, isSpam: (index: number) => boolean) {
    this.#trial = trial;
    this.#isSpam = isSpam;
  }

  met: Observer['met'] = (event, index) => this.#trial.met(event, index);
  labelled: Observer['labelled'] = (index, label) => this.#trial.labelled(index, label);

  scored(tested: Tested, counts: boolean): Decided {
    const decided = this.#trial.scored(tested, counts);
    if (this.#trial.report().from === null) return decided;
    const treated = this.#isSpam(tested.index) ? this.spam : this.ham;
    treated.mails += 1;
    if (decided.action === 'tag') treated.tagged += 1;
    if (decided.action === 'unsure') treated.unsure += 1;
    return decided;
  }
}

/** `budget`: the share of ham that may be tagged. `lessons` by the mails of the stream in order, `truth` beside them. */
export async function decidedUnder(
  lessons: readonly Lesson[],
  truth: readonly boolean[],
  budget: number,
  seed: number,
): Promise<DecidedFigures> {
  const decision = { tag: budget };
  const labels = ['ham', 'spam'];
  const task = openTask({
    ...{ name: 'spam', event: 'email', labels, decode: { kind: 'mime' }, decision, seed },
  });
  const model = task.newModel(openEngine({ backend: 'cpu', threads: 1 }));
  const trial = new DecisionTrial(task);
  const treatment = new Treatment(trial, (index) => truth[index]);
  async function* stream(): AsyncGenerator<Message> {
    for (const [n, { raw, label }] of lessons.entries())
      yield { ...message(raw, n), label: labels[Number(label)] };
  }
  try {
    await runStream(stream(), {
      ...{ task, model, seed, feedback: immediate, total: lessons.length, testFrom: 0, frozen: false },
      observer: treatment,
      onTested: () => {},
    });
    const { ham, spam } = treatment;
    return { ham, spam, from: trial.report().from };
  } finally {
    model.close();
  }
}
