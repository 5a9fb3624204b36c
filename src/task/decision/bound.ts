/**
 * The threshold of one budget of lost ham: the (k+1)-th largest score that confirmed ham had at verdict time, with the
 * largest k that tolerance.ts allows. Only what lies strictly above it may be acted on, so that scores that tie or
 * saturate never break the bound. Of N scores only the newest that this k needs are asked: as sure, and fresher. Without enough confirmed ham the threshold is +Infinity: nothing is acted on.
 *
 * Another base model gives other scores. Until it has as many confirmed ham of its own as the budget needs for k = 0,
 * the scores of the models before it still count, but not one of its own may lie above the threshold; from then on
 * only its own count. So a roll-out neither blinds a site for weeks nor runs on promises of another model.
 */
import { Tail, type TailEntry } from './tail.ts';
import { neededFor } from './tolerance.ts';

/** What `save` gives. */
export interface BoundState {
  readonly mixed: boolean;
  readonly entries: readonly TailEntry[];
}

export class Bound {
  readonly budget: number;
  /** Confirmed ham that the budget needs before anything is acted on. */
  readonly least: number;
  readonly #needed: Uint32Array;
  readonly #tail: Tail;
  /** How many may lie above the threshold; -1: there are too few. */
  #over = -1;
  /** Scores of models before the running one count still. */
  #mixed = false;
  #threshold = Number.POSITIVE_INFINITY;

  /** `budget` in (0, 1); `window`: newest confirmed ham that count. */
  constructor(budget: number, window: number) {
    this.budget = budget;
    this.#needed = neededFor(budget, window);
    this.least = this.#needed[0] ?? Number.POSITIVE_INFINITY;
    this.#tail = new Tail(window, this.#needed.length + 1);
  }

  /** A score must be larger than this; +Infinity while there is not enough evidence. */
  get threshold(): number {
    return this.#threshold;
  }

  /** Confirmed ham that the threshold stands on. */
  get confirmed(): number {
    return this.#tail.size;
  }

  get enough(): boolean {
    return this.#over >= 0;
  }

  /** The score of a confirmed ham, any number but NaN; `own`: given by the model that runs now. */
  add(seq: number, score: number, own: boolean): void {
    if (!own && !this.#mixed) return;
    if (!this.#tail.add(seq, score, own)) return;
    if (this.#mixed && this.#tail.ownSize >= this.least) {
      this.#tail.dropOthers();
      this.#mixed = false;
    }
    this.#settle();
  }

  /** The label was withdrawn or corrected. */
  remove(seq: number): void {
    if (this.#tail.remove(seq)) this.#settle();
  }

  /** Another base model gives the verdicts from now on. */
  rebase(): void {
    this.#tail.disown();
    this.#mixed = this.#tail.size > 0;
    this.#settle();
  }

  save(): BoundState {
    return { mixed: this.#mixed, entries: this.#tail.entries() };
  }

  /** Into one that is empty; its budget and window may be others than those it was saved with. */
  restore({ mixed, entries }: BoundState): void {
    for (const { seq, value, own } of entries) this.#tail.add(seq, value, own);
    this.#mixed = mixed;
    this.#settle();
  }

  #settle(): void {
    const size = this.#tail.size;
    while (this.#over + 1 < this.#needed.length && this.#needed[this.#over + 1] <= size) this.#over += 1;
    while (this.#over >= 0 && this.#needed[this.#over] > size) this.#over -= 1;
    // More would make the bound no surer, only older.
    this.#tail.focus(this.#needed[Math.max(0, this.#over)] ?? size);
    const allowed = this.enough ? this.#tail.largest(this.#over + 1) : Number.POSITIVE_INFINITY;
    this.#threshold = this.#mixed ? Math.max(allowed, this.#tail.ownLargest) : allowed;
  }
}
