/**
 * An MQTT source that acknowledges last: the PUBACK of a message is held back until `settle('done')`,
 * so a process that is killed loses nothing; the broker delivers again into the same session.
 *
 * It holds at most `maxInFlight` messages and `maxInFlightBytes` of payload (one larger message passes
 * alone). MQTT 5 brokers are told by Receive Maximum; where that does not hold (3.1.1, QoS 0, bytes)
 * mqtt.js is kept waiting for its callback, which stops the reader and with it, through TCP, the broker.
 *
 * `settle('retry')` hands the message out again after a while, its PUBACK still held back. A message that
 * is unsettled when the connection ends is the broker's again: its later settling only frees memory.
 */
import type { IClientOptions, IConnackPacket, IPublishPacket, MqttClient } from 'mqtt';
import type { Delivery, Health, IoContext, Message, Outcome, Source } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { Certificates } from '../tls.ts';
import { HeldAcks } from './acks.ts';
import { Credit } from './credit.ts';
import { MqttDelivery } from './delivery.ts';
import { connectionFailure, hostOf } from './failure.ts';
import { clientIdOf } from './ids.ts';
import { Link } from './link.ts';
import type { MqttSourceOptions } from './options.ts';
import { headersOf } from './properties.ts';

/** Deliveries in one array, at most. */
const MAX_BATCH = 1_024;
const MAX_RETRY_MS = 30_000;
/** How long a planned reconnect waits for the work in hand. */
const QUIET_MS = 5_000;
/** Topics that a broker may abbreviate for us (MQTT 5, 3.3.2.3.4). */
const TOPIC_ALIASES = 64;
/** Makes mqtt.js go on without a PUBACK; it only looks whether there is an error. */
const HELD = new Error('held');

/** A message that came when the credit was spent, and the callback that lets the reader go on. */
interface Waiting {
  readonly topic: string;
  readonly packet: IPublishPacket;
  readonly acks: HeldAcks;
  readonly next: () => void;
}

export class MqttSource implements Source {
  readonly name: string;
  readonly #options: MqttSourceOptions;
  readonly #context: IoContext;
  readonly #clientId: string;
  readonly #credit: Credit;
  readonly #link: Link;
  readonly #certificates: Certificates | null = null;
  readonly #stop = new AbortController();
  readonly #onSettled = (delivery: MqttDelivery, outcome: Outcome) => this.#settle(delivery, outcome);
  #queue: MqttDelivery[] = [];
  #retries: { readonly delivery: MqttDelivery; readonly due: number }[] = [];
  #waiting: Waiting | null = null;
  #acks: HeldAcks | null = null;
  #client: MqttClient | null = null;
  #wake: (() => void) | null = null;
  #pings: NodeJS.Timeout | null = null;
  #renewing: (() => void) | null = null;
  #subscribed = false;

  constructor(name: string, options: MqttSourceOptions, context: IoContext) {
    this.name = name;
    this.#options = options;
    this.#context = context;
    this.#clientId = clientIdOf(context.site, name, options.session);
    this.#credit = new Credit(context.maxInFlight, context.maxInFlightBytes);
    if (options.tls) this.#certificates = new Certificates(name, options.tls, context, () => this.#renew());
    this.#link = new Link(options, context.clock, {
      settings: () => this.#settings(),
      opened: (client) => this.#opened(client),
      connected: (client, connack, url) => this.#connected(client, connack, url),
      lost: (reason, wasUp) => this.#lost(reason, wasUp),
    });
  }

  async *read(signal: AbortSignal): AsyncIterable<readonly Delivery[]> {
    const wake = () => this.#wake?.();
    const ended = () => signal.aborted || this.#stop.signal.aborted;
    signal.addEventListener('abort', wake);
    try {
      while (!ended()) {
        const batch = this.#take();
        if (batch.length > 0) yield batch;
        else
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  health(): Health {
    if (this.#stop.signal.aborted) return { ok: false, reason: 'closed' };
    return this.#link.health();
  }

  /** Sends the PUBACKs that are due and disconnects; the broker keeps the session. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#certificates?.close();
    this.#wake?.();
    this.#acks?.flush();
    const closed = this.#link.close();
    this.#waiting?.next(); // a stopped reader would never see the end of the stream
    this.#stopPings();
    await closed;
  }

  // ------------------------------------------------------------ connection

  #settings(): IClientOptions {
    const { version, sessionExpiry } = this.#options;
    const receiveMaximum = Math.min(this.#context.maxInFlight, 65_535);
    return {
      ...this.#certificates?.current,
      clientId: this.#clientId,
      clean: sessionExpiry === 0,
      ...(version === 5 && {
        properties: {
          receiveMaximum,
          sessionExpiryInterval: Math.min(Math.ceil(sessionExpiry / 1_000), 0xffff_ffff),
          topicAliasMaximum: TOPIC_ALIASES,
        },
      }),
    };
  }

  #opened(client: MqttClient): void {
    const acks = new HeldAcks(client.stream, this.#context.maxInFlight);
    this.#acks = acks;
    this.#client = client;
    // `message` comes right before `handleMessage` and knows the topic behind a topic alias.
    let topic = '';
    client.on('message', (name) => {
      topic = name;
    });
    client.handleMessage = (packet, callback) => {
      if (acks.alive && !this.#admits(packet)) {
        this.#hold({ topic, packet, acks, next: () => callback(HELD) });
        return;
      }
      if (acks.alive) this.#admit(topic, packet, acks);
      callback(HELD);
    };
  }

  async #connected(client: MqttClient, connack: IConnackPacket, url: string): Promise<void> {
    // Subscribing again could make the broker send its retained messages again.
    if (!this.#subscribed || !connack.sessionPresent) {
      const subscribed = this.#subscribe(client, url);
      // A session that was kept is subscribed already (the topics may have changed), and its backlog may
      // use up the credit, behind which SUBACK would wait for whoever waits for us to be healthy.
      if (!connack.sessionPresent) await subscribed;
      else subscribed.catch((reason) => this.#client === client && this.#link.drop(reason));
    }
    this.#context.telemetry.count('source_connected', { source: this.name }, 1, { broker: hostOf(url) });
  }

  async #subscribe(client: MqttClient, url: string): Promise<void> {
    const { topics, qos, version } = this.#options;
    try {
      // rh 1: retained messages only for a subscription that is new (MQTT 5, 3.8.3.1).
      await client.subscribeAsync([...topics], version === 5 ? { qos, rh: 1 } : { qos });
      this.#subscribed = true;
    } catch (error) {
      const { message } = error as Error;
      if (!message.startsWith('Subscribe error')) throw connectionFailure(error, url);
      const text = `${hostOf(url)} refused the subscription to ${topics.join(', ')}: ${message}`;
      throw new SluiceError('BROKER_AUTH', text, { cause: error });
    }
  }

  #lost(reason: SluiceError, wasUp: boolean): void {
    const planned = this.#renewing !== null || this.#stop.signal.aborted;
    this.#acks?.forget();
    this.#acks = null;
    this.#client = null;
    this.#waiting = null;
    this.#stopPings();
    this.#renewing?.();
    this.#renewing = null;
    // What nobody has seen yet comes again. QoS 0 does not, so it stays.
    const again = this.#queue.filter((delivery) => delivery.acknowledged);
    this.#queue = this.#queue.filter((delivery) => !delivery.acknowledged);
    for (const delivery of again) this.#give(delivery);
    this.#wake?.();
    if (wasUp && !planned)
      this.#context.telemetry.count('source_lost', { source: this.name }, 1, { reason: reason.message });
  }

  /** Connects anew, first letting the work in hand finish, so that little is delivered twice. */
  async #renew(): Promise<void> {
    if (this.#renewing || !this.#client) return;
    const quiet = new Promise<void>((resolve) => {
      this.#renewing = resolve;
    });
    if (this.#credit.count > this.#queue.length)
      await Promise.race([quiet, this.#context.clock.sleep(QUIET_MS, this.#stop.signal)]);
    this.#acks?.flush();
    await this.#link.renew();
  }

  // ------------------------------------------------------------ credit

  #admits(packet: IPublishPacket): boolean {
    if (this.#renewing) return false;
    // Settled but held up by an older one: they cost us little, but the ring must stay bounded too.
    const owed = this.#acks?.size ?? 0;
    return owed < 2 * this.#context.maxInFlight && this.#credit.fits(packet.payload.length);
  }

  #admit(topic: string, packet: IPublishPacket, acks: HeldAcks): void {
    const packetId = packet.qos === 1 ? (packet.messageId ?? 0) : 0;
    const message: Message = {
      source: this.name,
      topic,
      key: null,
      payload: packet.payload as Buffer,
      headers: headersOf(packet.properties),
      at: this.#context.clock.now(),
      position: '',
    };
    this.#credit.take(message.payload.length);
    const seq = packetId === 0 ? -1 : acks.hold(packetId);
    this.#queue.push(new MqttDelivery(message, { acks, packetId, seq }, 0, this.#onSettled));
    this.#wake?.();
  }

  /** Stops the reader until there is credit. */
  #hold(waiting: Waiting): void {
    this.#waiting = waiting;
    this.#startPings();
  }

  #resume(): void {
    const waiting = this.#waiting;
    if (!waiting || !this.#admits(waiting.packet)) return;
    this.#waiting = null;
    this.#stopPings();
    this.#admit(waiting.topic, waiting.packet, waiting.acks);
    waiting.next();
  }

  /**
   * A stopped reader does not see PINGRESP either, so mqtt.js would give the connection up. While it is
   * stopped we ping, for the broker's sake, and tell mqtt.js that all is well.
   */
  #startPings(): void {
    const client = this.#client;
    if (this.#pings || !client) return;
    const every = Math.max(250, this.#options.keepalive / 3);
    this.#pings = setInterval(() => {
      client.sendPing();
      client.reschedulePing(true);
    }, every);
    client.reschedulePing(true);
  }

  #stopPings(): void {
    if (this.#pings) clearInterval(this.#pings);
    this.#pings = null;
  }

  // ------------------------------------------------------------ handing out and settling

  #take(): MqttDelivery[] {
    if (this.#renewing) return [];
    if (this.#queue.length > MAX_BATCH) return this.#queue.splice(0, MAX_BATCH);
    const batch = this.#queue;
    if (batch.length > 0) this.#queue = [];
    return batch;
  }

  #settle(delivery: MqttDelivery, outcome: Outcome): void {
    const { acks, packetId, seq } = delivery.place;
    if (outcome === 'retry' && (acks.alive || !delivery.acknowledged)) {
      this.#retry(delivery);
      return;
    }
    if (outcome === 'done' && delivery.acknowledged) {
      if (delivery.tries === 0) acks.done(seq);
      else acks.late(packetId);
    }
    this.#give(delivery);
  }

  #give(delivery: MqttDelivery): void {
    this.#credit.give(delivery.message.payload.length);
    if (this.#waiting) this.#resume();
    if (this.#renewing && this.#credit.count <= this.#queue.length) this.#renewing();
  }

  /** Hands a message out again after a while; it keeps its credit and its PUBACK stays owed. */
  #retry(delivery: MqttDelivery): void {
    const { place, tries } = delivery;
    if (delivery.acknowledged && tries === 0) place.acks.skip(place.seq);
    const wait = Math.min(MAX_RETRY_MS, this.#options.retryAfter * 2 ** Math.min(tries, 20));
    this.#retries.push({ delivery, due: this.#context.clock.now() + wait });
    if (this.#retries.length === 1) void this.#retryLoop();
  }

  /** One timer for all of them: looks every `retryAfter`, of which every wait is a multiple. */
  async #retryLoop(): Promise<void> {
    const { clock } = this.#context;
    while (this.#retries.length > 0 && !this.#stop.signal.aborted) {
      await clock.sleep(Math.max(1, this.#options.retryAfter), this.#stop.signal);
      const now = clock.now();
      const due = this.#retries.filter((retry) => retry.due <= now);
      this.#retries = this.#retries.filter((retry) => retry.due > now);
      for (const { delivery } of due) this.#handOutAgain(delivery);
    }
  }

  #handOutAgain(delivery: MqttDelivery): void {
    const { message, place, tries } = delivery;
    if (delivery.acknowledged && !place.acks.alive) {
      this.#give(delivery); // its connection is over: the broker delivers it again
      return;
    }
    this.#queue.push(new MqttDelivery(message, place, tries + 1, this.#onSettled));
    this.#wake?.();
  }
}
