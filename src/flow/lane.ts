/**
 * The lane of one task: decode -> features -> batch -> score -> join store -> verdicts -> publish -> settle.
 *
 * A batch leaves when it is full or when nothing is being scored (so light load has no waiting time and
 * heavy load batches by itself); at most two are being scored. Three arenas rotate: one fills, two are in
 * flight; an arena returns when its rows are scored and joined. A message settles only when its join
 * record is durable and every sink has its verdict. Nothing here drops: what fails comes again (`retry`)
 * or is buried as a dead letter.
 */
import type { Bury, Clock, Decided, Event, JoinBatch, Outgoing, Rows, Scorer, Store } from '../contract.ts';
import { Envelope, type EnvelopeKind, type Verdict } from '../envelope.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import { RowArena, sliceRow } from '../features/rows.ts';
import { LatencyHistogram } from '../latency.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { PublishFilter, type PublishPolicy } from './policy.ts';
import type { Publisher } from './publisher.ts';
import { type Slot, tellVerdicts } from './settle.ts';

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
  readonly bury: Bury;
  /** Called when events can be found by feedback. */
  readonly onJoined: (events: readonly Event[]) => void;
  /** Called with the numbers of each batch while its rows still stand; must not throw or wait. */
  readonly onScored?: (scored: ScoredNumbers) => void;
  /** What becomes of each event of a batch; left out where the task decides nothing beyond the label. Must not throw. */
  readonly decide?: (
    event: Event,
    label: number,
    scores: Float32Array,
    offset: number,
    model: string,
  ) => Decided;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** A scored batch for whoever watches: valid only during the call. */
export interface ScoredNumbers {
  /** ms */
  readonly at: number;
  readonly rows: Rows;
  /** count x classes probabilities. */
  readonly scores: Float32Array;
  /** Label indices, -1 while learning. */
  readonly predicted: Int32Array;
  readonly events: readonly Event[];
  /** Of the same events, as they are told. */
  readonly verdicts: readonly Verdict[];
  readonly model: string;
  /** From arrival to verdict, of the first event. */
  readonly latencyMs: number;
}

interface Batch {
  readonly arena: RowArena;
  readonly events: Event[];
  /** events[i] came with owners[i]. */
  readonly owners: Slot[];
  /** Each message once. */
  readonly slots: Slot[];
}

/** What the metrics windows read and reset. */
export class LaneStats {
  events = 0;
  dead = 0;
  learning = 0;
  readonly byLabel: number[];
  readonly latency = new LatencyHistogram();

  constructor(labels: number) {
    this.byLabel = new Array<number>(labels).fill(0);
  }

  reset(): void {
    this.events = 0;
    this.dead = 0;
    this.learning = 0;
    this.byLabel.fill(0);
    this.latency.reset();
  }
}

interface Output extends LaneOutput {
  readonly writer: Envelope;
  readonly filter: PublishFilter | null;
}

export class Lane {
  readonly stats: LaneStats;
  readonly #context: LaneContext;
  readonly #outputs: readonly Output[];
  readonly #free: RowArena[] = [];
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
    this.#open = this.#newBatch();
  }

  get name(): string {
    return this.#context.task.name;
  }

  /** False while the open batch is full and both scorers are busy: await `room` before the next offer. */
  get hasRoom(): boolean {
    return !this.#full() || this.#canDispatch();
  }

  room(): Promise<void> {
    if (this.hasRoom) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Decodes one message into the open batch; what cannot be used is buried. Never throws. */
  offer(slot: Slot): void {
    this.#unfinished += 1;
    const batch = this.#open;
    const before = batch.events.length;
    try {
      const events = this.#context.task.decode(slot.message);
      for (const event of events) {
        this.#context.task.fill(event, batch.arena);
        batch.events.push(event);
        batch.owners.push(slot);
      }
    } catch (thrown) {
      // Rows of earlier events of this message stay in the batch; the message as a whole is buried and not settled by the batch.
      this.#bury(slot, asSluiceError(thrown, 'DECODE_UNEXPECTED'));
      return;
    }
    if (batch.events.length === before) {
      // A message of no events (an empty array) is done.
      this.#finish(slot, 'done');
      return;
    }
    batch.slots.push(slot);
    if (this.#full()) this.#dispatch();
  }

  /** Takes one message that must not be decoded and makes it a dead letter. */
  bury(slot: Slot, error: SluiceError): void {
    this.#unfinished += 1;
    this.#bury(slot, error);
  }

  /** Called when the source has nothing more at hand. */
  flush(): void {
    if (this.#scoring === 0) this.#dispatch();
  }

  /** Resolves when nothing is in flight in this lane. */
  idle(): Promise<void> {
    this.flush();
    if (this.#unfinished === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #full(): boolean {
    const { arena, events } = this.#open;
    return events.length >= this.#context.batchSize || arena.cells >= MAX_CELLS;
  }

  #canDispatch(): boolean {
    return this.#scoring < SCORING_AT_ONCE && this.#free.length > 0;
  }

  #newBatch(): Batch {
    const arena = this.#free.pop()!;
    arena.reset();
    return { arena, events: [], owners: [], slots: [] };
  }

  #dispatch(): void {
    if (this.#open.events.length === 0 || !this.#canDispatch()) return;
    const batch = this.#open;
    this.#open = this.#newBatch();
    this.#scoring += 1;
    this.#run(batch).catch((thrown) =>
      this.#context.telemetry.error(asSluiceError(thrown), { task: this.name }),
    );
  }

  /** Gives the arena back, once; lets the next batch go. */
  #release(batch: Batch): void {
    this.#free.push(batch.arena);
    this.#scoring -= 1;
    if (this.#full() || this.#scoring === 0) this.#dispatch();
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #run(batch: Batch): Promise<void> {
    let released = false;
    try {
      const { probabilities, model, sufficient } = this.#context.scorer.score(batch.arena.view());
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
    const { decide, task } = this.#context;
    const { labels, positive } = task;
    const { backend } = this.#context.scorer;
    const decidedAt = this.#context.clock.now();
    const verdicts = new Array<Verdict>(batch.events.length);
    for (let i = 0; i < batch.events.length; i++) {
      const offset = i * labels.length;
      const best = argmax(scores, offset, labels.length);
      const label = sufficient ? best : -1;
      if (label < 0) this.stats.learning += 1;
      else this.stats.byLabel[label] += 1;
      verdicts[i] = {
        event: batch.events[i],
        labels,
        label,
        score: scores[offset + (labels.length === 2 ? positive : best)],
        scores,
        offset,
        model,
        backend,
        decided: decide?.(batch.events[i], label, scores, offset, model),
        receivedAt: batch.owners[i].receivedAt,
        decidedAt,
      };
    }
    return verdicts;
  }

  #watch(batch: Batch, verdicts: readonly Verdict[], predicted: Int32Array, scores: Float32Array): void {
    const at = verdicts[0].decidedAt;
    const latencyMs = performance.now() - batch.owners[0].startedAt;
    const rows = batch.arena.view();
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
      rows: batch.arena.view(),
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
            .score(sliceRow(batch.arena.view(), i))
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
    this.#unfinished -= 1;
    if (this.#unfinished === 0) for (const wake of this.#idle.splice(0)) wake();
  }
}

function argmax(values: Float32Array, offset: number, count: number): number {
  let best = 0;
  for (let c = 1; c < count; c++) if (values[offset + c] > values[offset + best]) best = c;
  return best;
}
