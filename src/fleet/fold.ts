/**
 * A model with everything that changes with it: its base, label counts, quality, and the journal position up to which
 * all of it is the fold of the effective entries behind `base.since`. Two folds of the same journal on the same base
 * to the same position are the same bits, whatever snapshots and batches lay between.
 */
import type { Clock, Engine, JournalEntry, Model, Rows, Snapshot, Store } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import { concat } from '../features/rows.ts';
import { OWN_LABEL } from '../model/kinds.ts';
import { Quality, QualityWindow } from '../task/metrics.ts';
import type { QualityState } from '../task/quality.ts';
import { SelfTraining, type SelfTrainingState, surely } from '../task/self-training.ts';
import type { Task } from '../task/task.ts';
import { suffices } from '../task/verdict.ts';
import type { Telemetry } from '../telemetry.ts';
import type { Base } from './base.ts';

/** Entries learned in one native call. */
const LEARN_AT_ONCE = 256;
/** Calls after which a fold that is being caught up with takes one. */
const LEAD_EVERY = 4;

/** Told the probabilities (row-major) that the model gave to each label right before it learned that; own labels are none. */
export type Watch = (entries: readonly JournalEntry[], scores: Float32Array) => void;

export interface FoldContext {
  readonly task: Task;
  readonly engine: Engine;
  readonly telemetry: Telemetry;
}

/** What is saved beside the weights. `base` and `since` are missing in stores of the first version: a blank base. */
interface Meta {
  readonly features: string;
  readonly base?: string;
  readonly since?: number;
  readonly counts: number[];
  readonly quality: string;
  readonly carried?: QualityState;
  /** Missing in stores from before there was any. */
  readonly selfTraining?: SelfTrainingState;
}

export class Fold {
  readonly model: Model;
  /** Labels learned on top of the base, by label index. */
  readonly counts: number[];
  readonly base: Base;
  /** What it may learn by itself, by the entries that it is the fold of. */
  selfTraining: SelfTraining;
  #quality: QualityWindow;
  /** Of `quality` what is not of entries behind `base.since`: what models on other bases were tested on. */
  #carried: Quality | null = null;
  /** Scores under way. */
  #asked = 0;
  #retired = false;
  /** Every effective entry with seq <= position is learned, or handed to the model's strand. */
  position: number;
  /** Up to here it is learned, and told to who watches. */
  learned: number;
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
    this.selfTraining = new SelfTraining(sum(base.counts), sum(counts));
    this.#quality = quality;
    this.position = position;
    this.learned = position;
  }

  /** The base, with nothing of the journal behind `base.since`. Throws MODEL_* where its weights cannot be loaded. */
  static start(task: Task, base: Base, engine: Engine, learns: boolean): Fold {
    const { weights, kind } = base;
    const model = weights ? task.loadModel(engine, weights, kind ?? undefined) : task.newModel(engine);
    const counts = new Array<number>(task.labels.length).fill(0);
    return new Fold(task, base, learns, model, counts, new QualityWindow(task.labels), base.since);
  }

  /** From the snapshot where it stands on this base and can be used, else from the base. */
  static open(
    { task, engine, telemetry }: FoldContext,
    base: Base,
    learns: boolean,
    snapshot: Snapshot | null,
  ): Fold {
    if (snapshot) {
      try {
        const restored = Fold.restore(task, base, engine, learns, snapshot);
        if (restored) return restored;
      } catch (thrown) {
        // The journal may still hold everything: fold it from its beginning.
        telemetry.error(asSluiceError(thrown, 'MODEL_CORRUPT'), { task: task.name });
      }
    }
    return Fold.start(task, base, engine, learns);
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
    const fold = new Fold(task, base, learns, model, [...meta.counts], quality, snapshot.journal);
    if (meta.selfTraining) fold.selfTraining = SelfTraining.restore(meta.selfTraining);
    if (meta.carried?.confusion.length === task.labels.length ** 2) {
      fold.#carried = new Quality(task.labels.length);
      fold.#carried.restore(meta.carried);
    }
    return fold;
  }

  /** Probabilities by the model as it is now. */
  score(rows: Rows): Promise<Float32Array> {
    this.#asked += 1;
    const scored = this.model.score(rows);
    const over = () => {
      this.#asked -= 1;
      if (this.#retired && this.#asked === 0) this.model.close();
    };
    scored.then(over, over);
    return scored;
  }

  /** Closes the model once the scores under way are given. */
  retire(): void {
    this.#retired = true;
    if (this.#asked === 0) this.model.close();
  }

  /** Of verdicts given, by the labels that came: it goes on whatever model runs. */
  get quality(): QualityWindow {
    return this.#quality;
  }

  /**
   * Goes on with the account of another fold that stands at the same position: of another base as it is; of the same
   * base (folded again) as this one has counted, with what was carried over from bases before it.
   */
  continueQuality(other: Fold): void {
    if (other.base === this.base) {
      if (!this.#carried && other.#carried) this.#quality.total.plus(other.#carried, 1);
      this.#carried = other.#carried;
      this.#quality.continueWindow(other.#quality);
      return;
    }
    const own = this.#quality.total;
    this.#quality = other.#quality;
    this.#carried = new Quality(this.#task.labels.length);
    this.#carried.plus(other.#quality.total, 1);
    this.#carried.plus(own, -1);
  }

  get labels(): number {
    return sum(this.counts);
  }

  /** Whether it and its base have learned so many labels in all, and so many of each of at least two. */
  suffices(all: number, perLabel: number): boolean {
    const known = this.counts.map((n, c) => n + (this.base.counts[c] ?? 0));
    return suffices(known, { labels: all, perLabel });
  }

  /** Whether a label is the base's, and the hub's to forget. */
  isInBase(seq: number): boolean {
    return this.base.digest !== null && seq <= this.base.since;
  }

  /**
   * Learns the next entries of the journal, none behind `last`. Returns false at its end. `position` moves before the
   * first await: who looks at it later sees what the model has or will have before any later call to it.
   */
  async advance(
    store: Store,
    watch: Watch | null = null,
    last = Number.POSITIVE_INFINITY,
  ): Promise<{ readonly grew: boolean; readonly learned: number }> {
    const page = store.journal.read(this.#task.name, this.position, LEARN_AT_ONCE, { own: true });
    const through = Math.min(page.through, last);
    if (through <= this.position) return { grew: false, learned: 0 };
    this.position = through;
    const entries = page.entries.filter(({ seq }) => seq <= last);
    return { grew: true, learned: await this.#take(entries, through, watch) };
  }

  /**
   * Catches up with another fold of the same journal that goes on meanwhile, to exactly where that one stands: labels
   * that keep coming do not hold it up, since the other is taken on (`lead`) more slowly than this one. What the other
   * has learned early is waited for, unless `gaveUp`: then it will not come.
   */
  async reach(
    other: Fold,
    store: Store,
    { clock, lead, gaveUp }: { clock: Clock; lead: () => Promise<unknown>; gaveUp: () => boolean },
  ): Promise<void> {
    for (let n = 1; this.position < other.position; n++) {
      const { grew } = await this.advance(store, null, other.position);
      if (!grew && gaveUp()) return;
      if (!grew) await clock.sleep(1);
      if (n % LEAD_EVERY === 0 && this.position < other.position) await lead();
    }
  }

  /** Learns entries that follow right behind `position` and are on their way into the journal; resolves to how many are labels. */
  async follow(entries: readonly JournalEntry[], watch: Watch | null = null): Promise<number> {
    this.position = entries[entries.length - 1].seq;
    return await this.#take(entries, this.position, watch);
  }

  async #take(entries: readonly JournalEntry[], through: number, watch: Watch | null): Promise<number> {
    const usable = entries.filter((entry) => entry.joined.features === this.#task.features);
    await this.#learn(usable, watch);
    this.learned = Math.max(this.learned, through);
    return usable.filter(isLabel).length;
  }

  async #learn(given: readonly JournalEntry[], watch: Watch | null): Promise<void> {
    const entries = this.#learns ? given : given.filter(isLabel);
    if (entries.length === 0) return;
    for (const entry of entries) this.#count(entry);
    if (!this.#learns && !watch) return;
    const rows = concat(entries.map((entry) => entry.joined.rows));
    const labels = Int32Array.from(entries, (entry) => entry.label);
    const weights = Float32Array.from(entries, (entry) => entry.weight);
    if (!watch) return this.model.learn(rows, labels, weights);
    // Scoring and learning row by row in one call gives the same bits as learning alone.
    const scores = await (this.#learns ? this.model.step(rows, labels, weights) : this.model.score(rows));
    const classes = this.#task.labels.length;
    const told = (_score: number, i: number) => labels[Math.floor(i / classes)] !== OWN_LABEL;
    watch(entries.filter(isLabel), scores.filter(told));
  }

  #count({ label, joined }: JournalEntry): void {
    if (label === OWN_LABEL) {
      this.selfTraining.ask();
      return;
    }
    // Once for each event, with the label that holds now: a correction folds again without the old one.
    this.quality.add(label, joined.predicted, joined.scores);
    if (!this.#learns) return;
    this.counts[label] += 1;
    this.selfTraining.learned(label, joined.predicted < 0 ? -1 : surely(joined.scores, 0));
  }

  /** A snapshot as of now; call it when no `advance` is running. */
  async snapshot(at: number): Promise<Snapshot> {
    const meta: Meta = {
      features: this.#task.features,
      base: this.base.name,
      since: this.base.since,
      counts: [...this.counts],
      quality: this.quality.save(),
      selfTraining: this.selfTraining.save(),
      ...(this.#carried ? { carried: this.#carried.save() } : {}),
    };
    const head = { task: this.#task.name, journal: this.position, labels: this.labels, at };
    const model = await this.model.save();
    return { ...head, parts: { model, meta: Buffer.from(JSON.stringify(meta)) } };
  }
}

const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);

const isLabel = ({ label }: JournalEntry): boolean => label !== OWN_LABEL;
