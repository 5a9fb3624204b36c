/**
 * A model with everything that changes with it: its base, label counts, quality, and the journal position up to which
 * all of it is the fold of the effective entries behind `base.since`. Two folds of the same journal on the same base
 * to the same position are the same bits, whatever snapshots and batches lay between.
 */
import type { Engine, JournalEntry, Model, Snapshot, Store } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { concat } from '../features/rows.ts';
import { QualityWindow } from '../task/metrics.ts';
import type { Task } from '../task/task.ts';
import type { Base } from './base.ts';

/** Entries learned in one native call. */
const LEARN_AT_ONCE = 256;

/** Told the probabilities (row-major) that the model gave to each entry right before it learned that entry. */
export type Watch = (entries: readonly JournalEntry[], scores: Float32Array) => void;

/** What is saved beside the weights. `base` and `since` are missing in stores of the first version: a blank base. */
interface Meta {
  readonly features: string;
  readonly base?: string;
  readonly since?: number;
  readonly counts: number[];
  readonly quality: string;
}

export class Fold {
  readonly model: Model;
  /** Labels learned on top of the base, by label index. */
  readonly counts: number[];
  readonly base: Base;
  #quality: QualityWindow;
  /** Every effective entry with seq <= position is learned, or handed to the model's strand. */
  position: number;
  readonly #task: Task;
  readonly #learns: boolean;

  private constructor(
    task: Task,
    base: Base,
    learns: boolean,
    model: Model,
    counts: number[],
    quality: QualityWindow,
    position: number,
  ) {
    this.#task = task;
    this.base = base;
    this.#learns = learns;
    this.model = model;
    this.counts = counts;
    this.#quality = quality;
    this.position = position;
  }

  /** The base, with nothing of the journal behind `base.since`. Throws MODEL_* where its weights cannot be loaded. */
  static start(task: Task, base: Base, engine: Engine, learns: boolean): Fold {
    const { weights, kind } = base;
    const model = weights ? task.loadModel(engine, weights, kind ?? undefined) : task.newModel(engine);
    const counts = new Array<number>(task.labels.length).fill(0);
    return new Fold(task, base, learns, model, counts, new QualityWindow(task.labels), base.since);
  }

  /**
   * From a snapshot; null where it stands on another base. Throws MODEL_MISMATCH where it was made with other features,
   * MODEL_CORRUPT, MODEL_VERSION.
   */
  static restore(task: Task, base: Base, engine: Engine, learns: boolean, snapshot: Snapshot): Fold | null {
    const meta = JSON.parse(Buffer.from(snapshot.parts.meta).toString('utf8')) as Meta;
    if (meta.features !== task.features) {
      throw new SluiceError(
        'MODEL_MISMATCH',
        `the saved model was learned on features and labels ${meta.features}, the task now has ${task.features}; it starts anew`,
      );
    }
    // A blank model is what its journal made it, whatever its options were called then.
    const same =
      base.digest === null ? (meta.base ?? 'blank-').startsWith('blank-') : meta.base === base.name;
    if (!same || (meta.since ?? 0) !== base.since) return null;
    const quality = QualityWindow.restore(task.labels, meta.quality);
    const model = task.loadModel(engine, snapshot.parts.model, base.kind ?? undefined);
    return new Fold(task, base, learns, model, [...meta.counts], quality, snapshot.journal);
  }

  /** Of verdicts given, by the labels that came: it goes on whatever model runs. */
  get quality(): QualityWindow {
    return this.#quality;
  }

  /** Goes on with the account of another fold that stands at the same position. */
  takeOverQuality(other: Fold): void {
    this.#quality = other.#quality;
  }

  get labels(): number {
    return this.counts.reduce((a, b) => a + b, 0);
  }

  /**
   * Learns the next entries of the journal. Returns false at its end. `position` moves before the first await:
   * who looks at it later sees what the model has or will have before any later call to it.
   */
  async advance(
    store: Store,
    watch: Watch | null = null,
  ): Promise<{ readonly grew: boolean; readonly learned: number }> {
    const { entries, through } = store.journal.read(this.#task.name, this.position, LEARN_AT_ONCE);
    if (through === this.position) return { grew: false, learned: 0 };
    this.position = through;
    const usable = entries.filter((entry) => entry.joined.features === this.#task.features);
    await this.#learn(usable, watch);
    return { grew: true, learned: usable.length };
  }

  /** Learns entries that follow right behind `position` and are on their way into the journal. */
  async follow(entries: readonly JournalEntry[], watch: Watch | null = null): Promise<void> {
    this.position = entries[entries.length - 1].seq;
    const usable = entries.filter((entry) => entry.joined.features === this.#task.features);
    await this.#learn(usable, watch);
  }

  async #learn(entries: readonly JournalEntry[], watch: Watch | null): Promise<void> {
    if (entries.length === 0) return;
    for (const { label, joined } of entries) {
      // Once for each event, with the label that holds now: a correction folds again without the old one.
      this.quality.add(label, joined.predicted, joined.scores);
      if (this.#learns) this.counts[label] += 1;
    }
    if (!this.#learns && !watch) return;
    const rows = concat(entries.map((entry) => entry.joined.rows));
    const labels = Int32Array.from(entries, (entry) => entry.label);
    const weights = Float32Array.from(entries, (entry) => entry.weight);
    if (!watch) return this.model.learn(rows, labels, weights);
    // Scoring and learning row by row in one call gives the same bits as learning alone.
    watch(entries, await (this.#learns ? this.model.step(rows, labels, weights) : this.model.score(rows)));
  }

  /** A snapshot as of now; call it when no `advance` is running. */
  async snapshot(at: number): Promise<Snapshot> {
    const meta: Meta = {
      features: this.#task.features,
      base: this.base.name,
      since: this.base.since,
      counts: [...this.counts],
      quality: this.quality.save(),
    };
    const head = { task: this.#task.name, journal: this.position, labels: this.labels, at };
    const model = await this.model.save();
    return { ...head, parts: { model, meta: Buffer.from(JSON.stringify(meta)) } };
  }
}
