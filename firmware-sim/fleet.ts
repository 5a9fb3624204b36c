/**
 * The simulated fleet on a real broker: devices and mailboxes send at steady rates, verdicts and dead
 * letters are entered into the books, labels follow later as feedback. It promises that its counts rest
 * on its own numbering, that it never sends in bursts (arrears are made up within BURST_MS or skipped
 * and counted), and that its memory is bounded however long it runs and however slow the broker is.
 *
 * Start it after the gateway has subscribed: what a broker confirms and nobody reads is lost, and the
 * books will say so.
 */
import type { Clock, Delivery, Message, Outgoing } from '../src/contract.ts';
import { asSluiceError } from '../src/errors.ts';
import { Telemetry } from '../src/telemetry.ts';
import { AlarmBook, type SeenAlarm } from './alarms.ts';
import { ANSWERS, type Answer, type AnswerKind, readAnswers } from './answers.ts';
import type { DeviceCounts, ReadingFeed } from './feeds.ts';
import { identityOf } from './identity.ts';
import { Stream, type StreamCounts, type StreamOptions, type TaskPhases, TICK_MS } from './stream.ts';
import { fineClock, type Wire } from './wire.ts';

export type { StreamCounts, StreamOptions } from './stream.ts';

export interface FleetOptions {
  readonly wire: Wire;
  readonly streams: readonly StreamOptions[];
  readonly seed: number;
  /** Answers whose envelope names another site are passed over: a Kafka topic carries those of all sites. */
  readonly site?: string;
  readonly clock?: Clock;
  readonly telemetry?: Telemetry;
  /** Ends sending, as `drain` does, but without waiting. */
  readonly signal?: AbortSignal;
}

export interface FleetCounts {
  readonly seconds: number;
  readonly tasks: readonly StreamCounts[];
  /** Publishes tried again after the broker had not confirmed them; can make duplicates. */
  readonly resent: number;
  /** Publishes that the broker refused for good. */
  readonly refused: number;
  /** Answers that could not be read: not JSON, or without the fields of a verdict or dead letter. */
  readonly unreadableAnswers: number;
  /** Messages touched, by fault. */
  readonly faults: Readonly<Record<string, number>>;
}

export interface FleetSummary extends FleetCounts {
  /** Confirmed by the broker, and neither verdict nor dead letter within the time to drain. Must be 0. */
  readonly lost: number;
}

export interface Fleet {
  /** The books as they stand; cheap enough for every second. */
  counts(): FleetCounts;
  /** Resolves when every feed has ended and every message is answered (only replay ends by itself). */
  readonly finished: Promise<void>;
  /** When sending began, ms since the epoch; null before. */
  readonly startedAt: number | null;
  /** Drift alarms that came, in order. */
  readonly alarms: readonly SeenAlarm[];
  /** The books divided by phase. */
  phases(): readonly TaskPhases[];
  /** Where the simulated devices stand; null where there are none. */
  devices(): DeviceCounts | null;
  /** Stops sending and waits until nothing is outstanding, at most `timeoutMs`. */
  drain(timeoutMs: number): Promise<FleetSummary>;
  /** Closes the connections. Without `drain` first, what is open stays uncounted. */
  stop(): Promise<void>;
}

const RETRY_MS = 250;
const READY_POLL_MS = 20;
const DRAIN_POLL_MS = 10;

class RunningFleet implements Fleet {
  readonly finished: Promise<void>;
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  readonly #streams: readonly Stream[];
  /** Topic of an answer to its stream and kind. */
  readonly #routes = new Map<string, { readonly stream: Stream; readonly what: AnswerKind }>();
  readonly #sending = new AbortController();
  readonly #reading = new AbortController();
  readonly #begin: number;
  readonly #site: string | null;
  readonly #alarms: AlarmBook;
  readonly #loops: Promise<void>[];
  #startedAt: number | null = null;
  #publishing = 0;
  #resent = 0;
  #refused = 0;
  #unreadable = 0;

  constructor(options: FleetOptions) {
    this.#wire = options.wire;
    this.#clock = options.clock ?? fineClock;
    this.#telemetry = options.telemetry ?? new Telemetry({ level: 'warn' });
    this.#streams = options.streams.map((s, i) => new Stream(s, options.seed ^ Math.imul(i + 1, 0x85ebca6b)));
    for (const stream of this.#streams) {
      for (const what of ANSWERS) {
        this.#routes.set(this.#wire.topic(stream.options.task, what), { stream, what });
      }
    }
    options.signal?.addEventListener('abort', () => this.#sending.abort(), { once: true });
    if (options.signal?.aborted) this.#sending.abort();
    this.#begin = this.#clock.now();
    this.#site = options.site ?? null;
    this.#alarms = new AlarmBook(this.#site, this.#begin);
    const send = this.#send();
    this.#loops = [send, this.#listen()];
    this.finished = send.then(() => this.#settled(Number.POSITIVE_INFINITY));
  }

  counts(): FleetCounts {
    return {
      seconds: (this.#clock.now() - this.#begin) / 1000,
      tasks: this.#streams.map((stream) => stream.counts()),
      resent: this.#resent,
      refused: this.#refused,
      unreadableAnswers: this.#unreadable + this.#alarms.unreadable,
      faults: this.#readings?.faultCounts() ?? {},
    };
  }

  get startedAt(): number | null {
    return this.#startedAt;
  }

  get alarms(): readonly SeenAlarm[] {
    return this.#alarms.alarms;
  }

  phases(): readonly TaskPhases[] {
    return this.#streams.map((stream) => stream.phases());
  }

  devices(): DeviceCounts | null {
    return this.#readings?.deviceCounts() ?? null;
  }

  get #readings(): ReadingFeed | undefined {
    return this.#streams.map((s) => s.options.feed).find((f): f is ReadingFeed => 'faultCounts' in f);
  }

  async drain(timeoutMs: number): Promise<FleetSummary> {
    this.#sending.abort();
    await this.#loops[0];
    await this.#settled(this.#clock.now() + timeoutMs);
    const counts = this.counts();
    return { ...counts, lost: counts.tasks.reduce((sum, task) => sum + task.outstanding, 0) };
  }

  async stop(): Promise<void> {
    this.#sending.abort();
    this.#reading.abort();
    await this.#loops[0];
    await this.#wire.answers.close();
    await this.#wire.sink.close();
    await this.#loops[1];
  }

  /** Until no publish is under way and nothing is outstanding, or until `deadline`. */
  async #settled(deadline: number): Promise<void> {
    const open = (): boolean =>
      this.#publishing > 0 || this.#streams.some((stream) => stream.ledger.outstanding > 0);
    while (open() && this.#clock.now() < deadline && !this.#reading.signal.aborted) {
      this.#sendLabels();
      await this.#clock.sleep(DRAIN_POLL_MS, this.#reading.signal);
    }
  }

  // ------------------------------------------------------------ sending

  async #send(): Promise<void> {
    const { signal } = this.#sending;
    try {
      // An answer that came before our subscription would be missed, and then counted as lost.
      while (!signal.aborted && !this.#wire.answers.health().ok)
        await this.#clock.sleep(READY_POLL_MS, signal);
      const now = this.#clock.now();
      this.#startedAt = now;
      for (const stream of this.#streams) stream.begin(now);
      while (!signal.aborted && this.#streams.some((stream) => !stream.ended)) {
        for (const stream of this.#streams) await this.#sendDue(stream);
        this.#sendLabels();
        await this.#clock.sleep(TICK_MS, signal);
      }
    } catch (error) {
      // A feed that cannot be read ends the sending; what was sent is still accounted for.
      this.#telemetry.error(asSluiceError(error));
      for (const stream of this.#streams) stream.ended = true;
    }
  }

  async #sendDue(stream: Stream): Promise<void> {
    const now = this.#clock.now();
    const count = stream.due(now);
    const { feed } = stream.options;
    const book = stream.books.at(stream.since(now));
    const batch: Outgoing[] = [];
    const slots: number[] = [];
    for (let i = 0; i < count && !stream.ended; i++) {
      const made = feed.next(now);
      const parcels = made instanceof Promise ? await made : made;
      if (parcels === null) {
        stream.ended = true;
        break;
      }
      for (const { name, payload, truth, readable, hostile } of parcels) {
        const number = String(stream.ledger.counted + 1);
        const outgoing = this.#outgoing(feed.kind, name, payload, number);
        slots.push(stream.ledger.send(identityOf(outgoing), truth, readable, now, hostile ? HOSTILE : 0));
        batch.push(outgoing);
        book.sent += 1;
      }
    }
    if (batch.length > 0) void this.#publish(stream, batch, slots);
  }

  #outgoing(kind: 'reading' | 'mail', name: string, payload: string | Uint8Array, number: string): Outgoing {
    const { topic, key } = this.#wire.address(kind, name);
    if (!this.#wire.headers) return { topic, key, payload };
    // The start time keeps the numbers of two runs on one broker apart.
    const source = `/simulator/${Math.floor(this.#begin).toString(36)}/${kind}`;
    return { topic, key, payload, headers: { ce_source: source, ce_id: number } };
  }

  /** Publishes until the broker has confirmed it, as a device would; never rejects. */
  async #publish(stream: Stream, batch: readonly Outgoing[], slots: readonly number[]): Promise<void> {
    this.#publishing += 1;
    stream.unconfirmed += slots.length;
    const confirmed = await this.#insist(batch);
    for (const slot of slots) {
      if (confirmed) stream.ledger.confirm(slot);
      else stream.ledger.refuse(slot);
    }
    if (!confirmed) this.#refused += slots.length;
    stream.unconfirmed -= slots.length;
    this.#publishing -= 1;
  }

  async #insist(batch: readonly Outgoing[]): Promise<boolean> {
    for (;;) {
      try {
        await this.#wire.sink.publish(batch);
        return true;
      } catch (thrown) {
        const error = asSluiceError(thrown);
        this.#telemetry.error(error);
        if (!error.retry || this.#reading.signal.aborted) return false;
        this.#resent += batch.length;
        await this.#clock.sleep(RETRY_MS, this.#reading.signal);
      }
    }
  }

  // ------------------------------------------------------------ labels

  #sendLabels(): void {
    const now = this.#clock.now();
    const at = new Date(now).toISOString();
    for (const stream of this.#streams) {
      const due = stream.desk.take(now);
      if (due.length === 0) continue;
      const topic = this.#wire.topic(stream.options.task, 'feedback');
      const batch = due.map(({ event, label }) => ({
        topic,
        key: event,
        payload: JSON.stringify({ event, label, origin: 'simulator', at }),
      }));
      stream.labelled += batch.length;
      stream.books.at(stream.since(now)).labelled += batch.length;
      this.#publishing += 1;
      void this.#insist(batch).then(() => {
        this.#publishing -= 1;
      });
    }
  }

  // ------------------------------------------------------------ answers

  async #listen(): Promise<void> {
    for await (const deliveries of this.#wire.answers.read(this.#reading.signal)) {
      for (const delivery of deliveries) this.#enter(delivery);
    }
  }

  #enter(delivery: Delivery): void {
    const { message } = delivery;
    const route = this.#routes.get(message.topic);
    if (route) this.#book(route.stream, route.what, message);
    delivery.settle('done');
  }

  #book(stream: Stream, what: AnswerKind, message: Message): void {
    const now = this.#clock.now();
    if (what === 'drift') {
      this.#alarms.enter(message.payload, now);
      return;
    }
    for (const answer of readAnswers(message.payload, what)) {
      if (answer === null) this.#unreadable += 1;
      else if (this.#site === null || answer.site === null || answer.site === this.#site)
        enter(stream, what, answer, now);
    }
  }
}

const HOSTILE = 1;

function enter(stream: Stream, what: 'verdict' | 'dead', { event, label }: Answer, now: number): void {
  const { ledger, desk, books } = stream;
  const found = what === 'dead' ? ledger.deadLetter(event, now) : ledger.verdict(event, label, now);
  if (found.kind !== 'first') return;
  const book = books.at(stream.since(found.sentAt));
  if (what === 'dead') {
    book.deadLetters += 1;
    return;
  }
  book.verdicts += 1;
  if (label !== null && found.truth >= 0) {
    book.tested += 1;
    if (ledger.labels[found.truth] === label) book.correct += 1;
  }
  desk.see(event, found.number, found.truth, now, found.mark === HOSTILE);
}

/** Starts sending at once. */
export function startFleet(options: FleetOptions): Fleet {
  return new RunningFleet(options);
}
