/**
 * Reads Kafka topics in a consumer group. Promises: deliveries in offset order per partition; only the contiguous
 * settled offset of each partition is ever committed; while work takes long the membership is kept; what is held is
 * bounded; a consumer that died or fell silent is replaced. A settle for a partition that has gone to another member
 * is ignored: that member delivers the message again.
 *
 * Positions survive a rebalance and a new consumer: a partition that stays ours goes on where it was, without
 * repeating what is in flight. That repeats messages at worst (if another member had it in between), and never skips one.
 */
import type { EachBatchPayload, IHeaders, KafkaMessage } from 'kafkajs';
import type { Delivery, Health, IoContext, Message, Outcome, Source } from '../../contract.ts';
import { asSluiceError, SluiceError } from '../../errors.ts';
import { Certificates } from './certificates.ts';
import { isKafkaError, KafkaClient } from './client.ts';
import { Intake, type KafkaDelivery } from './intake.ts';
import { type CommitOffset, Membership, type MembershipHooks } from './membership.ts';
import type { KafkaSourceOptions } from './options.ts';
import { createMissing, pinNewest } from './topics.ts';
import { Watermark } from './watermark.ts';

const CHUNK = 256;
const CHECK_EVERY_MS = 1_000;
const BACKOFF_MS = { first: 250, most: 10_000 };
const FLUSH_WITHIN_MS = 3_000;
/** A partition is not read further than this beyond its first unsettled message, or the ring would grow for ever. */
const MAX_SPAN = 1 << 20;
const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));

export class KafkaSource implements Source {
  readonly name: string;
  readonly #options: KafkaSourceOptions;
  readonly #context: IoContext;
  readonly #group: string;
  readonly #fetchBytes: number;
  readonly #certificates: Certificates | null;
  readonly #intake: Intake;
  readonly #marks = new Map<string, Watermark>();
  readonly #closing = new AbortController();
  #membership: Membership | null = null;
  #supervision: Promise<void> | null = null;
  #reason = 'not started';
  #wasHealthy = false;
  #commitTimer: NodeJS.Timeout | null = null;
  #committing: Promise<void> | null = null;

  /** Throws CONFIG_INVALID where TLS files cannot be read. Connects with the first `read`. */
  constructor(name: string, options: KafkaSourceOptions, context: IoContext) {
    this.name = name;
    this.#options = options;
    this.#context = context;
    this.#group = options.group ?? `sluice-${context.site}`;
    this.#certificates = options.tls === false ? null : new Certificates(options.tls);
    this.#fetchBytes = Math.max(16 * 1024, Math.min(options.fetchBytes, context.maxInFlightBytes >> 2));
    this.#intake = new Intake(
      context.maxInFlight,
      Math.max(1, context.maxInFlightBytes - this.#fetchBytes),
      (mark, entry, outcome) => this.#settled(mark, entry, outcome),
    );
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
    await this.#flush(FLUSH_WITHIN_MS);
    this.#closing.abort();
    if (this.#commitTimer) clearTimeout(this.#commitTimer);
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
      revoking: () => void this.#flush(FLUSH_WITHIN_MS),
      take: (payload) => this.#take(payload, membership),
    };
    const membership = new Membership(client, this.#group, this.#fetchBytes, this.#options, clock, hooks);
    this.#membership = membership;
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
      this.#committing = null;
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
      void this.#flush(FLUSH_WITHIN_MS).then(() =>
        membership.finish(new SluiceError('BROKER_UNREACHABLE', 'certificates changed')),
      );
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
        if (mark.next >= 0) this.#seek(membership, mark);
      }
    }
    for (const mark of before.values()) mark.lost = true;
    this.#intake.dropLost();
    this.#intake.wakeWriter();
    this.#scheduleCommit();
  }

  #seek(membership: Membership, mark: Watermark): void {
    const retry = mark.firstRetry();
    mark.rereading = retry >= 0;
    const offset = String(retry >= 0 ? retry : mark.next);
    membership.seek({ topic: mark.topic, partition: mark.partition, offset });
    // The consumer may be waiting for room with a batch that is now out of date.
    this.#intake.wakeWriter();
  }

  /** Hands one fetched batch over, waiting for room; the heartbeat goes on meanwhile. */
  async #take(payload: EachBatchPayload, membership: Membership): Promise<void> {
    const { batch } = payload;
    const mark = this.#markFor(batch);
    if (!mark) return;
    const prefix = `${batch.topic}/${batch.partition}/`;
    let chunk: KafkaDelivery[] = [];
    let last = '';
    try {
      for (const raw of batch.messages) {
        const offset = Number(raw.offset);
        const bytes = raw.value?.length ?? 0;
        if (mark.wants(offset)) {
          if (chunk.length === CHUNK || !this.#roomFor(mark, bytes)) {
            this.#intake.push(mark, chunk);
            chunk = [];
            if (!(await this.#waitForRoom(mark, bytes, payload, membership))) return;
          }
          const message = this.#message(raw, batch.topic, prefix);
          chunk.push(this.#intake.charge(mark, mark.admit(offset), message));
        }
        last = raw.offset;
      }
      mark.passed(Number(batch.lastOffset()) + 1);
    } catch (error) {
      if (!isKafkaError(error)) this.#forget(mark);
      throw error;
    } finally {
      this.#intake.push(mark, chunk);
      // Also when left early: the consumer must go on behind what was taken, not read it again.
      if (last !== '') payload.resolveOffset(last);
    }
  }

  /** The watermark of a batch; a new one where the log was reset below what we had read (topic made anew, data lost). */
  #markFor(batch: EachBatchPayload['batch']): Watermark | null {
    const key = `${batch.topic}/${batch.partition}`;
    const mark = this.#marks.get(key);
    if (!mark) return null;
    const first = Number(batch.messages[0].offset);
    if (first >= mark.next || mark.rereading) return mark;
    this.#forget(mark);
    const fresh = new Watermark(batch.topic, batch.partition);
    this.#marks.set(key, fresh);
    return fresh;
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
    const given = () => membership.over || mark.lost || payload.isStale() || this.#closing.signal.aborted;
    while (!this.#roomFor(mark, bytes)) {
      if (given()) return false;
      await this.#intake.room(membership.heartbeatInterval);
      await payload.heartbeat();
    }
    return !given();
  }

  #message(raw: KafkaMessage, topic: string, prefix: string): Message {
    return {
      source: this.name,
      topic,
      key: raw.key ? raw.key.toString('utf8') : null,
      // A copy: the slice would keep the whole fetched block alive for as long as one message of it is unsettled.
      payload: raw.value ? Buffer.from(raw.value) : new Uint8Array(0),
      headers: readHeaders(raw.headers),
      at: Number(raw.timestamp),
      position: prefix + raw.offset,
    };
  }

  // ------------------------------------------------------------ settling

  #settled(mark: Watermark, entry: number, outcome: Outcome): void {
    if (mark.settle(entry, outcome)) this.#scheduleCommit();
    if (outcome === 'retry') this.#scheduleRetry(mark);
  }

  #scheduleRetry(mark: Watermark): void {
    if (mark.retryTimer) return;
    mark.retryTimer = true;
    void this.#context.clock.sleep(mark.backOff(), this.#closing.signal).then(() => {
      mark.retryTimer = false;
      if (!mark.lost && this.#membership) this.#seek(this.#membership, mark);
    });
  }

  #scheduleCommit(): void {
    if (this.#commitTimer || this.#closing.signal.aborted) return;
    this.#commitTimer = setTimeout(() => {
      this.#commitTimer = null;
      void this.#flush(FLUSH_WITHIN_MS);
    }, this.#options.commitInterval);
  }

  /** Commits what is settled. Never rejects: what could not be committed is committed with the next. */
  async #flush(withinMs: number): Promise<void> {
    const membership = this.#membership;
    if (!membership?.joined) return;
    const earlier = this.#committing;
    if (earlier) {
      await bounded(earlier, withinMs);
      if (this.#committing === earlier) return this.#scheduleCommit();
    }
    const due = [...this.#marks.values()].filter((mark) => mark.offset > mark.committed);
    if (due.length === 0) return;
    const offsets = due.map((mark) => mark.offset);
    const commit = membership
      .commit(
        due.map(
          (mark, i): CommitOffset => ({
            topic: mark.topic,
            partition: mark.partition,
            offset: String(offsets[i]),
          }),
        ),
      )
      .then(
        () => {
          for (const [i, mark] of due.entries()) mark.committed = Math.max(mark.committed, offsets[i]);
        },
        () => this.#scheduleCommit(),
      )
      .finally(() => {
        if (this.#committing === commit) this.#committing = null;
      });
    this.#committing = commit;
    await bounded(commit, withinMs);
  }
}

async function bounded(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    work,
    new Promise((resolve) => {
      timer = setTimeout(resolve, ms);
    }),
  ]);
  clearTimeout(timer);
}

/** Names in lower case; of a repeated header the last; no prototype, so that no name can be special. */
function readHeaders(raw: IHeaders | undefined): Readonly<Record<string, string>> {
  let headers: Record<string, string> | null = null;
  for (const name in raw) {
    const value = raw[name];
    const last = Array.isArray(value) ? value[value.length - 1] : value;
    if (last === undefined || last === null) continue;
    headers ??= Object.create(null) as Record<string, string>;
    headers[name.toLowerCase()] = typeof last === 'string' ? last : last.toString('utf8');
  }
  return headers ?? NO_HEADERS;
}
