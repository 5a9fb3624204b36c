/**
 * The lane of one task: decode -> features -> batch -> score -> join store -> verdicts -> publish -> settle.
 *
 * A batch leaves when it is full or when nothing is being scored (so light load has no waiting time and
 * heavy load batches by itself); at most two are being scored. Three arenas rotate: one fills, two are in
 * flight; an arena returns when its rows are scored and joined. A message settles only when its join
 * record is durable and every sink has its verdict. Nothing here drops: what fails comes again (`retry`)
 * or is buried as a dead letter.
 */
import type { Bury, Clock, Event, JoinBatch, Outgoing, Rows, Scorer, Store } from '../contract.ts';
import { Envelope, type EnvelopeKind, type Verdict } from '../envelope.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import { RowArena, sliceRow } from '../features/rows.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import type { Batch } from './batch.ts';
import { type Decide, judge } from './judge.ts';
import { PublishFilter, type PublishPolicy } from './policy.ts';
import { InlinePreparer, type Preparer, type Taker } from './preparer.ts';
import type { Publisher } from './publisher.ts';
import { type Slot, tellVerdicts } from './settle.ts';
import { LaneStats, type ScoredNumbers } from './stats.ts';

export { LaneStats, type ScoredNumbers } from './stats.ts';

const SCORING_AT_ONCE = 2;
const ARENAS = SCORING_AT_ONCE + 1;
/** A batch of long mails leaves early: beyond this many cells it no longer fits the cache anyway. */
const MAX_CELLS = 1 << 20;
const RETRY_PAUSE_MS = 1_000;

/** Where verdicts of this task go. */
export interface LaneOutput {
  readonly publisher: Publisher;
  readonly topic: string;
  readonly envelope: EnvelopeKind;
  /** Verdicts per message. */
  readonly batch: number;
  readonly policy: PublishPolicy;
}

export interface LaneContext {
  readonly site: string;
  readonly task: Task;
  readonly scorer: Scorer;
  readonly store: Store;
  readonly outputs: readonly LaneOutput[];
  readonly batchSize: number;
  /** Prepares in worker threads; left out: here. */
  readonly prepare?: (taker: Taker) => Preparer;
  readonly bury: Bury;
  /** Called when events can be found by feedback. */
  readonly onJoined: (events: readonly Event[]) => void;
  /** Called with the numbers of each batch while its rows still stand; must not throw or wait. */
  readonly onScored?: (scored: ScoredNumbers) => void;
  /** What becomes of each event of a batch; left out where the task decides nothing beyond the label. Must not throw. */
  readonly decide?: Decide;
  /** How unusual each row is, in [0, 1) or NaN: called once a batch, in order. Must not throw. */
  readonly anomalies?: (rows: Rows) => Float32Array;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

interface Output extends LaneOutput {
  readonly writer: Envelope;
  readonly filter: PublishFilter | null;
}

export class Lane {
  readonly stats: LaneStats;
  readonly #context: LaneContext;
  readonly #outputs: readonly Output[];
  readonly #preparer: Preparer;
  readonly #free: RowArena[] = [];
  /** Of the open batch. */
  #arena: RowArena;
  #open: Batch;
  #scoring = 0;
  #unfinished = 0;
  #waiting: (() => void)[] = [];
  #idle: (() => void)[] = [];

  constructor(context: LaneContext) {
    this.#context = context;
    this.stats = new LaneStats(context.task.labels.length);
    this.#outputs = context.outputs.map((output) => ({
      ...output,
      writer: new Envelope(output.envelope, context.site, context.task.name),
      filter: output.policy.kind === 'all' ? null : new PublishFilter(output.policy),
    }));
    const { dims, denseDims } = context.task.shape;
    for (let i = 0; i < ARENAS; i++) this.#free.push(new RowArena(dims, denseDims));
    this.#arena = this.#free.pop()!;
    this.#open = this.#newBatch(this.#arena);
    const taker = this.#taker();
    this.#preparer = context.prepare?.(taker) ?? new InlinePreparer(context.task, taker);
  }

  get name(): string {
    return this.#context.task.name;
  }

  /** False while as much is prepared, and scored, as may be: await `room` before the next offer. */
  get hasRoom(): boolean {
    return this.#preparer.hasRoom;
  }

  room(): Promise<void> {
    if (this.hasRoom) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Brings one message into a batch, in its turn; what cannot be used is buried. `again`: a replayed dead letter. Never throws. */
  offer(slot: Slot, again = false): void {
    this.#hold(1);
    if (slot.message.replay) {
      this.#context.task.readBack(slot.message);
      this.#finish(slot, 'done');
    } else this.#preparer.offer(slot, again);
  }

  /** Called every second or so. */
  tick(): void {
    this.#preparer.tick?.();
  }

  /** Nothing more is read; `forGood`: what is not settled will not be delivered again either. */
  end(forGood: boolean): void {
    this.#preparer.end?.(forGood);
  }

  /** Takes one message that must not be decoded and makes it a dead letter. */
  bury(slot: Slot, error: SluiceError): void {
    this.#hold(1);
    this.#bury(slot, error);
  }

  /** Called when the source has nothing more at hand. */
  flush(): void {
    this.#preparer.flush();
  }

  /** Resolves when nothing is in flight in this lane. */
  idle(): Promise<void> {
    this.flush();
    if (this.#unfinished === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #taker(): Taker {
    return {
      hasRoom: () => !this.#full() || this.#canDispatch(),
      arena: () => this.#arena,
      take: (slot, events) => this.#take(slot, events),
      mayScore: () => this.#canDispatch(),
      score: (rows, release, owners, events) => this.#takeAll(rows, release, owners, events),
      refuse: (slot, error) => this.#bury(slot, error),
      setAside: () => this.#hold(-1),
      takeUp: () => this.#hold(1),
      rest: () => {
        if (this.#scoring === 0) this.#dispatch();
        this.#wake();
      },
    };
  }

  /** The rows of these events stand in the arena of the open batch. */
  #take(slot: Slot, events: readonly Event[]): void {
    if (events.length === 0) {
      // A message of no events (an empty array) is done.
      this.#finish(slot, 'done');
      return;
    }
    for (const event of events) {
      this.#open.events.push(event);
      this.#open.owners.push(slot);
    }
    this.#open.slots.push(slot);
    if (this.#full()) this.#dispatch();
  }

  /** A batch of its own, whose rows lie elsewhere; owners[i] brought events[i]. */
  #takeAll(rows: Rows, release: () => void, owners: Slot[], events: Event[]): void {
    this.#start({ rows: () => rows, release, events, owners, slots: [...new Set(owners)] });
  }

  #wake(): void {
    if (this.#waiting.length > 0 && this.hasRoom) for (const wake of this.#waiting.splice(0)) wake();
  }

  #full(): boolean {
    return this.#open.events.length >= this.#context.batchSize || this.#arena.cells >= MAX_CELLS;
  }

  #canDispatch(): boolean {
    return this.#scoring < SCORING_AT_ONCE && this.#free.length > 0;
  }

  #newBatch(arena: RowArena): Batch {
    arena.reset();
    const release = (): void => void this.#free.push(arena);
    return { rows: () => arena.view(), release, events: [], owners: [], slots: [] };
  }

  #dispatch(): void {
    if (this.#open.events.length === 0 || !this.#canDispatch()) return;
    const batch = this.#open;
    this.#arena = this.#free.pop()!;
    this.#open = this.#newBatch(this.#arena);
    this.#start(batch);
  }

  #start(batch: Batch): void {
    this.#scoring += 1;
    this.#run(batch).catch((thrown) =>
      this.#context.telemetry.error(asSluiceError(thrown), { task: this.name }),
    );
  }

  /** Gives the rows back, once; lets the next batch go. */
  #release(batch: Batch): void {
    batch.release();
    this.#scoring -= 1;
    if (this.#full() || this.#scoring === 0) this.#dispatch();
    this.#preparer.goOn();
    this.#wake();
  }

  async #run(batch: Batch): Promise<void> {
    let released = false;
    try {
      const { probabilities, model, sufficient } = this.#context.scorer.score(batch.rows());
      const scores = await probabilities;
      const verdicts = this.#decide(batch, scores, model, sufficient);
      const predicted = Int32Array.from(verdicts, (verdict) => verdict.label);
      const joined = this.#join(batch, predicted, scores, model);
      joined.catch(() => undefined); // awaited below; a throw in between must not leave it unhandled
      this.#watch(batch, verdicts, predicted, scores);
      this.#release(batch);
      released = true;
      this.#context.onJoined(batch.events);
      await Promise.all([joined, ...this.#publish(verdicts)]);
      tellVerdicts(this.name, batch.owners, verdicts);
      this.#settle(batch);
    } catch (thrown) {
      await this.#failed(batch, released, thrown);
    }
  }

  #decide(batch: Batch, scores: Float32Array, model: string, sufficient: boolean): Verdict[] {
    const { decide, task, clock, scorer, anomalies } = this.#context;
    const { events, owners } = batch;
    const judged = {
      ...{ events, scores, model, sufficient, backend: scorer.backend, decidedAt: clock.now() },
      anomalies: anomalies?.(batch.rows()),
      receivedAt: (i: number) => owners[i].receivedAt,
    };
    return judge(task, judged, decide, this.stats);
  }

  #watch(batch: Batch, verdicts: readonly Verdict[], predicted: Int32Array, scores: Float32Array): void {
    const at = verdicts[0].decidedAt;
    const latencyMs = performance.now() - batch.owners[0].startedAt;
    const rows = batch.rows();
    const { model } = verdicts[0];
    const { events } = batch;
    this.#context.onScored?.({ at, rows, scores, predicted, events, verdicts, model, latencyMs });
  }

  #join(batch: Batch, predicted: Int32Array, scores: Float32Array, model: string): Promise<void> {
    const { task, store } = this.#context;
    const joined: JoinBatch = {
      task: task.name,
      features: task.features,
      model,
      rows: batch.rows(),
      events: batch.events,
      scores,
      classes: task.labels.length,
      predicted,
    };
    return store.join.put(joined);
  }

  #publish(verdicts: readonly Verdict[]): Promise<void>[] {
    return this.#outputs.map((output) => {
      const { filter } = output;
      const wanted = filter ? verdicts.filter((verdict) => filter.wants(verdict)) : verdicts;
      const messages: Outgoing[] = [];
      for (let i = 0; i < wanted.length; i += output.batch) {
        const { device } = wanted[i].event;
        const payload =
          output.batch === 1
            ? output.writer.verdict(wanted[i])
            : `[${wanted
                .slice(i, i + output.batch)
                .map((v) => output.writer.verdict(v))
                .join(',')}]`;
        messages.push({ topic: output.topic, key: device, payload });
      }
      return output.publisher.submit(messages).then(() => {
        this.#context.telemetry.count(
          'published',
          { sink: output.publisher.name, what: 'verdict' },
          messages.length,
        );
      });
    });
  }

  #settle(batch: Batch): void {
    const { telemetry } = this.#context;
    const task = this.name;
    const now = performance.now();
    this.stats.events += batch.events.length;
    for (const owner of batch.owners) this.stats.latency.add(now - owner.startedAt);
    telemetry.count('events', { task }, batch.events.length);
    for (const slot of batch.slots) this.#finish(slot, 'done');
  }

  /**
   * The store failed, or the model did. A store failure makes everything come again; a model failure is
   * narrowed down row by row, and a row that alone fails is buried.
   */
  async #failed(batch: Batch, released: boolean, thrown: unknown): Promise<void> {
    const { telemetry, clock, scorer, bury } = this.#context;
    const error = asSluiceError(thrown);
    telemetry.error(error, { task: this.name });
    const poisoned = new Set<Slot>();
    if (!released) {
      if (error.code === 'MODEL_INPUT') {
        for (let i = 0; i < batch.events.length; i++) {
          await scorer
            .score(sliceRow(batch.rows(), i))
            .probabilities.catch(() => poisoned.add(batch.owners[i]));
        }
      }
      this.#release(batch);
    }
    for (const slot of poisoned)
      await bury(this.name, slot.message, error, slot.receivedAt).catch(() => poisoned.delete(slot));
    for (const slot of batch.slots) slot.tell(this.name, poisoned.has(slot) ? 'refused' : 'failed', error);
    telemetry.count('flow_stopped', { task: this.name });
    await clock.sleep(RETRY_PAUSE_MS);
    for (const slot of batch.slots) this.#finish(slot, poisoned.has(slot) ? 'done' : 'retry');
  }

  #bury(slot: Slot, error: { code: string; message: string }): void {
    this.stats.dead += 1;
    this.#context.telemetry.count('dead_letters', { task: this.name, code: error.code }, 1, {
      reason: error.message,
    });
    this.#context.bury(this.name, slot.message, error, slot.receivedAt).then(
      () => {
        slot.tell(this.name, 'refused', error);
        this.#finish(slot, 'done');
      },
      async (thrown) => {
        const failure = asSluiceError(thrown, 'STORE_FAILED');
        this.#context.telemetry.error(failure, { task: this.name });
        slot.tell(this.name, 'failed', failure);
        await this.#context.clock.sleep(RETRY_PAUSE_MS);
        this.#finish(slot, 'retry');
      },
    );
  }

  #finish(slot: Slot, outcome: 'done' | 'retry'): void {
    slot.finish(outcome);
    this.#hold(-1);
  }

  #hold(by: 1 | -1): void {
    this.#unfinished += by;
    if (this.#unfinished === 0) for (const wake of this.#idle.splice(0)) wake();
  }
}
