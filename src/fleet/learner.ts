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
  /** The newest seq of this task in the journal or on its way there; -1 while that is not known. */
  #newest = -1;

  private constructor(context: LearnerContext) {
    this.#context = context;
    this.#live = this.#fold(context.store.snapshots.newest(context.task.name));
    this.#base = `blank-${createHash('sha256').update(context.task.fingerprint).digest('hex').slice(0, 12)}`;
    this.#saved = { labels: this.#live.labels, position: this.#live.position, at: context.clock.now() };
  }

  /** Newest snapshot, then the journal after it. */
  static async open(context: LearnerContext): Promise<Learner> {
    const learner = new Learner(context);
    await learner.settled();
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
    await this.#context.store.snapshots.dropAfter(this.#context.task.name, oldestSeq - 1);
    return {
      release: () => {
        this.#snapshotHolds -= 1;
        if (oldestSeq <= this.#live.position)
          this.#rewindTo = Math.min(this.#rewindTo ?? oldestSeq, oldestSeq);
        this.wake();
      },
    };
  }

  /**
   * Entries on their way into the journal: learned at once where nothing stands between, so that the next
   * event is scored with them; their feedback is acknowledged only when they are durable. Whatever cannot
   * be learned at once is found in the journal by `wake`.
   */
  follow(entries: readonly JournalEntry[]): void {
    const inLine = this.#newest >= 0 && this.#live.position === this.#newest && this.#rewindTo === null;
    this.#newest = this.#newest < 0 ? -1 : entries[entries.length - 1].seq;
    if (!inLine || this.#stopped || entries.some(({ label, supersedes }) => label < 0 || supersedes > 0))
      return;
    const { telemetry, task } = this.#context;
    this.#live.follow(entries).catch((thrown) => telemetry.error(asSluiceError(thrown), { task: task.name }));
    telemetry.count('labels_learned', { task: task.name }, entries.length);
  }

  /** The append of these failed: what was learned of them is taken back. */
  undo(entries: readonly JournalEntry[]): void {
    const first = entries[0].seq;
    this.#newest = -1;
    if (first <= this.#live.position) this.#rewindTo = Math.min(this.#rewindTo ?? first, first);
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

  /** Learns what is journalled, saves, closes. */
  async close(): Promise<void> {
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
        const { grew, learned } = await this.#live.advance(this.#context.store);
        if (learned > 0)
          this.#context.telemetry.count('labels_learned', { task: this.#context.task.name }, learned);
        if (this.#rewindTo !== null) continue;
        if (this.#snapshotDue()) await this.#snapshot();
        if (!grew && !this.#again) {
          this.#newest = Math.max(this.#newest, this.#live.position);
          return;
        }
      } catch (thrown) {
        // The journal holds the truth: nothing is lost by trying again later.
        this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
        await this.#context.clock.sleep(RETRY_MS);
      }
    }
  }

  /** Folds again from the newest snapshot before `seq`, without the entries that are no longer effective. */
  async #rewind(seq: number): Promise<void> {
    const { store, task, telemetry } = this.#context;
    this.#rewindTo = null;
    const next = this.#fold(store.snapshots.newest(task.name, seq - 1));
    try {
      while ((await next.advance(store)).grew) if (this.#rewindTo !== null) break;
    } catch (thrown) {
      this.#rewindTo = Math.min(this.#rewindTo ?? seq, seq);
      next.model.close();
      throw thrown;
    }
    const old = this.#live;
    this.#live = next;
    old.model.close();
    telemetry.count('model_rewound', { task: task.name }, 1, { from: seq });
  }

  #snapshotDue(): boolean {
    const fresh = this.#live.position !== this.#saved.position;
    const many = Math.abs(this.labels - this.#saved.labels) >= SNAPSHOT_LABELS;
    return many || (fresh && this.#context.clock.now() - this.#saved.at >= SNAPSHOT_MS);
  }

  async #snapshot(): Promise<void> {
    const { store, clock, telemetry, task } = this.#context;
    const blocked = () => this.#snapshotHolds > 0 || this.#rewindTo !== null;
    if (blocked() || this.#live.position === this.#saved.position) return;
    const snapshot = await this.#live.snapshot(clock.now());
    if (blocked()) return;
    await store.snapshots.save(snapshot);
    this.#saved = { labels: snapshot.labels, position: snapshot.journal, at: snapshot.at };
    telemetry.count('snapshots', { task: task.name });
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
