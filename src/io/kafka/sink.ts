/**
 * Publishes to Kafka with an idempotent producer (acks=all). A publish resolves when the broker has every message of
 * it, and rejects in bounded time with a SluiceError.
 *
 * kafkajs keeps its idempotence only while nothing fails: after a failed send it gives the same sequence numbers to
 * whatever is sent next, and the broker then drops new messages as duplicates of old ones; it chooses another
 * partition for a message without key on each retry; and when a leader moves between retries it can resolve without
 * having sent a partition. So here one request is under way at a time, a message keeps the partition first
 * chosen, every answer is checked for completeness, and a producer that failed once is never used again.
 */
import type { Producer, ProducerBatch } from 'kafkajs';
import type { Health, IoContext, Outgoing, Sink } from '../../contract.ts';
import { type ErrorCode, SluiceError } from '../../errors.ts';
import { Certificates } from './certificates.ts';
import { fromKafka, fromPublish, KafkaClient } from './client.ts';
import { compressions } from './compression.ts';
import type { KafkaSinkOptions } from './options.ts';
import {
  assertConfirmed,
  groupByTopic,
  type Prepared,
  pinningPartitioner,
  prepare,
  REQUEST_MESSAGES,
  requestEnd,
  tooLarge,
} from './requests.ts';
import { createMissing } from './topics.ts';

const BACKOFF_MS = { first: 100, most: 10_000 };
const CHECK_EVERY_MS = 5_000;
const DISCONNECT_WITHIN_MS = 2_000;

interface Pending {
  readonly messages: readonly Prepared[];
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: SluiceError) => void;
}

interface Live {
  readonly client: KafkaClient;
  readonly producer: Producer;
}

export class KafkaSink implements Sink {
  readonly name: string;
  readonly #options: KafkaSinkOptions;
  readonly #context: IoContext;
  readonly #certificates: Certificates | null;
  readonly #closing = new AbortController();
  readonly #known = new Set<string>();
  readonly #check: NodeJS.Timeout;
  #queue: Pending[] = [];
  #draining: Promise<void> | null = null;
  #live: Live | null = null;
  /** The newest client, connected or not. */
  #client: KafkaClient | null = null;
  #opening: Promise<Live> | null = null;
  #keeping: Promise<void> | null = null;
  #reason = 'connecting';
  #up = false;

  /** Throws CONFIG_INVALID where TLS files cannot be read. Connects at once, in the background. */
  constructor(name: string, options: KafkaSinkOptions, context: IoContext) {
    this.name = name;
    this.#options = options;
    this.#context = context;
    this.#certificates = options.tls === false ? null : new Certificates(options.tls);
    this.#check = setInterval(() => this.#renewCertificates(), CHECK_EVERY_MS).unref();
    this.#keep();
  }

  publish(batch: readonly Outgoing[]): Promise<void> {
    if (this.#closing.signal.aborted)
      return Promise.reject(new SluiceError('PUBLISH_FAILED', `${this.name} is closed`));
    if (batch.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const messages = batch.map(prepare);
      const large = messages.find(({ bytes }) => bytes > this.#options.maxMessageBytes);
      if (large) return reject(tooLarge(large, this.#options.maxMessageBytes));
      const deadline = this.#context.clock.now() + this.#options.publishTimeout;
      this.#queue.push({ messages, deadline, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  health(): Health {
    if (this.#closing.signal.aborted) return { ok: false, reason: 'closed' };
    if (this.#live?.client.connected) return { ok: true };
    return { ok: false, reason: this.#why };
  }

  /** The last thing that went wrong; kafkajs tells its log long before it gives up. */
  get #why(): string {
    return this.#client?.lastError || this.#reason;
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    clearInterval(this.#check);
    await this.#draining;
    await this.#keeping;
    await this.#discard();
  }

  // ------------------------------------------------------------ sending

  /** One group after the other; what waits meanwhile goes together. */
  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      const error = await this.#attempt(group);
      if (!error) for (const pending of group) pending.resolve();
      else if (group.length === 1 || error.retry) for (const pending of group) pending.reject(error);
      // One refused message must not fail the publishes that happened to go with it.
      else
        for (const pending of group) {
          const own = await this.#attempt([pending]);
          if (own) pending.reject(own);
          else pending.resolve();
        }
    }
    this.#draining = null;
  }

  #takeGroup(): Pending[] {
    let messages = 0;
    let n = 0;
    while (
      n < this.#queue.length &&
      (n === 0 || messages + this.#queue[n].messages.length <= REQUEST_MESSAGES)
    )
      messages += this.#queue[n++].messages.length;
    return this.#queue.splice(0, n);
  }

  /** null when the broker has it all. */
  async #attempt(group: readonly Pending[]): Promise<SluiceError | null> {
    const deadline = Math.min(...group.map((pending) => pending.deadline));
    const messages = group.flatMap((pending) => pending.messages);
    try {
      for (let from = 0; from < messages.length; ) {
        const to = requestEnd(messages, from);
        await this.#request(messages.slice(from, to), deadline);
        from = to;
      }
      return null;
    } catch (error) {
      return fromPublish(error);
    }
  }

  /** Sends one request, again and again until the deadline where that can help. */
  async #request(messages: readonly Prepared[], deadline: number): Promise<void> {
    for (let wait = BACKOFF_MS.first; ; wait = Math.min(wait * 2, BACKOFF_MS.most)) {
      const error = await this.#once(messages, deadline);
      if (!error) return;
      this.#reason = error.message;
      if (error.code === 'MESSAGE_TOO_LARGE' && messages.length > 1) {
        // Together they may exceed the batch limit of their topic; alone they may not.
        const half = messages.length >> 1;
        await this.#request(messages.slice(0, half), deadline);
        return this.#request(messages.slice(half), deadline);
      }
      const pause = jitter(wait);
      if (!error.retry || this.#context.clock.now() + pause >= deadline) throw error;
      await this.#context.clock.sleep(pause, this.#closing.signal);
      if (this.#closing.signal.aborted) throw error;
    }
  }

  /** One try. A failed producer is thrown away: see above. */
  async #once(messages: readonly Prepared[], deadline: number): Promise<SluiceError | null> {
    try {
      const live = await this.#before(deadline, this.#open(), 'BROKER_UNREACHABLE');
      await this.#before(deadline, this.#send(live, messages), 'PUBLISH_FAILED');
      return null;
    } catch (error) {
      // Not awaited: what comes next must not wait for a broker that does not answer.
      void this.#discard();
      this.#keep();
      this.#known.clear();
      return fromPublish(error);
    }
  }

  async #send({ client, producer }: Live, messages: readonly Prepared[]): Promise<void> {
    const byTopic = groupByTopic(messages);
    const unknown = [...byTopic.keys()].filter((topic) => !this.#known.has(topic));
    if (unknown.length > 0) {
      if (this.#options.createTopics) await createMissing(client.kafka, unknown);
      for (const topic of unknown) this.#known.add(topic);
    }
    const batch: ProducerBatch = {
      acks: -1,
      timeout: this.#options.requestTimeout,
      compression: compressions[this.#options.compression],
      topicMessages: [...byTopic].map(([topic, list]) => ({ topic, messages: list })),
    };
    assertConfirmed(byTopic, await producer.sendBatch(batch));
  }

  async #before<T>(deadline: number, work: Promise<T>, code: ErrorCode): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const left = Math.max(0, deadline - this.#context.clock.now());
      timer = setTimeout(() => reject(new SluiceError(code, `not confirmed in time: ${this.#why}`)), left);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
      // The loser of the race may still fail; that is known already.
      work.catch(() => undefined);
    }
  }

  // ------------------------------------------------------------ connection

  /** The live producer, or a new one. Attempts made at the same time are one. */
  #open(): Promise<Live> {
    if (this.#live?.client.connected) return Promise.resolve(this.#live);
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #connect(): Promise<Live> {
    await this.#discard();
    this.#certificates?.refresh();
    const client = new KafkaClient(this.#options, this.#context.site, this.#certificates, () =>
      this.#lost(client),
    );
    this.#client = client;
    const producer = client.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: this.#options.createTopics,
      createPartitioner: pinningPartitioner,
    });
    try {
      await producer.connect();
    } catch (error) {
      void client.within(DISCONNECT_WITHIN_MS, producer.disconnect());
      throw fromKafka(error, 'BROKER_UNREACHABLE');
    }
    this.#live = { client, producer };
    if (!this.#up) this.#context.telemetry.count('sink_connected', { sink: this.name });
    this.#up = true;
    return this.#live;
  }

  /** Ends the live producer; the next `#open` makes a new one. */
  async #discard(): Promise<void> {
    const live = this.#live;
    this.#live = null;
    if (live) await live.client.within(DISCONNECT_WITHIN_MS, live.producer.disconnect());
  }

  #lost(client: KafkaClient): void {
    if (this.#live?.client !== client) return;
    this.#reason = client.lastError || 'the connection to the broker was lost';
    this.#keep();
  }

  /** Connects again until it succeeds, so that the sink is healthy before anyone publishes. */
  #keep(): void {
    if (this.#closing.signal.aborted) return;
    this.#keeping ??= this.#reconnect().finally(() => {
      this.#keeping = null;
    });
  }

  async #reconnect(): Promise<void> {
    const { clock, telemetry } = this.#context;
    for (
      let wait = BACKOFF_MS.first;
      !this.#closing.signal.aborted;
      wait = Math.min(wait * 2, BACKOFF_MS.most)
    ) {
      try {
        await this.#open();
        return;
      } catch (thrown) {
        const error = fromKafka(thrown, 'BROKER_UNREACHABLE');
        this.#reason = error.message;
        if (this.#up) telemetry.count('sink_lost', { sink: this.name }, 1, { reason: error.message });
        else telemetry.error(error, { sink: this.name });
        this.#up = false;
        await clock.sleep(jitter(wait), this.#closing.signal);
      }
    }
  }

  #renewCertificates(): void {
    if (!this.#certificates?.refresh()) return;
    this.#context.telemetry.count('certificates_reloaded', { name: this.name });
    const draining = this.#draining ?? Promise.resolve();
    void draining.then(() => this.#discard()).then(() => this.#keep());
  }
}

const jitter = (ms: number): number => ms * (0.5 + Math.random() / 2);
