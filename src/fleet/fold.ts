/**
 * A model with everything that changes with it: label counts, quality, and the journal position up to which
 * all of it is the fold of the effective entries. Two folds of the same journal to the same position are
 * the same bits, whatever snapshots and batches lay between.
 */
import type { Engine, JournalEntry, Model, Snapshot, Store } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { concat } from '../features/rows.ts';
import { QualityWindow } from '../task/metrics.ts';
import type { Task } from '../task/task.ts';

/** Entries learned in one native call. */
const LEARN_AT_ONCE = 256;

/** What is saved beside the weights. */
interface Meta {
  readonly features: string;
  readonly counts: number[];
  readonly quality: string;
}

export class Fold {
  readonly model: Model;
  readonly counts: number[];
  readonly quality: QualityWindow;
  /** Every effective entry with seq <= position is learned, or handed to the model's strand. */
  position: number;
  readonly #task: Task;
  readonly #learns: boolean;

  private constructor(
    task: Task,
    learns: boolean,
    model: Model,
    counts: number[],
    quality: QualityWindow,
    position: number,
  ) {
    this.#task = task;
    this.#learns = learns;
    this.model = model;
    this.counts = counts;
    this.quality = quality;
    this.position = position;
  }

  /** The fold of nothing. */
  static blank(task: Task, engine: Engine, learns: boolean): Fold {
    const counts = new Array<number>(task.labels.length).fill(0);
    return new Fold(task, learns, task.newModel(engine), counts, new QualityWindow(task.labels), 0);
  }

  /** From a snapshot. Throws MODEL_MISMATCH where it was made with other features, MODEL_CORRUPT, MODEL_VERSION. */
  static restore(task: Task, engine: Engine, learns: boolean, snapshot: Snapshot): Fold {
    const meta = JSON.parse(Buffer.from(snapshot.parts.meta).toString('utf8')) as Meta;
    if (meta.features !== task.features) {
      throw new SluiceError(
        'MODEL_MISMATCH',
        `the saved model was learned on features and labels ${meta.features}, the task now has ${task.features}; it starts anew`,
      );
    }
    const quality = QualityWindow.restore(task.labels, meta.quality);
    const model = task.loadModel(engine, snapshot.parts.model);
    return new Fold(task, learns, model, [...meta.counts], quality, snapshot.journal);
  }

  get labels(): number {
    return this.counts.reduce((a, b) => a + b, 0);
  }

  /**
   * Learns the next entries of the journal. Returns false at its end. `position` moves before the first await:
   * who looks at it later sees what the model has or will have before any later call to it.
   */
  async advance(store: Store): Promise<{ readonly grew: boolean; readonly learned: number }> {
    const { entries, through } = store.journal.read(this.#task.name, this.position, LEARN_AT_ONCE);
    if (through === this.position) return { grew: false, learned: 0 };
    this.position = through;
    const usable = entries.filter((entry) => entry.joined.features === this.#task.features);
    await this.#learn(usable);
    return { grew: true, learned: usable.length };
  }

  /** Learns entries that follow right behind `position` and are on their way into the journal. */
  async follow(entries: readonly JournalEntry[]): Promise<void> {
    this.position = entries[entries.length - 1].seq;
    await this.#learn(entries.filter((entry) => entry.joined.features === this.#task.features));
  }

  async #learn(entries: readonly JournalEntry[]): Promise<void> {
    if (entries.length === 0) return;
    for (const { label, joined } of entries) {
      // Once for each event, with the label that holds now: a correction folds again without the old one.
      this.quality.add(label, joined.predicted, joined.scores);
      if (this.#learns) this.counts[label] += 1;
    }
    if (!this.#learns) return;
    const rows = concat(entries.map((entry) => entry.joined.rows));
    const labels = Int32Array.from(entries, (entry) => entry.label);
    const weights = Float32Array.from(entries, (entry) => entry.weight);
    await this.model.learn(rows, labels, weights);
  }

  /** A snapshot as of now; call it when no `advance` is running. */
  async snapshot(at: number): Promise<Snapshot> {
    const meta: Meta = {
      features: this.#task.features,
      counts: [...this.counts],
      quality: this.quality.save(),
    };
    const base = { task: this.#task.name, journal: this.position, labels: this.labels, at };
    const model = await this.model.save();
    return { ...base, parts: { model, meta: Buffer.from(JSON.stringify(meta)) } };
  }
}
