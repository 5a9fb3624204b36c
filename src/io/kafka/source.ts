/**
 * Reads Kafka topics in a consumer group. Promises: deliveries in offset order per partition; only the contiguous
 * settled offset of each partition is ever committed; while work takes long the membership is kept; what is held is
 * bounded; a consumer that died or fell silent is replaced. A settle for a partition that has gone to another member
 * is ignored: that member delivers the message again.
 *
 * Positions survive a rebalance and a new consumer: a partition that stays ours goes on where it was, without
 * repeating what is in flight. That repeats messages at worst (if another member had it in between), and never skips one.
 */
import type { EachBatchPayload } from 'kafkajs';
import type { Delivery, Health, IoContext, Outcome, Source } from '../../contract.ts';
import { asSluiceError, SluiceError } from '../../errors.ts';
import { Certificates } from './certificates.ts';
import { isKafkaError, KafkaClient } from './client.ts';
import { Commits } from './commits.ts';
import { boundUnpacking } from './compression.ts';
import { Intake, type KafkaDelivery } from './intake.ts';
import { Membership, type MembershipHooks } from './membership.ts';
import { toMessage } from './message.ts';
import type { KafkaSourceOptions } from './options.ts';
import { createMissing, oldestOf, pinNewest } from './topics.ts';
import { Watermark } from './watermark.ts';

type Batch = EachBatchPayload['batch'];

const CHUNK = 256;
const CHECK_EVERY_MS = 1_000;
const BACKOFF_MS = { first: 250, most: 10_000 };
/** A partition is not read further than this beyond its first unsettled message, or the ring would grow for ever. */
const MAX_SPAN = 1 << 20;
/** Batches in a row that begin behind a message sought for its retry: after so many it is gone from the log. */
const MISSED = 5;
/** The entry of what is read back: no watermark knows it. */
const REPLAYED = -1;

export class KafkaSource implements Source {
  readonly name: string;
  readonly #options: KafkaSourceOptions;
  readonly #context: IoContext;
  readonly #group: string;
  readonly #fetchBytes: number;
  readonly #certificates: Certificates | null;
  readonly #intake: Intake;
  readonly #marks = new Map<string, Watermark>();
  readonly #commits: Commits;
  readonly #closing = new AbortController();
  #membership: Membership | null = null;
  #client: KafkaClient | null = null;
  #supervision: Promise<void> | null = null;
  #reason = 'not started';
  #wasHealthy = false;

  /** Throws CONFIG_INVALID where TLS files cannot be read. Connects with the first `read`. */
  constructor(name: string, options: KafkaSourceOptions, context: IoContext) {
    this.name = name;
    this.#options = options;
    this.#context = context;
    this.#group = options.group ?? `sluice-${context.site}`;
    this.#certificates = options.tls === false ? null : new Certificates(options.tls);
    this.#fetchBytes = Math.max(16 * 1024, Math.min(options.fetchBytes, context.maxInFlightBytes >> 2));
    boundUnpacking(this.#fetchBytes);
    this.#intake = new Intake(
      context.maxInFlight,
      Math.max(1, context.maxInFlightBytes - this.#fetchBytes),
      (mark, entry, outcome) => this.#settled(mark, entry, outcome),
    );
    this.#commits = new Commits(options.commitInterval, this.#marks, () => this.#membership);
  }

  async *read(signal: AbortSignal): AsyncIterable<readonly Delivery[]> {
    if (!this.#supervision) this.#reason = `connecting to ${this.#options.brokers.join(', ')}`;
    this.#supervision ??= this.#supervise();
    const either = AbortSignal.any([signal, this.#closing.signal]);
    const wake = () => this.#intake.wakeReader();
    either.addEventListener('abort', wake);
    try {
      for (;;) {
        const deliveries = await this.#intake.next(either);
        if (deliveries === null) return;
        yield deliveries;
      }
    } finally {
      either.removeEventListener('abort', wake);
    }
  }

  health(): Health {
    if (this.#closing.signal.aborted) return { ok: false, reason: 'closed' };
    const membership = this.#membership;
    if (!membership) return { ok: false, reason: this.#reason };
    if (membership.healthy) return { ok: true };
    if (membership.silentFor <= this.#options.sessionTimeout || !membership.joined)
      return { ok: false, reason: this.#reason };
    return { ok: false, reason: `no answer from the group for ${membership.silentFor} ms` };
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return this.#supervision ?? undefined;
    await this.#commits.flush();
    this.#closing.abort();
    this.#commits.stop();
    this.#intake.wakeWriter();
    this.#membership?.finish(new SluiceError('BROKER_UNREACHABLE', 'closed'));
    await this.#supervision;
    for (const mark of this.#marks.values()) mark.lost = true;
    this.#marks.clear();
  }

  // ------------------------------------------------------------ supervision

  /** One membership after the other until `close`. */
  async #supervise(): Promise<void> {
    const { signal } = this.#closing;
    let wait = BACKOFF_MS.first;
    while (!signal.aborted) {
      const useful = await this.#live();
      if (signal.aborted) return;
      wait = useful ? BACKOFF_MS.first : Math.min(wait * 2, BACKOFF_MS.most);
      await this.#context.clock.sleep(wait * (0.5 + Math.random() / 2), signal);
    }
  }

  /** One membership from start to end; true if it ever fetched: then the next one may come soon. */
  async #live(): Promise<boolean> {
    const { clock, telemetry, site } = this.#context;
    this.#certificates?.refresh();
    const client: KafkaClient = new KafkaClient(this.#options, site, this.#certificates, () =>
      this.#lost(client.lastError || 'the connection to the broker was lost'),
    );
    const hooks: MembershipHooks = {
      assigned: (partitions) => this.#assigned(membership, partitions),
      consuming: () => this.#connected(),
      revoking: () => void this.#commits.flush(),
      take: (payload) => this.#take(payload, membership),
    };
    const membership = new Membership(client, this.#group, this.#fetchBytes, this.#options, clock, hooks);
    this.#membership = membership;
    this.#client = client;
    const check = setInterval(() => this.#check(membership), CHECK_EVERY_MS);
    try {
      if (this.#options.createTopics) await createMissing(client.kafka, this.#options.topics);
      if (!this.#options.fromBeginning) await pinNewest(client.kafka, this.#group, this.#options.topics);
      if (!membership.over) await membership.start();
      this.#ended(await membership.ended, membership);
    } catch (error) {
      this.#ended(asSluiceError(error, 'BROKER_UNREACHABLE'), membership);
    } finally {
      clearInterval(check);
      this.#membership = null;
      this.#commits.reset();
      this.#intake.wakeWriter();
      await membership.stop();
    }
    if (membership.hasJoined && !this.#closing.signal.aborted)
      telemetry.count('source_rebuilt', { source: this.name }, 1, { reason: this.#reason });
    return membership.hasFetched;
  }

  #ended(error: SluiceError, membership: Membership): void {
    if (this.#closing.signal.aborted) return;
    this.#reason = error.message;
    if (!membership.hasFetched) this.#context.telemetry.error(error, { source: this.name });
    this.#lost(error.message);
  }

  #connected(): void {
    if (this.#wasHealthy) return;
    this.#wasHealthy = true;
    this.#context.telemetry.count('source_connected', { source: this.name });
  }

  #lost(reason: string): void {
    if (this.#closing.signal.aborted) return;
    this.#reason = reason;
    if (!this.#wasHealthy) return;
    this.#wasHealthy = false;
    this.#context.telemetry.count('source_lost', { source: this.name }, 1, { reason });
  }

  #check(membership: Membership): void {
    membership.checkAlive();
    if (membership.healthy) this.#connected();
    if (this.#certificates?.refresh()) {
      this.#context.telemetry.count('certificates_reloaded', { name: this.name });
      void this.#commits
        .flush()
        .then(() => membership.finish(new SluiceError('BROKER_UNREACHABLE', 'certificates changed')));
    }
  }

  // ------------------------------------------------------------ partitions

  /** After each join: partitions that stay go on where they were, new ones begin, the others are lost. */
  #assigned(membership: Membership, partitions: Readonly<Record<string, readonly number[]>>): void {
    const before = new Map(this.#marks);
    this.#marks.clear();
    for (const [topic, numbers] of Object.entries(partitions)) {
      for (const partition of numbers) {
        const key = `${topic}/${partition}`;
        const mark = before.get(key) ?? new Watermark(topic, partition);
        before.delete(key);
        this.#marks.set(key, mark);
        // What was committed may not have arrived: say it again.
        mark.committed = -1;
        if (mark.next >= 0) this.#seekOn(membership, mark);
      }
    }
    for (const mark of before.values()) mark.lost = true;
    this.#intake.dropLost();
    this.#intake.wakeWriter();
    this.#commits.schedule();
  }

  /** To the first message to be retried, or to what comes next. */
  #seekOn(membership: Membership, mark: Watermark): void {
    const retry = mark.firstRetry();
    this.#seek(membership, mark, retry >= 0 ? retry : mark.next);
  }

  #seek(membership: Membership, mark: Watermark, offset: number): void {
    mark.sought(offset);
    membership.seek({ topic: mark.topic, partition: mark.partition, offset: String(offset) });
    // The consumer may be waiting for room with a batch that is now out of date.
    this.#intake.wakeWriter();
  }

  /** Hands one fetched batch over, waiting for room; the heartbeat goes on meanwhile. */
  async #take(payload: EachBatchPayload, membership: Membership): Promise<void> {
    const { batch } = payload;
    // It stood in kafkajs's queue while another partition waited for room, and a retry has sought since.
    if (payload.isStale()) return;
    const mark = this.#markFor(batch, membership);
    if (!mark || (await this.#readsBack(mark, batch, membership))) return;
    const { seeks } = mark;
    const prefix = `${batch.topic}/${batch.partition}/`;
    let chunk: KafkaDelivery[] = [];
    let last = '';
    let position = mark.position;
    try {
      for (const raw of batch.messages) {
        const offset = Number(raw.offset);
        const bytes = raw.value?.length ?? 0;
        const replay = offset < mark.begin;
        if (replay || mark.wants(offset)) {
          if (chunk.length === CHUNK || !this.#roomFor(mark, bytes)) {
            this.#intake.push(mark, chunk);
            chunk = [];
            if (!(await this.#waitForRoom(mark, bytes, payload, membership))) return;
          }
          const message = toMessage(raw, this.name, batch.topic, prefix);
          chunk.push(
            replay
              ? this.#intake.charge(mark, REPLAYED, { ...message, replay })
              : this.#intake.charge(mark, mark.admit(offset), message),
          );
        }
        last = raw.offset;
        position = offset + 1;
      }
      position = Number(batch.lastOffset()) + 1;
      mark.passed(position);
    } catch (error) {
      if (!isKafkaError(error)) this.#forget(mark);
      throw error;
    } finally {
      this.#intake.push(mark, chunk);
      // Also when left early: the consumer must go on behind what was taken, not read it again.
      // After a seek it goes on there instead.
      if (last !== '' && mark.seeks === seeks) {
        payload.resolveOffset(last);
        mark.position = position;
      }
    }
  }

  /**
   * Whether a partition that has come to us is read back before its first batch, which comes again then. What cannot be read
   * back is left: windows begin anew, and nothing waits for them.
   */
  async #readsBack(mark: Watermark, { messages }: Batch, membership: Membership): Promise<boolean> {
    const { warmup = 0 } = this.#options;
    const client = this.#client;
    if (warmup === 0 || mark.next >= 0 || client === null) return false;
    const { seeks } = mark;
    const first = Number(messages[0].offset);
    // To seek what is no longer there would make kafkajs commit another position for the group.
    const oldest = await oldestOf(client.kafka, mark.topic, mark.partition).catch(() => first);
    if (mark.lost || mark.seeks !== seeks || membership.over) return true;
    mark.beginAt(first);
    const from = Math.max(oldest, first - warmup);
    if (from >= first) return false;
    this.#seek(membership, mark, from);
    return true;
  }

  /** The watermark of a batch; null where the batch must be left. */
  #markFor({ topic, partition, messages }: Batch, membership: Membership): Watermark | null {
    const mark = this.#marks.get(`${topic}/${partition}`);
    if (!mark) return null;
    const first = Number(messages[0].offset);
    const kind = mark.judge(first);
    if (kind === 'reset') return this.#restart(mark, first, membership);
    if (kind === 'stale' && !this.#isGone(mark, first)) {
      this.#seek(membership, mark, mark.position);
      return null;
    }
    mark.missed = 0;
    return mark;
  }

  /** True when what is to be retried before `first` has left the log (retention, compaction); it is given up then. */
  #isGone(mark: Watermark, first: number): boolean {
    mark.missed += 1;
    if (mark.missed < MISSED) return false;
    const where = `${mark.topic}/${mark.partition}, offsets ${mark.position} to ${first - 1}`;
    const count = mark.giveUp(first);
    const text = `${where}: ${count} messages to be retried are no longer in the log`;
    this.#context.telemetry.error(new SluiceError('BROKER_REFUSED', text), { source: this.name });
    this.#commits.schedule();
    return true;
  }

  /**
   * A batch from before what was read: the log was reset (topic made anew, data lost), or kafkajs went back. A new
   * watermark, which begins no later than the first unfinished message: that would be repeated, never skipped.
   */
  #restart(mark: Watermark, first: number, membership: Membership): Watermark | null {
    const unfinished = mark.offset;
    this.#forget(mark);
    const fresh = new Watermark(mark.topic, mark.partition);
    this.#marks.set(`${mark.topic}/${mark.partition}`, fresh);
    if (unfinished < 0 || unfinished >= first) return fresh;
    this.#seek(membership, fresh, unfinished);
    return null;
  }

  /** What was handed out of a partition is void; it is read again from the committed offset. */
  #forget(mark: Watermark): void {
    mark.lost = true;
    this.#marks.delete(`${mark.topic}/${mark.partition}`);
    this.#intake.dropLost();
  }

  #roomFor(mark: Watermark, bytes: number): boolean {
    return this.#intake.fits(bytes) && mark.span < MAX_SPAN;
  }

  /** False when the batch must be left: the partition is lost, a retry reads it again, or the source ends. */
  async #waitForRoom(
    mark: Watermark,
    bytes: number,
    payload: EachBatchPayload,
    membership: Membership,
  ): Promise<boolean> {
    const { seeks } = mark;
    const given = () =>
      membership.over ||
      mark.lost ||
      mark.seeks !== seeks ||
      payload.isStale() ||
      this.#closing.signal.aborted;
    while (!this.#roomFor(mark, bytes)) {
      if (given()) return false;
      await this.#intake.room(membership.heartbeatInterval);
      await payload.heartbeat();
    }
    return !given();
  }

  // ------------------------------------------------------------ settling

  #settled(mark: Watermark, entry: number, outcome: Outcome): void {
    if (entry === REPLAYED) return;
    if (mark.settle(entry, outcome)) this.#commits.schedule();
    if (outcome === 'retry') this.#scheduleRetry(mark);
  }

  #scheduleRetry(mark: Watermark): void {
    if (mark.retryTimer) return;
    mark.retryTimer = true;
    void this.#context.clock.sleep(mark.backOff(), this.#closing.signal).then(() => {
      mark.retryTimer = false;
      if (!mark.lost && this.#membership) this.#seekOn(this.#membership, mark);
    });
  }
}
