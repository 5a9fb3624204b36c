/**
 * What a gateway would have decided on an evaluation's stream: the same decision.ts, asked for each event when it is
 * scored and told each label when that is learned, with the score that its event had. Counts what of either label was
 * tagged, held or left unsure. As in a gateway nothing is decided while verdicts carry no label.
 */
import type { Decided, Event } from '../../contract.ts';
import { Decision, type DecisionFigures, type Sender } from '../decision.ts';
import type { Observer, Tested } from '../protocols.ts';
import type { Task } from '../task.ts';
import type { DecisionOptions } from './options.ts';

/** Tested events of one label by what was decided; the rest was let pass. */
export interface DecidedCounts {
  tested: number;
  tagged: number;
  held: number;
  unsure: number;
}

export interface TriedDecision {
  /** The budgets; null: off. */
  readonly tag: number | null;
  readonly hold: number | null;
  /** The label that is acted on, and the other. */
  readonly positive: string;
  readonly negative: string;
  /** The first tested event for which there was enough evidence, from 0; null: none. */
  readonly from: number | null;
  /** Events of the negative label confirmed at the end, and the thresholds then. */
  readonly figures: DecisionFigures;
  /** Of all tested events of the negative and of the positive label. */
  readonly ham: DecidedCounts;
  readonly spam: DecidedCounts;
  /** The same of those from `from` on. */
  readonly since: { readonly ham: DecidedCounts; readonly spam: DecidedCounts };
}

interface Waiting {
  readonly id: string;
  readonly predicted: number;
  readonly scores: Float32Array;
}

/** Labels that come later than so many events are no evidence; events that never get one wait in vain. */
const MOST_WAITING = 262_144;
/** The oldest go so many together: a map finds its first entry slowly behind removed ones. */
const AT_ONCE = 16_384;

const none = (): DecidedCounts => ({ tested: 0, tagged: 0, held: 0, unsure: 0 });

export class DecisionTrial implements Observer {
  readonly #task: Task;
  readonly #options: DecisionOptions;
  readonly #decision: Decision;
  /** By place in the stream: what is needed when an event is scored, and when its label comes. */
  readonly #senders = new Map<number, Sender>();
  readonly #waiting = new Map<number, Waiting>();
  readonly #ham = none();
  readonly #spam = none();
  readonly #since = { ham: none(), spam: none() };
  #labels = 0;
  #from: number | null = null;

  /** `task` has a decision. */
  constructor(task: Task) {
    this.#task = task;
    this.#options = task.decision!;
    this.#decision = new Decision({ options: this.#options, positive: task.positive, secret: 'evaluate' });
    this.#decision.running('evaluate');
  }

  met(event: Event, index: number): void {
    const sender = this.#decision.senderOf(event, this.#task.positive);
    if (sender) this.#senders.set(index, sender);
  }

  scored({ id, index, truth, stated, scores, offset }: Tested, tested: boolean): Decided {
    const sender = this.#senders.get(index) ?? null;
    this.#senders.delete(index);
    const decided = this.#decision.decide(id, sender, stated, scores, offset);
    if (truth >= 0)
      this.#waiting.set(index, { id, predicted: stated, scores: scores.slice(offset, offset + 2) });
    if (this.#waiting.size > MOST_WAITING) this.#forgetOldest();
    if (tested) this.#count(index, truth, decided);
    return decided;
  }

  #count(index: number, truth: number, { action }: Decided): void {
    if (this.#from === null && this.#decision.figures().begun) this.#from = index;
    const kind = truth === this.#task.positive ? 'spam' : 'ham';
    const all = kind === 'spam' ? this.#spam : this.#ham;
    for (const counts of this.#from === null ? [all] : [all, this.#since[kind]]) {
      counts.tested += 1;
      if (action === 'tag') counts.tagged += 1;
      if (action === 'hold') counts.held += 1;
      if (action === 'unsure') counts.unsure += 1;
    }
  }

  labelled(index: number, label: number): void {
    const found = this.#waiting.get(index);
    if (!found) return;
    this.#waiting.delete(index);
    this.#labels += 1;
    const { id: event, predicted, scores } = found;
    const place = { seq: this.#labels, event, supersedes: 0, offset: 0, base: 'evaluate' };
    this.#decision.labelled({ ...place, label, predicted, scores });
  }

  report(): TriedDecision {
    const { labels, positive } = this.#task;
    const { tag, hold } = this.#options;
    const [names, figures] = [
      { positive: labels[positive], negative: labels[1 - positive] },
      this.#decision.figures(),
    ];
    return {
      tag,
      hold,
      ...names,
      from: this.#from,
      figures,
      ham: this.#ham,
      spam: this.#spam,
      since: this.#since,
    };
  }

  #forgetOldest(): void {
    for (const index of this.#waiting.keys()) {
      if (this.#waiting.size <= MOST_WAITING - AT_ONCE) return;
      this.#waiting.delete(index);
    }
  }
}
