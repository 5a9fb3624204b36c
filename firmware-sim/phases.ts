/**
 * The books of a stream, divided by time: for each phase of a scenario how many messages were sent in it and how
 * well they were judged, as the sender sees it. A message belongs to the phase in which it was sent, whenever its
 * answer comes.
 */

export interface Phase {
  readonly name: string;
  /** Begin, ms after the start. The first one begins at 0; they rise. */
  readonly at: number;
}

export interface PhaseCounts extends Phase {
  readonly sent: number;
  readonly verdicts: number;
  readonly deadLetters: number;
  readonly labelled: number;
  readonly tested: number;
  readonly correct: number;
  readonly accuracy: number | null;
}

interface Book {
  sent: number;
  verdicts: number;
  deadLetters: number;
  labelled: number;
  tested: number;
  correct: number;
}

export const WHOLE_RUN: readonly Phase[] = [{ name: 'all', at: 0 }];

/** The phase that holds at `t`. */
export function phaseAt(phases: readonly Phase[], t: number): number {
  let found = 0;
  for (let i = 1; i < phases.length && phases[i].at <= t; i++) found = i;
  return found;
}

export class PhaseBooks {
  readonly #phases: readonly Phase[];
  readonly #books: readonly Book[];

  constructor(phases: readonly Phase[] = WHOLE_RUN) {
    this.#phases = phases;
    this.#books = phases.map(() => ({
      ...{ sent: 0, verdicts: 0, deadLetters: 0 },
      ...{ labelled: 0, tested: 0, correct: 0 },
    }));
  }

  /** The book of the phase that holds at `t`, ms after the start. */
  at(t: number): Book {
    return this.#books[phaseAt(this.#phases, t)];
  }

  counts(): PhaseCounts[] {
    return this.#phases.map((phase, i) => {
      const book = this.#books[i];
      return { ...phase, ...book, accuracy: book.tested > 0 ? book.correct / book.tested : null };
    });
  }
}
