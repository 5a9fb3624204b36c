/**
 * One life of a kafkajs consumer in its group, from connecting to its end. Promises that every end is seen:
 * a crash, a fetch loop that fell silent, a handler that failed. kafkajs restarts nothing by itself here (of its
 * restarts some never come), the source starts a new life instead. kafkajs itself leaves the group by silence only,
 * so `stop` is always called.
 */
import type { Consumer, EachBatchPayload } from 'kafkajs';
import type { Clock } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { fromKafka, isKafkaError, type KafkaClient } from './client.ts';
import type { KafkaSourceOptions } from './options.ts';

const STOP_WITHIN_MS = 3_000;
/** kafkajs's own retries outlast a broker restart, so that the member id survives it. */
const RETRIES = 12;

export interface MembershipHooks {
  /** The first fetch after joining came back. */
  consuming(): void;
  /** The partitions this member owns now, by topic. */
  assigned(partitions: Readonly<Record<string, readonly number[]>>): void;
  /** The group is about to share out anew: commit now or never. */
  revoking(): void;
  /** One fetched batch, in order. Resolves when it is taken over, or early when it must not be. */
  take(payload: EachBatchPayload): Promise<void>;
}

export interface CommitOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
}

export class Membership {
  readonly #client: KafkaClient;
  readonly #clock: Clock;
  readonly #options: KafkaSourceOptions;
  readonly #consumer: Consumer;
  readonly #hooks: MembershipHooks;
  #end: (reason: SluiceError) => void = () => undefined;
  /** Resolves, once, with the reason this life is over. */
  readonly ended: Promise<SluiceError>;
  #joined = false;
  #hasFetched = false;
  #hasJoined = false;
  #over = false;
  #aliveAt: number;

  constructor(
    client: KafkaClient,
    group: string,
    fetchBytes: number,
    options: KafkaSourceOptions,
    clock: Clock,
    hooks: MembershipHooks,
  ) {
    this.#client = client;
    this.#clock = clock;
    this.#options = options;
    this.#hooks = hooks;
    this.#aliveAt = clock.now();
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#consumer = client.kafka.consumer({
      groupId: group,
      sessionTimeout: options.sessionTimeout,
      rebalanceTimeout: options.rebalanceTimeout,
      heartbeatInterval: this.heartbeatInterval,
      maxWaitTimeInMs: options.fetchWait,
      maxBytes: fetchBytes,
      // An eighth each, or the first partition's backlog would starve the others.
      maxBytesPerPartition: Math.max(16 * 1024, Math.floor(fetchBytes / 8)),
      allowAutoTopicCreation: options.createTopics,
      retry: { retries: RETRIES, restartOnFailure: async () => false },
    });
    this.#listen();
  }

  get heartbeatInterval(): number {
    return Math.max(200, Math.floor(this.#options.sessionTimeout / 5));
  }

  /** Joined, fetching, connected, and the group heard of us within its session timeout. */
  get healthy(): boolean {
    return (
      this.#joined &&
      this.#hasFetched &&
      this.#client.connected &&
      this.silentFor <= this.#options.sessionTimeout
    );
  }

  get hasJoined(): boolean {
    return this.#hasJoined;
  }

  get hasFetched(): boolean {
    return this.#hasFetched;
  }

  /** A member of the group, as far as is known: commits make sense. */
  get joined(): boolean {
    return this.#joined;
  }

  /** Milliseconds since the broker last answered a heartbeat, a join or a fetch with data. */
  get silentFor(): number {
    return this.#clock.now() - this.#aliveAt;
  }

  /** Connects and begins. Throws SluiceError; call `stop` all the same. */
  async start(): Promise<void> {
    try {
      await this.#consumer.connect();
      await this.#consumer.subscribe({ topics: [...this.#options.topics], fromBeginning: true });
      await this.#consumer.run({
        autoCommit: false,
        // Or a batch left half taken would count as read.
        eachBatchAutoResolve: false,
        eachBatch: (payload) => this.#batch(payload),
      });
    } catch (error) {
      throw fromKafka(error, 'BROKER_UNREACHABLE');
    }
  }

  commit(offsets: CommitOffset[]): Promise<void> {
    return this.#consumer.commitOffsets(offsets);
  }

  /** False where the consumer is not running; the next join seeks anyway. */
  seek(offset: CommitOffset): boolean {
    try {
      this.#consumer.seek(offset);
      return true;
    } catch {
      return false;
    }
  }

  /** Ends this life if it has been silent for too long. */
  checkAlive(): void {
    const { sessionTimeout, rebalanceTimeout, requestTimeout } = this.#options;
    const limit = this.#joined
      ? Math.max(3 * sessionTimeout, sessionTimeout + requestTimeout)
      : rebalanceTimeout + sessionTimeout + requestTimeout;
    if (this.silentFor > limit)
      this.#finish(new SluiceError('BROKER_UNREACHABLE', `the consumer was silent for ${this.silentFor} ms`));
  }

  /** Ends this life for a reason of the source's. */
  finish(reason: SluiceError): void {
    this.#finish(reason);
  }

  /** Leaves the group, in bounded time. */
  async stop(): Promise<void> {
    this.#finish(new SluiceError('BROKER_UNREACHABLE', 'stopped'));
    await this.#client.within(STOP_WITHIN_MS, this.#consumer.disconnect());
  }

  get over(): boolean {
    return this.#over;
  }

  #listen(): void {
    const { events } = this.#consumer;
    const alive = () => {
      this.#aliveAt = this.#clock.now();
    };
    this.#consumer.on(events.HEARTBEAT, alive);
    this.#consumer.on(events.START_BATCH_PROCESS, alive);
    this.#consumer.on(events.COMMIT_OFFSETS, alive);
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) => {
      alive();
      this.#joined = true;
      this.#hasJoined = true;
      this.#hooks.assigned(payload.memberAssignment);
    });
    this.#consumer.on(events.FETCH, () => {
      if (this.#hasFetched || !this.#joined) return;
      this.#hasFetched = true;
      this.#hooks.consuming();
    });
    // Not awaited by kafkajs, but the commit is on its way before the request to join is.
    this.#consumer.on(events.REBALANCING, () => this.#hooks.revoking());
    this.#consumer.on(events.CRASH, ({ payload }) => {
      const topics = this.#options.topics.join(', ');
      const error = fromKafka(payload.error, 'BROKER_UNREACHABLE');
      this.#finish(new SluiceError(error.code, `${error.message} (reading ${topics})`, { cause: error }));
    });
  }

  async #batch(payload: EachBatchPayload): Promise<void> {
    if (this.#over) return;
    try {
      await this.#hooks.take(payload);
    } catch (error) {
      // Anything but its own errors would stop kafkajs's loop for ever.
      if (isKafkaError(error)) throw error;
      this.#finish(fromKafka(error, 'INTERNAL'));
    }
  }

  #finish(reason: SluiceError): void {
    this.#over = true;
    this.#joined = false;
    this.#end(reason);
  }
}
