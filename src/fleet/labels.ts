/**
 * Feedback -> labels: joined by event id, Message-ID, raw message or device and span with the rows kept in
 * the join store, journalled durably, then acknowledged. The same label again is a duplicate, another one a
 * correction, null a withdrawal. What comes before its event waits, bounded. Bad feedback becomes a dead letter.
 */
import { createHash } from 'node:crypto';
import type { Bury, Clock, Delivery, Event, JoinedRow, JournalEntry, Source, Store } from '../contract.ts';
import { decodeFeedback, type Feedback, feedbackFromText, feedbackText } from '../envelope.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import type { Learner } from './learner.ts';

/** A span of one device labels at most this many events; more is refused, not silently cut. */
const MAX_SPAN = 100_000;
const RETRY_MS = 1_000;

export interface LabelsContext {
  readonly task: Task;
  readonly store: Store;
  readonly learner: Learner;
  readonly bury: Bury;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

type NewEntry = Omit<JournalEntry, 'seq' | 'supersedes'>;
type Result = 'learned' | 'duplicate' | 'corrected' | 'withdrawn' | 'waiting' | 'unmatched' | 'invalid';

export class Labels {
  readonly #context: LabelsContext;
  /** One group at a time: looking up the last label and appending the next must not interleave. */
  #turn: Promise<void> = Promise.resolve();
  readonly #stop = new AbortController();
  #readers: Promise<void>[] = [];
  readonly #sources: Source[] = [];

  constructor(context: LabelsContext) {
    this.#context = context;
  }

  /** Reads feedback from a source until `stop`. */
  follow(source: Source): void {
    this.#sources.push(source);
    this.#readers.push(this.#read(source));
  }

  /** Ends the readers, finishes what was taken, flushes acknowledgements. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#readers);
    await this.#turn;
    await Promise.all(this.#sources.map((source) => source.close()));
  }

  /** Feedback that waited for these events is taken up now. Cheap while nothing waits. */
  joined(events: readonly Event[]): void {
    const { store, task, telemetry } = this.#context;
    if (store.waiting.size === 0) return;
    const found = events.flatMap((event) => store.waiting.find(task.name, [event.id, ...event.aliases]));
    if (found.length === 0) return;
    this.#inTurn(async () => {
      await this.#apply(found.map(({ feedback }) => feedbackFromText(feedback)));
      await store.waiting.remove(found.map(({ key }) => key));
    }).catch((thrown) => telemetry.error(asSluiceError(thrown, 'STORE_FAILED'), { task: task.name }));
  }

  /** Applies feedback given in this process (HTTP, tools). Resolves when it is durable. */
  give(feedback: readonly Feedback[]): Promise<void> {
    return this.#inTurn(() => this.#apply(feedback));
  }

  async #read(source: Source): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        for await (const deliveries of source.read(this.#stop.signal)) {
          await this.#inTurn(() => this.#take(deliveries));
        }
        return;
      } catch (thrown) {
        this.#context.telemetry.error(asSluiceError(thrown), { source: source.name });
        await this.#context.clock.sleep(RETRY_MS, this.#stop.signal);
      }
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** One array of deliveries: journalled in one append, then acknowledged together. */
  async #take(deliveries: readonly Delivery[]): Promise<void> {
    const { clock, task, telemetry, bury } = this.#context;
    const feedback: Feedback[] = [];
    try {
      for (const { message } of deliveries) {
        try {
          feedback.push(...this.#checked(decodeFeedback(message.payload, clock.now(), sha256)));
        } catch (thrown) {
          const error = asSluiceError(thrown, 'FEEDBACK_INVALID');
          this.#count('invalid', 1);
          telemetry.count('dead_letters', { task: task.name, code: error.code }, 1, {
            reason: error.message,
          });
          await bury(task.name, message, error, clock.now());
        }
      }
      await this.#apply(feedback);
      for (const delivery of deliveries) delivery.settle('done');
    } catch (thrown) {
      telemetry.error(asSluiceError(thrown, 'STORE_FAILED'), { task: task.name });
      await clock.sleep(RETRY_MS, this.#stop.signal);
      for (const delivery of deliveries) delivery.settle('retry');
    }
  }

  #checked(feedback: Feedback[]): Feedback[] {
    for (const { label } of feedback) {
      if (label !== null && !this.#context.task.labels.includes(label)) {
        const allowed = this.#context.task.labels.join(', ');
        throw new SluiceError('FEEDBACK_LABEL', `"${label.slice(0, 64)}" is not one of ${allowed}`);
      }
    }
    return feedback;
  }

  async #apply(feedback: readonly Feedback[]): Promise<void> {
    const chosen = new Map<string, { entry: NewEntry; result: Result }>();
    const answered: string[] = [];
    for (const one of feedback) {
      const rows = this.#find(one);
      if (rows.length === 0) answered.push(...(await this.#wait(one, chosen)));
      for (const row of rows) this.#choose(one, row, chosen);
    }
    if (chosen.size > 0) await this.#append([...chosen.values()]);
    if (answered.length > 0) await this.#context.store.waiting.remove(answered);
  }

  #find(feedback: Feedback): JoinedRow[] {
    const { store, task } = this.#context;
    const { target } = feedback;
    if (target.kind === 'span')
      return store.join.span(task.name, target.device, target.from, target.to, MAX_SPAN);
    const row = store.join.find(task.name, target.name);
    return row ? [row] : [];
  }

  /** Parks feedback whose event is not here. Returns the keys that were answered after all and may go. */
  async #wait(
    feedback: Feedback,
    chosen: Map<string, { entry: NewEntry; result: Result }>,
  ): Promise<string[]> {
    const { store, task, clock } = this.#context;
    if (feedback.target.kind === 'span') {
      this.#count('unmatched', 1);
      return [];
    }
    const names = [feedback.target.name];
    await store.waiting.put(task.name, names, feedbackText(feedback), clock.now());
    // The event may have come while this was written, and looked before it was there.
    const rows = this.#find(feedback);
    if (rows.length === 0) {
      this.#count('waiting', 1);
      return [];
    }
    for (const row of rows) this.#choose(feedback, row, chosen);
    return store.waiting.find(task.name, names).map(({ key }) => key);
  }

  /** Decides what this label means after those before it, in the journal and in this group. */
  #choose(
    feedback: Feedback,
    row: JoinedRow,
    chosen: Map<string, { entry: NewEntry; result: Result }>,
  ): void {
    const { store, task, learner } = this.#context;
    const label = feedback.label === null ? -1 : task.labels.indexOf(feedback.label);
    const journalled = store.journal.labelOf(task.name, row.id);
    const before = chosen.get(row.id)?.entry ?? journalled;
    if (before?.label === label || (!before && label < 0)) {
      this.#count('duplicate', 1);
      return;
    }
    if (journalled && label < 0 && journalled.seq <= learner.oldestUndoable) {
      const text = `the label of ${row.id} is older than the oldest kept snapshot`;
      this.#context.telemetry.error(new SluiceError('FEEDBACK_TOO_OLD', text), { task: task.name });
      this.#count('invalid', 1);
      return;
    }
    chosen.set(row.id, {
      entry: {
        task: task.name,
        event: row.id,
        device: row.device,
        label,
        weight: feedback.weight,
        origin: feedback.origin,
        at: feedback.at,
        joined: row,
      },
      result: label < 0 ? 'withdrawn' : before && before.label >= 0 ? 'corrected' : 'learned',
    });
  }

  async #append(chosen: readonly { entry: NewEntry; result: Result }[]): Promise<void> {
    const { store, task, learner } = this.#context;
    // Within a group a label and its withdrawal may have met: then there is nothing to take back.
    const entries = chosen.filter(
      ({ entry }) => entry.label >= 0 || store.journal.labelOf(task.name, entry.event),
    );
    const superseded = entries
      .map(({ entry }) => store.journal.labelOf(task.name, entry.event))
      .filter((prior) => prior !== null && prior.label >= 0 && prior.seq > learner.oldestUndoable)
      .map((prior) => prior!.seq);
    const hold = superseded.length > 0 ? await learner.supersede(Math.min(...superseded)) : null;
    try {
      await store.journal.append(entries.map(({ entry }) => entry));
    } finally {
      hold?.release();
    }
    for (const { result } of entries) this.#count(result, 1);
    learner.wake();
  }

  #count(result: Result, n: number): void {
    this.#context.telemetry.count('feedback_received', { task: this.#context.task.name, result }, n);
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
