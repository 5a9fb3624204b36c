/**
 * What a group of feedback means after what the journal says already: which labels are new, the same again, corrections
 * or withdrawals, and what they take out of the model. Within a group the last word on an event counts. Changes
 * nothing; refuses to take back what lies in a snapshot alone.
 */
import type { JoinedRow, JournalEntry, Store } from '../contract.ts';
import type { Feedback } from '../envelope.ts';
import { SluiceError } from '../errors.ts';
import type { Task } from '../task/task.ts';

export type NewEntry = Omit<JournalEntry, 'seq' | 'supersedes'>;
/** What becomes of one label. */
export type Meaning = 'learned' | 'corrected' | 'withdrawn';
/** Why a label is not taken. */
export type Refusal = { readonly result: 'duplicate' } | { readonly result: 'invalid'; error: SluiceError };

export interface GroupContext {
  readonly task: Pick<Task, 'name' | 'labels'>;
  readonly store: Pick<Store, 'journal'>;
  readonly learner: { canUndo(seq: number): boolean; mustUndo(seq: number): boolean };
}

/** The entry of a row, with what was said of it. */
export function entryOf(
  task: string,
  row: JoinedRow,
  { label, weight, origin, at }: Pick<NewEntry, 'label' | 'weight' | 'origin' | 'at'>,
): NewEntry {
  return { task, event: row.id, device: row.device, label, weight, origin, at, joined: row };
}

export class Group {
  readonly #context: GroupContext;
  readonly #chosen = new Map<string, { readonly entry: NewEntry; readonly result: Meaning }>();

  constructor(context: GroupContext) {
    this.#context = context;
  }

  /** Takes one label for one event; to why not, where it is not taken. */
  add(feedback: Feedback, row: JoinedRow): Refusal | null {
    const { store, task, learner } = this.#context;
    const label = feedback.label === null ? -1 : task.labels.indexOf(feedback.label);
    const journalled = store.journal.labelOf(task.name, row.id);
    const own = store.journal.ownOf(task.name, row.id);
    const before = this.#chosen.get(row.id)?.entry ?? journalled;
    if (before?.label === label || (!before && own === 0 && label < 0)) return { result: 'duplicate' };
    const learned = [journalled?.seq ?? 0, own].filter((seq) => seq > 0);
    if (label < 0 && !learned.every((seq) => learner.canUndo(seq))) {
      const text = `the label of ${row.id} is older than the oldest kept snapshot`;
      return { result: 'invalid', error: new SluiceError('FEEDBACK_TOO_OLD', text) };
    }
    const result = label < 0 ? 'withdrawn' : before && before.label >= 0 ? 'corrected' : 'learned';
    this.#chosen.set(row.id, { entry: entryOf(task.name, row, { ...feedback, label }), result });
    return null;
  }

  /** What goes into the journal, and the seqs in it that the model must be without. */
  close(): {
    readonly entries: readonly NewEntry[];
    readonly results: readonly Meaning[];
    readonly undone: readonly number[];
  } {
    const { task, store, learner } = this.#context;
    const { journal } = store;
    // A label and its withdrawal may have met: then there is nothing to take back.
    const kept = [...this.#chosen.values()].filter(
      ({ entry: { label, event } }) =>
        label >= 0 || journal.labelOf(task.name, event) || journal.ownOf(task.name, event) > 0,
    );
    const entries = kept.map(({ entry }) => entry);
    const undone = entries.flatMap((entry) => this.#replaced(entry));
    return {
      entries,
      results: kept.map(({ result }) => result),
      undone: undone.filter((seq) => learner.mustUndo(seq)),
    };
  }

  /** The first label of an event is learned on top of the model's own; what comes after it replaces both. */
  #replaced({ task, event, label }: NewEntry): number[] {
    const { journal } = this.#context.store;
    const prior = journal.labelOf(task, event);
    if (!prior && label >= 0) return [];
    return [prior && prior.label >= 0 ? prior.seq : 0, journal.ownOf(task, event)].filter((seq) => seq > 0);
  }
}
