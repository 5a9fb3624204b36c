/**
 * A second model beside the one that runs: the same labelled rows in the same order, each scored right before it is
 * learned. So two bases are compared like with like: at the same moment, with the same labels learned on top. It
 * gives no verdict and holds up nobody: it follows the journal after the running model.
 */
import type { Engine, JournalEntry, Store } from '../contract.ts';
import type { Task } from '../task/task.ts';
import type { Base } from './base.ts';
import { Fold } from './fold.ts';

/** Losses kept for those who ask later; a comparison is made within seconds. */
const KEPT = 16_384;
/** Probabilities are clipped here: one certain mistake costs 13.8 nats. */
const LEAST = 1e-6;

/** The log-loss of one model on each labelled entry, by its seq. The newest KEPT. */
export class Losses {
  readonly #classes: number;
  readonly #bySeq = new Map<number, { readonly loss: number; readonly device: string }>();

  constructor(classes: number) {
    this.#classes = classes;
  }

  readonly note = (entries: readonly JournalEntry[], scores: Float32Array): void => {
    entries.forEach(({ seq, label, device }, i) => {
      const loss = -Math.log(Math.max(LEAST, scores[i * this.#classes + label]));
      this.#bySeq.set(seq, { loss, device });
    });
    for (const seq of this.#bySeq.keys()) {
      if (this.#bySeq.size <= KEPT) break;
      this.#bySeq.delete(seq);
    }
  };

  of(seq: number): number | undefined {
    return this.#bySeq.get(seq)?.loss;
  }

  deviceOf(seq: number): string {
    return this.#bySeq.get(seq)?.device ?? '';
  }
}

export class Beside {
  readonly losses: Losses;
  readonly #fold: Fold;
  readonly #store: Store;
  /** Up to here it only catches up with what the running model has learned already. */
  readonly #from: number;

  constructor(task: Task, base: Base, engine: Engine, learns: boolean, store: Store, from: number) {
    this.losses = new Losses(task.labels.length);
    this.#fold = Fold.start(task, base, engine, learns);
    this.#store = store;
    this.#from = from;
  }

  get base(): Base {
    return this.#fold.base;
  }

  /** Up to here its losses are known. */
  get through(): number {
    return this.#fold.learned;
  }

  /** Takes some of what the journal has and it has not; false at its end. Rejects where the journal cannot be read or the model refuses. */
  async catchUp(): Promise<boolean> {
    const watched = this.#fold.position >= this.#from;
    return (await this.#fold.advance(this.#store, watched ? this.losses.note : null)).grew;
  }

  close(): void {
    this.#fold.model.close();
  }
}
