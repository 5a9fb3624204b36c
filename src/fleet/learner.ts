/**
 * Keeps the running model of a task: the fold of its journal on a base, every effective entry behind the base's
 * position in journal order and nothing else. So a restart (newest snapshot + replay) gives the same bits as a run
 * that never stopped, redelivered labels are learned once, and a correction or a withdrawal is a replay without the entry.
 *
 * Scoring never waits for learning longer than one native call; a rewind, or a new base, folds into a second model
 * and swaps between two calls: a batch is scored by one model and named after it. Beside it may run a companion
 * (the model that it is compared with) and the bare base (which the delta must not be worse than).
 */
import type { JournalEntry, PairedLoss, Rows, Scorer } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import type { QualityWindow } from '../task/metrics.ts';
import { type SelfTraining, teaches } from '../task/self-training.ts';
import { type Base, blankBase } from './base.ts';
import { Fold } from './fold.ts';
import { Gauges } from './gauges.ts';
import { Saver, type SaverContext } from './saver.ts';
import { Sides, type SidesContext } from './sides.ts';

const RETRY_MS = 1_000;

export interface LearnerContext extends SidesContext, Pick<SaverContext, 'clock' | 'telemetry'> {
  /** Labels needed before verdicts carry one: in all, and of each of at least two labels. */
  readonly minLabels: number;
  readonly minPerLabel: number;
  /** What the gateway ran when it stopped; default: nothing learned. */
  readonly base?: Base;
  /** Called before the delta is dropped: the base runs from this position on. */
  readonly onDropped?: (base: Base) => Promise<void>;
  /** Called when everything in the journal is learned, beside the running model too. */
  readonly onLearned?: () => void;
}

/** A base that shall run, and who waits for it. */
interface Change {
  readonly base: Base;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Learner implements Scorer {
  readonly #context: LearnerContext;
  #live: Fold;
  readonly #changes: Change[] = [];
  readonly #sides: Sides;
  #rewindTo: number | null = null;
  readonly #saver: Saver;
  readonly #gauges: Gauges;
  #working: Promise<void> | null = null;
  /** The journal grew while working. */
  #again = false;
  #stopped = false;
  /** The fold that is being rebuilt beside the live one. */
  #next: Fold | null = null;
  #closing = false;
  /** Appends of this task that have entered the journal and not ended. */
  #appending = 0;
  /** The newest seq of this task in the journal or on its way there; null while that is not known. */
  #tail: number | null = null;

  private constructor(context: LearnerContext) {
    this.#context = context;
    const base = context.base ?? blankBase(context.task);
    const newest = context.store.snapshots.newest(context.task.name);
    this.#live = Fold.open(context, base, this.#learns, newest);
    this.#sides = new Sides(context, () => this.#live);
    this.#gauges = new Gauges(context.task, context.telemetry);
    // Where the base was recorded and the process killed before its first snapshot, what lies there is of the one before.
    const alone = newest !== null && this.#live.position !== newest.journal;
    this.#saver = new Saver(context, this.#live, alone, () => this.#rewindTo !== null);
  }

  /** Newest snapshot, then the journal after it. */
  static async open(context: LearnerContext): Promise<Learner> {
    const learner = new Learner(context);
    // Here a failure is the caller's to hear of, not one to wait out.
    while ((await learner.#live.advance(context.store)).grew);
    await learner.settled();
    // What was replayed belongs to windows that are closed.
    learner.#live.quality.close();
    learner.#sides.restart();
    return learner;
  }

  get backend(): string {
    return this.#live.model.backend;
  }

  /** Labels learned here, on top of the base. */
  get labels(): number {
    return this.#live.labels;
  }

  /** What the running model begins from. */
  get base(): Base {
    return this.#live.base;
  }

  /** What runs beside for comparison, or null. */
  get companion(): Base | null {
    return this.#sides.companion;
  }

  get bytes(): number {
    return this.#live.model.bytes;
  }

  /** Quality of verdicts given, by the labels that came (prequential). */
  get quality(): QualityWindow {
    return this.#live.quality;
  }

  get sufficient(): boolean {
    return this.#live.suffices(this.#context.minLabels, this.#context.minPerLabel);
  }

  /** What the running model may learn by itself; null while it is behind its journal, or learns nothing. */
  get selfTraining(): SelfTraining | null {
    return this.#learns && this.#inLine && teaches(this.#live.model.kind) ? this.#live.selfTraining : null;
  }

  score(rows: Rows): { probabilities: Promise<Float32Array>; model: string; sufficient: boolean } {
    return {
      probabilities: this.#live.score(rows),
      model: this.name,
      sufficient: this.sufficient,
    };
  }

  /** `<base>+<labels learned on it here>` */
  get name(): string {
    return `${this.base.name}+${this.labels}`;
  }

  /**
   * Runs another base: its weights, and on top the labels of the journal behind `base.since`. Resolves when verdicts come
   * from it; until then, and where it rejects (MODEL_*), the old one runs.
   */
  install(base: Base): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(stopped());
      this.#changes.push({ base, resolve, reject });
      this.wake();
    });
  }

  /** Runs a model beside for comparison, or (null) none any more; from the next label on. Throws MODEL_*. */
  accompany(base: Base | null): void {
    this.#sides.accompany(base);
    this.wake();
  }

  /** Of an entry: what the running model and its companion made of it before they learned it. */
  paired(seq: number): PairedLoss | null {
    return this.#sides.paired(seq);
  }

  /** Up to here `paired` says all that it ever will. */
  get pairedThrough(): number {
    return this.#sides.through;
  }

  get #learns(): boolean {
    return this.#context.learning === 'online';
  }

  /** Whether a label in the journal can be taken back. What lies in the base alone is the hub's to forget. */
  canUndo(seq: number): boolean {
    return this.#isInBase(seq) || this.mustUndo(seq);
  }

  /** Whether it has to be taken out of the running model, and can be: it does not lie in a snapshot alone. */
  mustUndo(seq: number): boolean {
    const { store, task } = this.#context;
    return !this.#isInBase(seq) && seq > store.snapshots.oldest(task.name);
  }

  /** In that of the model that is about to run, too. */
  #isInBase(seq: number): boolean {
    return [this.#live, this.#next ?? this.#live].every((fold) => fold.isInBase(seq));
  }

  /**
   * Before a superseding entry is appended: snapshots that contain the old one go, so that no crash can bring
   * it back. `release` is called when the append has ended, well or not.
   */
  async supersede(oldestSeq: number): Promise<{ release: () => void }> {
    const release = this.#saver.hold();
    try {
      await this.#context.store.snapshots.dropAfter(this.#context.task.name, oldestSeq - 1);
    } catch (thrown) {
      release();
      throw thrown;
    }
    return {
      release: () => {
        release();
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
    const inLine = this.#inLine;
    if (this.#tail !== null) this.#tail = entries[entries.length - 1].seq;
    const plain = entries.every(({ label, supersedes }) => label !== -1 && supersedes === 0);
    if (!inLine || !plain) return;
    const { telemetry, task } = this.#context;
    const from = entries[0].seq;
    const live = this.#live;
    live.follow(entries, this.#sides.watch).then(
      (learned) => telemetry.count('labels_learned', { task: task.name }, learned),
      // One that was swapped out meanwhile is closed; the one in its place reads the journal.
      (thrown) => live === this.#live && this.#notLearned(from, thrown),
    );
  }

  /** Whether all that is in the journal, or on its way there, is learned or being learned. */
  get #inLine(): boolean {
    const caughtUp = this.#tail !== null && this.#live.position === this.#tail;
    return caughtUp && this.#rewindTo === null && !this.#stopped;
  }

  /** The append of these, which took `undone` out of the model, has ended. Where it failed, what was learned of them is taken back. */
  ended(entries: readonly JournalEntry[], durable: boolean, undone: readonly number[] = []): void {
    this.#appending -= 1;
    if (!durable) {
      this.#tail = null;
      this.#rewindFrom(entries[0].seq);
      // What they would have superseded is effective again; a model folded meanwhile has passed it.
      for (const seq of undone) if (this.mustUndo(seq)) this.#rewindFrom(seq);
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
    this.#complain(thrown);
    this.#rewindTo = Math.min(this.#rewindTo ?? from, from);
    this.wake();
  }

  #complain(thrown: unknown): void {
    this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
  }

  /** The journal has grown. */
  wake(): void {
    this.#again = true;
    if (this.#working || this.#stopped) return;
    this.#working = this.#work().finally(() => {
      this.#working = null;
      this.#gauges.tell(this);
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
    await this.#saver.save(this.#live);
    for (const { reject } of this.#changes.splice(0)) reject(stopped());
    this.#sides.close();
    this.#live.retire();
  }

  /** The model's bytes as they are now, for tests and tools. */
  save(): Promise<Uint8Array> {
    return this.#live.model.save();
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      this.#again = false;
      try {
        if (this.#rewindTo !== null) await this.#rewind(this.#rewindTo);
        // What is to be taken back was decided for the bases that run.
        const change = this.#saver.held ? undefined : this.#changes.shift();
        if (change) await this.#change(change);
        const grew = await this.#advance();
        if (this.#rewindTo !== null) continue;
        const sides = await this.#sides.catchUp();
        if (sides === 'worse') await this.#dropDelta();
        if (this.#saver.isDue(this.#live)) await this.#saver.save(this.#live);
        const waits = this.#changes.length > 0 && !this.#saver.held;
        if (grew || this.#again || sides === 'more' || waits) continue;
        // Everything durable is learned; where nothing is on its way either, this is the end of the line.
        if (this.#appending === 0) this.#tail = this.#live.position;
        this.#context.onLearned?.();
        return;
      } catch (thrown) {
        this.#complain(thrown);
        if (this.#closing) return;
        await this.#context.clock.sleep(RETRY_MS);
      }
    }
  }

  async #advance(): Promise<boolean> {
    const { store, telemetry, task } = this.#context;
    const from = this.#live.position + 1;
    try {
      const { grew, learned } = await this.#live.advance(store, this.#sides.watch);
      if (learned > 0) telemetry.count('labels_learned', { task: task.name }, learned);
      return grew;
    } catch (thrown) {
      // The fold has passed these entries without the model: the journal still has them.
      this.#rewindFrom(from);
      throw thrown;
    }
  }

  /** Folds again from the newest snapshot before `seq`, without the entries that are no longer effective. */
  async #rewind(seq: number): Promise<void> {
    const { store, task, telemetry } = this.#context;
    this.#rewindTo = null;
    try {
      await this.#replace(
        () => Fold.open(this.#context, this.base, this.#learns, store.snapshots.newest(task.name, seq - 1)),
        () => true,
      );
    } catch (thrown) {
      this.#rewindTo = Math.min(this.#rewindTo ?? seq, seq);
      throw thrown;
    }
    telemetry.count('model_rewound', { task: task.name }, 1, { from: seq });
  }

  /** Folds beside the live model up to where that stands, and swaps. A correction that comes meanwhile has its own turn: so it ends. */
  async #replace(begin: () => Fold, gaveUp: () => boolean): Promise<void> {
    const { store, clock } = this.#context;
    const lead = () => this.#advance().catch((thrown) => this.#complain(thrown));
    this.#tail = null; // from here on both read the journal, so that both have the same entries
    try {
      const next = begin();
      this.#next = next;
      const old = this.#live;
      await next.reach(old, store, { clock, lead, gaveUp });
      next.continueQuality(old);
      this.#live = next;
      old.retire();
    } catch (thrown) {
      this.#next?.model.close();
      throw thrown;
    } finally {
      this.#next = null;
    }
    this.#sides.restart();
  }

  async #change({ base, resolve, reject }: Change): Promise<void> {
    const { task, engine, telemetry } = this.#context;
    try {
      await this.#replace(
        () => Fold.start(task, base, engine, this.#learns),
        () => this.#rewindTo !== null,
      );
      await this.#saver.save(this.#live, true);
      telemetry.count('model_swaps', { task: task.name }, 1, { model: this.name });
      resolve();
    } catch (thrown) {
      reject(thrown);
    }
  }

  /** The base again, without what was learned here: those labels stay out until a new base knows them; before any base asked for meanwhile. */
  async #dropDelta(): Promise<void> {
    const { telemetry, task, onDropped } = this.#context;
    const base = { ...this.base, since: this.#live.position };
    telemetry.count('delta_dropped', { task: task.name }, 1, { model: this.name });
    await onDropped?.(base);
    this.#changes.unshift({ base, resolve: () => undefined, reject: () => undefined });
    this.#again = true;
  }
}

const stopped = () => new SluiceError('MODEL_CLOSED', 'the task was stopped before the model ran');
