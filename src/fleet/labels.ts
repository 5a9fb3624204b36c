/**
 * Feedback -> labels: joined by event id, Message-ID, raw message or device and span with the rows kept in
 * the join store, journalled durably, then acknowledged. The same label again is a duplicate, another one a
 * correction, null a withdrawal. What comes before its event waits, bounded. Bad feedback becomes a dead letter.
 * What the model learned as its own label is no label: the first one is learned on top of it, and where that is taken
 * back, or the event forgotten, it goes too.
 */
import { createHash } from 'node:crypto';
import { CLOSE_MS, within } from '../clock.ts';
import type { Bury, Clock, Delivery, Event, JoinedRow, JournalEntry, Source, Store } from '../contract.ts';
import { decodeFeedback, type Feedback, feedbackFromText, feedbackText } from '../envelope.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import { OWN_LABEL } from '../model/kinds.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { entryOf, Group, type Meaning, type NewEntry, type Refusal } from './group.ts';
import type { Learner } from './learner.ts';

/** A span of one device labels at most this many events; more is refused, not silently cut. */
const MAX_SPAN = 100_000;
const REMATCH_AT_ONCE = 256;
const RETRY_MS = 1_000;
/** The origin of what nobody said. */
const OWN = 'self';

export interface LabelsContext {
  readonly task: Task;
  readonly store: Store;
  readonly learner: Learner;
  readonly bury: Bury;
  /** Called with each label that an event gets for the first time, when it is durable. */
  readonly onLabel?: (entry: JournalEntry) => void;
  /** Called with every entry in the order of the journal, corrections and withdrawals too, when it is durable. */
  readonly onEntry?: (entry: JournalEntry) => void;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** Wrapped, so that awaiting the decision does not await the disk. */
interface Applied {
  /** Resolves when all of it is on disk; rejects when none of it may be acknowledged. */
  readonly durable: Promise<void>;
}
type Result = Meaning | Refusal['result'] | 'forgotten' | 'waiting' | 'unmatched';

export class Labels {
  readonly #context: LabelsContext;
  /** One group at a time: looking up the last label and appending the next must not interleave. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #stop = new AbortController();
  #readers: Promise<void>[] = [];
  readonly #sources: Source[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #rematchDue = false;

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
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    const closed = Promise.all(this.#sources.map((source) => source.close()));
    await within(this.#context.clock, CLOSE_MS, closed);
  }

  /** Feedback that waited for these events is taken up now. Cheap while nothing waits. */
  joined(events: readonly Event[]): void {
    const { store, task } = this.#context;
    if (store.waiting.size === 0) return;
    const found = events.flatMap((event) => store.waiting.find(task.name, [event.id, ...event.aliases]));
    if (found.length === 0) return;
    const feedback = found.map((one) => feedbackFromText(one.feedback));
    this.#background(
      this.#takeUp(
        feedback,
        found.map(({ key }) => key),
      ),
    );
  }

  /** Tries again what could not be taken up; called now and then. */
  async tick(): Promise<void> {
    if (!this.#rematchDue) return;
    this.#rematchDue = false;
    await this.rematch();
  }

  /**
   * Takes up what waits although its event is here: a kill, or a write that failed, came between the two. Called at
   * the start, and by `tick` after a failure.
   */
  async rematch(): Promise<void> {
    const { store, task } = this.#context;
    let after: string | undefined;
    for (;;) {
      const page = store.waiting.entries(task.name, REMATCH_AT_ONCE, after);
      if (page.length === 0) return;
      after = page[page.length - 1].key;
      const here = page.filter(({ names }) =>
        names.some((name) => store.join.find(task.name, name) !== null),
      );
      if (here.length === 0) continue;
      await this.#takeUp(
        here.map(({ feedback }) => feedbackFromText(feedback)),
        here.map(({ key }) => key),
      );
    }
  }

  /** Applies feedback given in this process (HTTP, tools). Resolves when it is durable. */
  async give(feedback: readonly Feedback[]): Promise<void> {
    const { durable } = await this.#inTurn(() => this.#apply(feedback));
    await durable;
  }

  /**
   * Has the model learn these events as it judges them itself, those that nobody has labelled, unless it is behind its
   * journal. Never rejects; resolves when they are durable or lost.
   */
  async learnOwn(rows: readonly JoinedRow[], at: number): Promise<void> {
    const { task, learner, telemetry } = this.#context;
    const entries = rows.map((row) =>
      entryOf(task.name, row, { label: OWN_LABEL, weight: 1, origin: OWN, at }),
    );
    const asked = this.#inTurn(async () => ({
      durable: learner.selfTraining ? this.#enter(entries) : Promise.resolve([]),
    }));
    const learned = asked
      .then(({ durable }) => durable)
      .then(({ length }) => telemetry.count('self_trained', { task: task.name }, length));
    await this.#background(learned);
  }

  /** Takes feedback that is no source's: it is settled like any other. */
  async offer(deliveries: readonly Delivery[]): Promise<void> {
    // The next labels are looked at while these are being written. What cannot be decided comes again.
    const { durable } = await this.#inTurn(() => this.#take(deliveries)).catch((thrown) => ({
      durable: all([Promise.reject(thrown)]),
    }));
    this.#background(this.#settle(deliveries, durable));
  }

  async #read(source: Source): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        for await (const deliveries of source.read(this.#stop.signal)) await this.offer(deliveries);
        return;
      } catch (thrown) {
        this.#context.telemetry.error(asSluiceError(thrown), { source: source.name });
        await this.#context.clock.sleep(RETRY_MS, this.#stop.signal);
      }
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Work that nobody waits for but `stop`. */
  #background(work: Promise<void>): Promise<void> {
    const { telemetry, task } = this.#context;
    const done = work
      .catch((thrown) => telemetry.error(asSluiceError(thrown, 'STORE_FAILED'), { task: task.name }))
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
    return done;
  }

  /** One array of deliveries: buried or applied, in one append. */
  async #take(deliveries: readonly Delivery[]): Promise<Applied> {
    const { clock, task, telemetry, bury } = this.#context;
    const feedback: Feedback[] = [];
    const buried: Promise<void>[] = [];
    for (const { message } of deliveries) {
      try {
        feedback.push(...this.#checked(decodeFeedback(message.payload, clock.now(), sha256)));
      } catch (thrown) {
        const error = asSluiceError(thrown, 'FEEDBACK_INVALID');
        this.#count('invalid', 1);
        telemetry.count('dead_letters', { task: task.name, code: error.code }, 1, { reason: error.message });
        buried.push(handled(bury(task.name, message, error, clock.now())));
      }
    }
    const applied = await this.#apply(feedback);
    return { durable: all([applied.durable, ...buried]) };
  }

  /** Acknowledges what is durable; what is not comes again. */
  async #settle(deliveries: readonly Delivery[], durable: Promise<void>): Promise<void> {
    try {
      await durable;
      for (const delivery of deliveries) delivery.settle('done');
    } catch (thrown) {
      await this.#context.clock.sleep(RETRY_MS, this.#stop.signal);
      for (const delivery of deliveries) delivery.settle('retry');
      throw thrown;
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

  /** Resolves when it is decided and on its way into the journal: the next in turn builds on it. */
  async #apply(feedback: readonly Feedback[]): Promise<Applied> {
    const group = new Group(this.#context);
    const parked: Promise<void>[] = [];
    const forgotten = new Set<string>();
    for (const one of feedback) {
      const rows = this.#find(one);
      if (rows.length > MAX_SPAN) {
        this.#tooMany(one);
        continue;
      }
      if (rows.length === 0) parked.push(handled(this.#wait(one)));
      for (const row of rows) {
        this.#choose(one, row, group);
        if (one.forget) forgotten.add(row.id);
      }
    }
    const { durable } = await this.#append(group);
    const ended = forgotten.size === 0 ? durable : durable.then(() => this.#erase([...forgotten]));
    return { durable: all([ended, ...parked]) };
  }

  /** After the withdrawals are durable: a row is not erased before its label has left the model for good. */
  async #erase(events: readonly string[]): Promise<void> {
    const { store, task } = this.#context;
    await store.join.erase(task.name, events);
    const labelled = await store.journal.erase(task.name, events);
    this.#count('forgotten', events.length - labelled.length);
    this.#tellPruned(events);
  }

  /** A label that was pruned from the journal cannot be told from one that was never given: so that is said. */
  #tellPruned(events: readonly string[]): void {
    const { store, task, telemetry } = this.#context;
    const before = store.snapshots.oldest(task.name);
    if (before === 0) return;
    const unknown = events.filter((event) => store.journal.labelOf(task.name, event) === null);
    if (unknown.length === 0) return;
    const text = `of ${unknown.length} forgotten events (${unknown[0]}) the journal has no label; one that was pruned from it is in the model still`;
    telemetry.error(new SluiceError('FEEDBACK_TOO_OLD', text), { task: task.name });
  }

  #find(feedback: Feedback): JoinedRow[] {
    const { store, task } = this.#context;
    const { target } = feedback;
    if (target.kind === 'span')
      return store.join.span(task.name, target.device, target.from, target.to, MAX_SPAN + 1);
    const row =
      store.join.find(task.name, target.name) ?? (feedback.label === null && this.#kept(target.name));
    return row ? [row] : [];
  }

  /** The row of an event whose label is to be taken back, or forgotten, and that only the journal still has. */
  #kept(event: string): JoinedRow | null {
    const { store, task } = this.#context;
    const { journal } = store;
    const known = journal.labelOf(task.name, event);
    const own = known ? 0 : journal.ownOf(task.name, event);
    if (own > 0) return journal.read(task.name, own - 1, 1, { own: true }).entries[0]?.joined ?? null;
    // A withdrawal too: what was taken back may still have to be forgotten.
    return known && (journal.tail(task.name, known.seq - 1, 1).entries[0]?.joined ?? null);
  }

  /** Half of a span would be a label that nobody gave: nothing of it is taken. */
  #tooMany({ target }: Feedback): void {
    const { telemetry, task } = this.#context;
    const device = target.kind === 'span' ? target.device : '';
    this.#count('invalid', 1);
    const text = `the span of ${device} holds more than ${MAX_SPAN} events; label it in smaller spans`;
    telemetry.error(new SluiceError('FEEDBACK_INVALID', text), { task: task.name });
  }

  /** Parks feedback whose event is not here. Resolves when that is durable. */
  async #wait(feedback: Feedback): Promise<void> {
    const { store, task, clock } = this.#context;
    if (feedback.target.kind === 'span') {
      this.#count('unmatched', 1);
      return;
    }
    const names = [feedback.target.name];
    await store.waiting.put(task.name, names, feedbackText(feedback), clock.now());
    this.#count('waiting', 1);
    // The event may have come while this was written, and looked before it was there.
    if (this.#find(feedback).length === 0) return;
    const keys = store.waiting.find(task.name, names).map(({ key }) => key);
    this.#background(this.#takeUp([feedback], keys));
  }

  /** Applies what waited; it leaves the waiting list only when its label is durable. */
  async #takeUp(feedback: readonly Feedback[], keys: readonly string[]): Promise<void> {
    try {
      await this.give(feedback);
      await this.#context.store.waiting.remove(keys);
    } catch (thrown) {
      this.#rematchDue = true;
      throw thrown;
    }
  }

  #choose(feedback: Feedback, row: JoinedRow, group: Group): void {
    const refused = group.add(feedback, row);
    if (!refused) return;
    this.#count(refused.result, 1);
    const { telemetry, task } = this.#context;
    if (refused.result === 'invalid') telemetry.error(refused.error, { task: task.name });
  }

  async #append(group: Group): Promise<Applied> {
    const { learner, onLabel, onEntry } = this.#context;
    const { entries, results, undone } = group.close();
    if (entries.length === 0) return { durable: Promise.resolve() };
    const hold = undone.length > 0 ? await learner.supersede(least(undone)) : null;
    const durable = this.#enter(entries, undone)
      .then((entered) => {
        for (const result of results) this.#count(result, 1);
        for (const entry of entered) {
          onEntry?.(entry);
          if (entry.supersedes === 0 && entry.label >= 0) onLabel?.(entry);
        }
      })
      .finally(() => hold?.release());
    return { durable: handled(durable) };
  }

  /** Into the journal, and the model beside it. Resolves when it is durable, to what was entered. */
  async #enter(
    entries: readonly NewEntry[],
    undone: readonly number[] = [],
  ): Promise<readonly JournalEntry[]> {
    const { store, learner } = this.#context;
    let entered: readonly JournalEntry[] = [];
    try {
      await store.journal.append(entries, (numbered) => {
        entered = numbered;
        learner.follow(numbered);
      });
      if (entered.length > 0) learner.ended(entered, true);
      return entered;
    } catch (thrown) {
      if (entered.length > 0) learner.ended(entered, false, undone);
      throw thrown;
    }
  }

  #count(result: Result, n: number): void {
    this.#context.telemetry.count('feedback_received', { task: this.#context.task.name, result }, n);
  }
}

/** Resolves when all do. */
const all = (promises: readonly Promise<void>[]): Promise<void> =>
  handled(Promise.all(promises).then(() => undefined));

/** The same promise; a rejection before anyone awaits it does not end the process. */
function handled(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined);
  return promise;
}

const least = (seqs: readonly number[]): number => seqs.reduce((a, b) => Math.min(a, b));

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
