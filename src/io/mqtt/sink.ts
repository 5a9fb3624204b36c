/**
 * An MQTT sink: `publish` resolves when the broker has confirmed every message (PUBACK, PUBCOMP; with
 * QoS 0 when it is with the socket) and rejects when the connection is lost, the broker refuses a message,
 * or nothing is confirmed for `publishTimeout`. It never hangs and keeps nothing for later: while there
 * is no connection it rejects at once (only the very first attempt is waited for).
 *
 * At most `maxInFlight` messages, or the broker's Receive Maximum, are unconfirmed (mqtt.js does not
 * look at the latter), and at most SOCKET_BYTES wait for the socket. What a rejected batch may have sent
 * is unknown, so the caller's retry can arrive twice: at least once, for QoS 2 too.
 */
import { randomUUID } from 'node:crypto';
import type { IClientOptions, IClientPublishOptions, IConnackPacket, MqttClient } from 'mqtt';
import type { Health, IoContext, Outgoing, Sink } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { Certificates } from '../tls.ts';
import { hasReasonCode, hostOf, isForbidden, publishFailure } from './failure.ts';
import { clientIdOf } from './ids.ts';
import { Link } from './link.ts';
import type { MqttSinkOptions } from './options.ts';
import { propertiesOf } from './properties.ts';
import { Refusals } from './refusals.ts';

/** Written and not yet taken by the kernel, at most (and one message). */
const SOCKET_BYTES = 1024 * 1024;
/** Sent and not confirmed, at most (and one message): mqtt.js keeps a copy of each. */
const IN_FLIGHT_BYTES = 16 * 1024 * 1024;
/** Fixed header, topic length, packet id, properties: what a message needs besides its contents. */
const PACKET_OVERHEAD = 32;

type Announcement = NonNullable<MqttSinkOptions['birth']>;

/** One `publish` call. */
interface Job {
  readonly batch: readonly Outgoing[];
  readonly resolve: () => void;
  readonly reject: (error: SluiceError) => void;
  /** Index of the next message to send. */
  next: number;
  /** Messages confirmed. */
  confirmed: number;
}

/** What belongs to one connection; late callbacks of an older one do not touch the newer. */
interface Connection {
  readonly client: MqttClient;
  readonly url: string;
  readonly window: number;
  inFlight: number;
  inFlightBytes: number;
}

export class MqttSink implements Sink {
  readonly name: string;
  readonly #options: MqttSinkOptions;
  readonly #context: IoContext;
  readonly #clientId: string;
  readonly #link: Link;
  readonly #refusals: Refusals;
  readonly #certificates: Certificates | null = null;
  readonly #stop = new AbortController();
  /** Handed in and neither confirmed nor rejected, oldest first. */
  readonly #jobs = new Set<Job>();
  /** Those with something left to send, oldest first. */
  #unsent: Job[] = [];
  #connection: Connection | null = null;
  /** The largest packet that the broker takes. */
  #maxBytes: number;
  #progressAt = 0;
  #watching = false;
  #pumpDue = false;
  /** Calls back when nothing is in flight; set while new certificates wait for that. */
  #renewing: (() => void) | null = null;
  #closing: (() => void) | null = null;
  #closed = false;

  constructor(name: string, options: MqttSinkOptions, context: IoContext) {
    this.name = name;
    this.#options = options;
    this.#context = context;
    this.#refusals = new Refusals(context.clock);
    this.#maxBytes = options.maxMessageSize;
    this.#clientId = sinkIdOf(context.site, name, options);
    if (options.tls) this.#certificates = new Certificates(name, options.tls, context, () => this.#renew());
    this.#link = new Link(options, context.clock, {
      settings: () => this.#settings(),
      connected: (client, connack, url) => this.#connected(client, connack, url),
      lost: (reason, wasUp) => this.#lost(reason, wasUp),
    });
  }

  publish(batch: readonly Outgoing[]): Promise<void> {
    const refusal = this.#refusal(batch);
    if (refusal) return Promise.reject(refusal);
    if (batch.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const job: Job = { batch, resolve, reject, next: 0, confirmed: 0 };
      if (this.#jobs.size === 0) this.#progressAt = this.#context.clock.now();
      this.#jobs.add(job);
      this.#unsent.push(job);
      this.#pump();
      if (!this.#watching) void this.#watch();
    });
  }

  health(): Health {
    if (this.#closed) return { ok: false, reason: 'closed' };
    return this.#link.health();
  }

  /** Waits for what was handed in (it ends, one way or the other), says the will and disconnects. */
  async close(): Promise<void> {
    if (this.#closed) return;
    const { will } = this.#options;
    const said = will && this.#connection ? this.publish([{ ...will, key: null }]) : Promise.resolve();
    this.#closed = true;
    await said.catch(() => {});
    if (this.#jobs.size > 0)
      await new Promise<void>((resolve) => {
        this.#closing = resolve;
      });
    this.#stop.abort();
    this.#certificates?.close();
    await this.#link.close();
  }

  // ------------------------------------------------------------ connection

  #settings(): IClientOptions {
    const { will } = this.#options;
    return {
      ...this.#certificates?.current,
      clientId: this.#clientId,
      clean: true,
      ...(will && {
        will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: will.retain },
      }),
    };
  }

  async #connected(client: MqttClient, connack: IConnackPacket, url: string): Promise<void> {
    const { birth, maxInFlight, maxMessageSize } = this.#options;
    const { receiveMaximum = 65_535, maximumPacketSize = maxMessageSize } = connack.properties ?? {};
    if (birth && !this.#refusals.of(birth.topic)) await this.#announce(client, birth, url);
    this.#maxBytes = Math.min(maxMessageSize, maximumPacketSize);
    const window = Math.min(maxInFlight, receiveMaximum);
    this.#connection = { client, url, window, inFlight: 0, inFlightBytes: 0 };
    client.stream.on('drain', () => this.#pump());
    this.#progressAt = this.#context.clock.now();
    this.#context.telemetry.count('sink_connected', { sink: this.name }, 1, { broker: hostOf(url) });
    this.#pump();
  }

  /** A broker that refuses this one topic may well take the others. */
  async #announce(client: MqttClient, birth: Announcement, url: string): Promise<void> {
    try {
      await client.publishAsync(birth.topic, birth.payload, { qos: 1, retain: birth.retain });
    } catch (error) {
      if (!(error instanceof Error) || !hasReasonCode(error)) throw error;
      this.#context.telemetry.error(this.#failure(error, birth.topic, url), { sink: this.name });
    }
  }

  #lost(reason: SluiceError, wasUp: boolean): void {
    const planned = this.#renewing !== null;
    this.#connection = null;
    this.#renewing?.();
    this.#renewing = null;
    for (const job of [...this.#jobs]) if (!planned || job.next > job.confirmed) this.#finish(job, reason);
    if (wasUp && !planned && !this.#closed)
      this.#context.telemetry.count('sink_lost', { sink: this.name }, 1, { reason: reason.message });
  }

  /** Connects anew, after what was sent has been confirmed; what is handed in meanwhile waits. */
  async #renew(): Promise<void> {
    if (this.#renewing || !this.#connection) return;
    const quiet = new Promise<void>((resolve) => {
      this.#renewing = resolve;
    });
    if (this.#connection.inFlight > 0) await quiet; // the watch ends it where the broker does not answer
    await this.#link.renew();
  }

  // ------------------------------------------------------------ publishing

  /** Why these messages cannot even be tried; null where they can. */
  #refusal(batch: readonly Outgoing[]): SluiceError | null {
    if (this.#closed) return new SluiceError('PUBLISH_FAILED', `the sink ${this.name} is closed`);
    for (const message of batch) {
      const forbidden = this.#refusals.of(message.topic);
      if (forbidden) return forbidden;
      const bytes = sizeOf(message);
      if (bytes > this.#maxBytes) {
        const text = `${message.topic}: ${bytes} bytes, the limit is ${this.#maxBytes}`;
        return new SluiceError('MESSAGE_TOO_LARGE', text);
      }
    }
    return this.#connection || this.#renewing ? null : this.#link.failure;
  }

  /** Sends as much as window and socket take. Called whenever one of them may have opened. */
  #pump(): void {
    const connection = this.#connection;
    if (!connection || this.#renewing) return;
    const { stream } = connection.client;
    while (this.#unsent.length > 0) {
      const job = this.#unsent[0];
      while (job.next < job.batch.length) {
        const full = connection.inFlight >= connection.window || connection.inFlightBytes > IN_FLIGHT_BYTES;
        if (full || stream.writableLength > SOCKET_BYTES) return;
        this.#send(connection, job, job.batch[job.next++]);
      }
      if (this.#unsent[0] === job) this.#unsent.shift();
    }
  }

  #send(connection: Connection, job: Job, message: Outgoing): void {
    const { client, url } = connection;
    const { topic, payload, retain = false, headers } = message;
    const { version } = this.#options;
    const qos = message.qos ?? this.#options.qos;
    const bytes = typeof payload === 'string' ? payload : asBuffer(payload);
    const options: IClientPublishOptions = { qos, retain };
    if (headers && version === 5) options.properties = propertiesOf(headers);
    if (qos === 0) {
      client.publish(topic, bytes, options);
      this.#confirmed(job, null);
      return;
    }
    connection.inFlight += 1;
    connection.inFlightBytes += bytes.length;
    client.publish(topic, bytes, options, (error) => {
      // Only the broker gives a reason code; any other error is the end of the connection, which `lost` settles.
      if (connection !== this.#connection || (error && !hasReasonCode(error))) return;
      connection.inFlight -= 1;
      connection.inFlightBytes -= bytes.length;
      this.#confirmed(job, error ? this.#failure(error, topic, url) : null);
    });
  }

  #failure(error: Error, topic: string, url: string): SluiceError {
    const failure = publishFailure(error, topic, url);
    if (isForbidden(error)) this.#refusals.note(topic, failure);
    return failure;
  }

  #confirmed(job: Job, error: SluiceError | null): void {
    job.confirmed += 1;
    this.#progressAt = this.#context.clock.now();
    if (error || job.confirmed === job.batch.length) this.#finish(job, error);
    if (this.#connection?.inFlight === 0) this.#renewing?.();
    if (this.#pumpDue || this.#unsent.length === 0) return;
    this.#pumpDue = true;
    queueMicrotask(() => {
      this.#pumpDue = false;
      this.#pump();
    });
  }

  /** Settles a batch, once; what it has not sent is dropped. */
  #finish(job: Job, error: SluiceError | null): void {
    if (!this.#jobs.delete(job)) return;
    if (error) {
      this.#unsent = this.#unsent.filter((other) => other !== job);
      job.reject(error);
    } else job.resolve();
    if (this.#jobs.size === 0) this.#closing?.();
  }

  /** Gives the connection up when there is something to confirm and nothing has been for too long. */
  async #watch(): Promise<void> {
    const { clock } = this.#context;
    const { publishTimeout } = this.#options;
    this.#watching = true;
    while (this.#jobs.size > 0) {
      await clock.sleep(Math.max(10, publishTimeout / 8), this.#stop.signal);
      if (this.#jobs.size === 0 || clock.now() - this.#progressAt < publishTimeout) continue;
      const reason = new SluiceError('PUBLISH_FAILED', `nothing confirmed for ${publishTimeout} ms`);
      this.#link.drop(reason);
      for (const job of [...this.#jobs]) this.#finish(job, reason);
    }
    this.#watching = false;
  }
}

/** With a will it must be stable: the broker then ends the dead predecessor, whose will comes first. */
function sinkIdOf(site: string, name: string, { session, will }: MqttSinkOptions): string {
  const id = clientIdOf(site, name, session);
  return session !== undefined || will ? id : `${id}-${randomUUID().slice(0, 8)}`;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** At least the length of the packet. */
function sizeOf({ topic, payload, headers }: Outgoing): number {
  let bytes = PACKET_OVERHEAD + Buffer.byteLength(topic);
  bytes += typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length;
  for (const name in headers) bytes += 5 + Buffer.byteLength(name) + Buffer.byteLength(headers[name]);
  return bytes;
}
