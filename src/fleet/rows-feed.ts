/**
 * Tells the hub every entry of the journal as a labelled row: labels, corrections, withdrawals, in order and at
 * least once. An entry goes out after it is durable; the cursor moves after the sink has confirmed, so that a kill
 * anywhere between repeats and never loses. A hub that is away holds nothing up but this feed: it waits, the journal
 * keeps. Entries of other features are left out, since their labels cannot be named here; a row that can never be
 * sent is left out, loudly.
 */
import type { Clock, JournalEntry, LabelledRow, Outgoing, PairedLoss, Store } from '../contract.ts';
import { rowPayload } from '../envelope/rows.ts';
import type { Envelope } from '../envelope.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';

/** Entries read at once, and bytes published at once (or one row that is larger). */
const READ_AT_ONCE = 64;
const PUBLISH_BYTES = 512 * 1024;
const RETRY_MS = 1_000;
const RETRY_MOST_MS = 30_000;
const HISTORY = 20_000;

export interface RowsFeedOptions {
  readonly task: Pick<Task, 'name' | 'labels' | 'features'>;
  readonly site: string;
  readonly store: Pick<Store, 'journal' | 'cursors'>;
  /** Resolves when the messages are safe. */
  readonly publish: (messages: readonly Outgoing[]) => Promise<void>;
  readonly topic: string;
  readonly envelope: Envelope;
  /** The losses of a journal entry under two models, where they were taken. */
  readonly paired: (seq: number) => PairedLoss | null;
  /** Entries behind this seq wait: their losses are not known yet. Default: none waits. */
  readonly through?: () => number;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** How many of the newest entries are sent when the feed starts for the first time; default 20,000. */
  readonly history?: number;
  /** Name of the cursor, where a task has several feeds; default `rows <task>`. */
  readonly cursor?: string;
}

export class RowsFeed {
  readonly #options: RowsFeedOptions;
  readonly #cursor: string;
  readonly #stop = new AbortController();
  /** Grew since the last look. */
  #due = false;
  #wake: () => void = () => {};
  readonly #running: Promise<void>;

  /** Starts by itself with what is behind the cursor. */
  constructor(options: RowsFeedOptions) {
    this.#options = options;
    this.#cursor = options.cursor ?? `rows ${options.task.name}`;
    this.#running = this.#run();
  }

  /** The journal grew, or more of it may go. Cheap. */
  wake(): void {
    this.#due = true;
    this.#wake();
  }

  /** Ends soon, whatever the sink does; what it had not confirmed is sent again by the next feed. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let position: number | null = null;
    let pause = RETRY_MS;
    while (!signal.aborted) {
      this.#due = false;
      try {
        position ??= await this.#begin();
        const before: number = position;
        position = await this.#advance(before);
        pause = RETRY_MS;
        if (position === before) await this.#woken();
      } catch (thrown) {
        if (signal.aborted) return;
        this.#options.telemetry.error(asSluiceError(thrown), { task: this.#options.task.name, what: 'rows' });
        await this.#options.clock.sleep(pause, signal);
        pause = Math.min(RETRY_MOST_MS, 2 * pause);
      }
    }
  }

  async #woken(): Promise<void> {
    if (this.#due || this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = () => {};
  }

  /** The last seq that was sent. The first start is made durable, so that a kill right after does not choose anew. */
  async #begin(): Promise<number> {
    const { store, task, history = HISTORY } = this.#options;
    // One more than the seq: 0 is a cursor that was never set.
    const saved = store.cursors.get(this.#cursor);
    if (saved > 0) return saved - 1;
    const position = store.journal.before(task.name, history);
    await store.cursors.set(this.#cursor, position + 1);
    return position;
  }

  /** Sends what follows, a bounded piece of it; gives the new position, `position` where nothing may go. */
  async #advance(position: number): Promise<number> {
    const { store, task, telemetry, through: limit } = this.#options;
    const last = limit?.() ?? Number.POSITIVE_INFINITY;
    if (last <= position) return position;
    const page = store.journal.tail(task.name, position, READ_AT_ONCE);
    const entries = page.entries.filter(({ seq }) => seq <= last);
    const through = Math.min(page.through, last);
    if (through === position) return position;
    const messages = entries.map((entry) => this.#message(entry)).filter((message) => message !== null);
    for (const some of pieces(messages)) await this.#send(some);
    if (messages.length > 0) telemetry.count('rows_told', { task: task.name }, messages.length);
    await store.cursors.set(this.#cursor, through + 1);
    return through;
  }

  #message(entry: JournalEntry): Outgoing | null {
    const { task, topic, envelope } = this.#options;
    if (entry.label >= 0 && entry.joined.features !== task.features) return null;
    // It took back what the model had said itself, of which the hub was never told.
    if (entry.label < 0 && entry.supersedes === 0) return null;
    try {
      const payload = rowPayload(envelope, this.#row(entry), task.labels);
      // By site, not by device: on Kafka the rows of a site stay in one partition and so in the order of their seq.
      return { topic, key: this.#options.site, payload };
    } catch (thrown) {
      this.#leaveOut(asSluiceError(thrown), entry.event);
      return null;
    }
  }

  #row(entry: JournalEntry): LabelledRow {
    const { seq, task, event, device, label, weight, origin, at, joined } = entry;
    const { rows, scores, predicted, model, features } = joined;
    const head = { site: this.#options.site, task, seq, event, device, at: joined.at, labelledAt: at };
    const paired = label < 0 ? null : this.#options.paired(seq);
    return { ...head, label, weight, origin, features, rows, scores, predicted, model, paired };
  }

  /** What the sink refuses for good is narrowed down by halving, and left out. */
  async #send(messages: readonly Outgoing[]): Promise<void> {
    try {
      await this.#published(messages);
    } catch (thrown) {
      const error = asSluiceError(thrown, 'PUBLISH_FAILED');
      if (error.retry || this.#stop.signal.aborted) throw error;
      if (messages.length === 1) {
        this.#leaveOut(error, messages[0].key ?? '');
        return;
      }
      const half = messages.length >> 1;
      await this.#send(messages.slice(0, half));
      await this.#send(messages.slice(half));
    }
  }

  /** Rejects at `stop` too: a sink that stands still must not hold up the end. */
  #published(messages: readonly Outgoing[]): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((resolve, reject) => {
      const stopped = () => reject(new Error('the feed was stopped'));
      if (signal.aborted) return stopped();
      signal.addEventListener('abort', stopped, { once: true });
      const over = () => signal.removeEventListener('abort', stopped);
      this.#options.publish(messages).then(resolve, reject).finally(over);
    });
  }

  #leaveOut(error: SluiceError, about: string): void {
    const { task, telemetry } = this.#options;
    telemetry.count('rows_left_out', { task: task.name }, 1, {
      code: error.code,
      reason: error.message,
      about,
    });
  }
}

/** Cuts messages into runs of at most PUBLISH_BYTES. */
function* pieces(messages: readonly Outgoing[]): Generator<readonly Outgoing[]> {
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < messages.length; i++) {
    const size = messages[i].payload.length;
    if (i > from && bytes + size > PUBLISH_BYTES) {
      yield messages.slice(from, i);
      [from, bytes] = [i, 0];
    }
    bytes += size;
  }
  if (messages.length > from) yield messages.slice(from);
}
