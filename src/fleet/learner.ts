/**
 * Keeps the running model of a task: the fold of its journal, every effective entry in journal order and
 * nothing else. So a restart (newest snapshot + replay) gives the same bits as a run that never stopped,
 * redelivered labels are learned once, and a correction or a withdrawal is a replay without the entry.
 *
 * Scoring never waits for learning longer than one native call; a rewind folds into a second model and swaps.
 */
import { createHash } from 'node:crypto';
import type { Clock, Engine, JournalEntry, Rows, Scorer, Snapshot, Store } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import type { QualityWindow } from '../task/metrics.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { Fold } from './fold.ts';

/** A snapshot bounds the replay after a kill; a quiet model is saved once it has rested. */
const SNAPSHOT_LABELS = 5_000;
const SNAPSHOT_MS = 300_000;
const SNAPSHOT_RETRY_MS = 30_000;
const RETRY_MS = 1_000;

export interface LearnerContext {
  readonly task: Task;
  readonly engine: Engine;
  readonly store: Store;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly learning: 'online' | 'frozen';
  /** Labels needed before verdicts carry one: in all, and of each of at least two labels. */
  readonly minLabels: number;
  readonly minPerLabel: number;
}

export class Learner implements Scorer {
  readonly #context: LearnerContext;
  readonly #base: string;
  #live: Fold;
  #rewindTo: number | null = null;
  /** While a superseding entry is on its way into the journal no snapshot may be taken. */
  #snapshotHolds = 0;
  #saved: { labels: number; position: number; at: number };
  #working: Promise<void> | null = null;
  /** The journal grew while working. */
  #again = false;
  #stopped = false;
  #ready = false;
  /** The fold that is being rebuilt beside the live one. */
  #next: Fold | null = null;
  #closing = false;
  /** Appends of this task that have entered the journal and not ended. */
  #appending = 0;
  /** The newest seq of this task in the journal or on its way there; null while that is not known. */
  #tail: number | null = null;
  /** After a snapshot that failed: not again before this. */
  #snapshotNotBefore = 0;

  private constructor(context: LearnerContext) {
    this.#context = context;
    this.#live = this.#fold(context.store.snapshots.newest(context.task.name));
    this.#base = `blank-${createHash('sha256').update(context.task.fingerprint).digest('hex').slice(0, 12)}`;
    this.#saved = { labels: this.#live.labels, position: this.#live.position, at: context.clock.now() };
  }

  /** Newest snapshot, then the journal after it. */
  static async open(context: LearnerContext): Promise<Learner> {
    const learner = new Learner(context);
    // Here a failure is the caller's to hear of, not one to wait out.
    while ((await learner.#live.advance(context.store)).grew);
    await learner.settled();
    // What was replayed belongs to windows that are closed.
    learner.#live.quality.close();
    return learner;
  }

  get backend(): string {
    return this.#live.model.backend;
  }

  get labels(): number {
    return this.#live.labels;
  }

  get bytes(): number {
    return this.#live.model.bytes;
  }

  /** Quality of verdicts given, by the labels that came (prequential). */
  get quality(): QualityWindow {
    return this.#live.quality;
  }

  get sufficient(): boolean {
    const { minLabels, minPerLabel } = this.#context;
    return this.labels >= minLabels && this.#live.counts.filter((n) => n >= minPerLabel).length >= 2;
  }

  score(rows: Rows): { probabilities: Promise<Float32Array>; model: string; sufficient: boolean } {
    return {
      probabilities: this.#live.model.score(rows),
      model: `${this.#base}+${this.labels}`,
      sufficient: this.sufficient,
    };
  }

  /** Labels journalled at or before this seq cannot be taken back. */
  get oldestUndoable(): number {
    return this.#context.store.snapshots.oldest(this.#context.task.name);
  }

  /**
   * Before a superseding entry is appended: snapshots that contain the old one go, so that no crash can bring
   * it back. `release` is called when the append has ended, well or not.
   */
  async supersede(oldestSeq: number): Promise<{ release: () => void }> {
    this.#snapshotHolds += 1;
    try {
      await this.#context.store.snapshots.dropAfter(this.#context.task.name, oldestSeq - 1);
    } catch (thrown) {
      this.#snapshotHolds -= 1;
      throw thrown;
    }
    return {
      release: () => {
        this.#snapshotHolds -= 1;
        this.#rewindFrom(oldestSeq);
        this.wake();
      },
    };
  }

  /**
   * Entries on their way into the journal: learned at once where nothing stands between, so that the next
   * event is scored with them; their feedback is acknowledged only when they are durable. Whatever cannot
   * be learned at once is found in the journal by `wake`. Each call is followed by one of `ended`.
   */
  follow(entries: readonly JournalEntry[]): void {
    this.#appending += 1;
    const inLine = this.#tail !== null && this.#live.position === this.#tail && this.#rewindTo === null;
    if (this.#tail !== null) this.#tail = entries[entries.length - 1].seq;
    const plain = entries.every(({ label, supersedes }) => label >= 0 && supersedes === 0);
    if (!inLine || !plain || this.#stopped) return;
    const { telemetry, task } = this.#context;
    const from = entries[0].seq;
    this.#live.follow(entries).then(
      () => telemetry.count('labels_learned', { task: task.name }, entries.length),
      (thrown) => this.#notLearned(from, thrown),
    );
  }

  /** The append of these has ended. Where it failed, what was learned of them is taken back. */
  ended(entries: readonly JournalEntry[], durable: boolean): void {
    this.#appending -= 1;
    if (!durable) {
      this.#tail = null;
      this.#rewindFrom(entries[0].seq);
    }
    this.wake();
  }

  /** Where a fold has an entry that must go, or lacks one it has passed: fold again without, or with it. */
  #rewindFrom(seq: number): void {
    if (seq > Math.max(this.#live.position, this.#next?.position ?? 0)) return;
    this.#rewindTo = Math.min(this.#rewindTo ?? seq, seq);
  }

  /** The model refused a batch that its fold has already passed. */
  #notLearned(from: number, thrown: unknown): void {
    const { telemetry, task } = this.#context;
    telemetry.error(asSluiceError(thrown), { task: task.name });
    this.#rewindTo = Math.min(this.#rewindTo ?? from, from);
    this.wake();
  }

  /** The journal has grown. */
  wake(): void {
    this.#again = true;
    if (this.#working || this.#stopped) return;
    this.#working = this.#work().finally(() => {
      this.#working = null;
      this.#tell();
      if (this.#again) this.wake();
    });
  }

  /** Resolves when everything in the journal is learned. */
  async settled(): Promise<void> {
    this.wake();
    while (this.#working) await this.#working;
  }

  /** Learns what is journalled and saves, as far as that can be done now; closes. Never rejects: the journal has the rest. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.settled();
    this.#stopped = true;
    await this.#snapshot();
    this.#live.model.close();
  }

  /** The model's bytes as they are now, for tests and tools. */
  save(): Promise<Uint8Array> {
    return this.#live.model.save();
  }

  #fold(snapshot: Snapshot | null): Fold {
    const { task, engine, telemetry, learning } = this.#context;
    const learns = learning === 'online';
    if (snapshot) {
      try {
        return Fold.restore(task, engine, learns, snapshot);
      } catch (thrown) {
        // The journal may still hold everything: fold it from its beginning.
        telemetry.error(asSluiceError(thrown, 'MODEL_CORRUPT'), { task: task.name });
      }
    }
    return Fold.blank(task, engine, learns);
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      this.#again = false;
      try {
        if (this.#rewindTo !== null) await this.#rewind(this.#rewindTo);
        const grew = await this.#advance();
        if (this.#rewindTo !== null) continue;
        if (this.#snapshotDue()) await this.#snapshot();
        if (grew || this.#again) continue;
        // Everything durable is learned; where nothing is on its way either, this is the end of the line.
        if (this.#appending === 0) this.#tail = this.#live.position;
        return;
      } catch (thrown) {
        this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
        if (this.#closing) return;
        await this.#context.clock.sleep(RETRY_MS);
      }
    }
  }

  async #advance(): Promise<boolean> {
    const { store, telemetry, task } = this.#context;
    const from = this.#live.position + 1;
    try {
      const { grew, learned } = await this.#live.advance(store);
      if (learned > 0) telemetry.count('labels_learned', { task: task.name }, learned);
      return grew;
    } catch (thrown) {
      // The fold has passed these entries without the model: the journal still has them.
      this.#rewindFrom(from);
      throw thrown;
    }
  }

  /**
   * Folds again from the newest snapshot before `seq`, without the entries that are no longer effective. Goes on to
   * the end even where another correction comes meanwhile, which then has its own turn: so it always ends.
   */
  async #rewind(seq: number): Promise<void> {
    const { store, task, telemetry } = this.#context;
    this.#rewindTo = null;
    try {
      this.#next = this.#fold(store.snapshots.newest(task.name, seq - 1));
      while ((await this.#next.advance(store)).grew);
    } catch (thrown) {
      this.#rewindTo = Math.min(this.#rewindTo ?? seq, seq);
      this.#next?.model.close();
      this.#next = null;
      throw thrown;
    }
    const old = this.#live;
    this.#next.quality.continueWindow(old.quality);
    this.#live = this.#next;
    this.#next = null;
    this.#tail = null;
    old.model.close();
    telemetry.count('model_rewound', { task: task.name }, 1, { from: seq });
  }

  #snapshotDue(): boolean {
    if (this.#context.clock.now() < this.#snapshotNotBefore) return false;
    const fresh = this.#live.position !== this.#saved.position;
    const many = Math.abs(this.labels - this.#saved.labels) >= SNAPSHOT_LABELS;
    return many || (fresh && this.#context.clock.now() - this.#saved.at >= SNAPSHOT_MS);
  }

  /** Never rejects: without a snapshot a restart replays more of the journal, and that is all. */
  async #snapshot(): Promise<void> {
    const { store, clock, telemetry, task } = this.#context;
    const blocked = () => this.#snapshotHolds > 0 || this.#rewindTo !== null;
    if (blocked() || this.#live.position === this.#saved.position) return;
    try {
      const snapshot = await this.#live.snapshot(clock.now());
      if (blocked()) return;
      await store.snapshots.save(snapshot);
      this.#saved = { labels: snapshot.labels, position: snapshot.journal, at: snapshot.at };
    } catch (thrown) {
      this.#snapshotNotBefore = clock.now() + SNAPSHOT_RETRY_MS;
      telemetry.error(asSluiceError(thrown, 'STORE_FAILED'), { task: task.name });
    }
  }

  #tell(): void {
    const { telemetry, task } = this.#context;
    telemetry.set('model_labels', { task: task.name }, this.labels);
    telemetry.set('model_bytes', { task: task.name }, this.bytes);
    if (this.sufficient && !this.#ready)
      telemetry.count('model_ready', { task: task.name }, 1, { labels: this.labels });
    this.#ready = this.sufficient;
  }
}
