/**
 * Keeps one connection to a broker alive, for a source or a sink: connects, and after a loss connects
 * again with jittered exponential back-off, trying the addresses in turn.
 *
 * Each connection gets a fresh mqtt.js client. Its own reconnecting is off: it would publish stored
 * messages again (our caller retries), reuse packet ids across sessions and keep old certificates.
 * Nothing of a dead connection can therefore leak into the next one.
 */
import {
  connect,
  type IClientOptions,
  type IConnackPacket,
  type IPublishPacket,
  type MqttClient,
} from 'mqtt';
import type { Clock, Health } from '../../contract.ts';
import type { SluiceError } from '../../errors.ts';
import { connectionFailure, hostOf } from './failure.ts';
import type { ConnectionOptions } from './options.ts';

/** A connection that lasted this long was a good one: the back-off starts anew. */
const STABLE_MS = 5_000;
/** How long a clean end may take before the socket is destroyed. */
const END_MS = 1_000;

export interface LinkHandlers {
  /** Everything that belongs to this kind of client; asked before each attempt. */
  settings(): IClientOptions;
  /** The client exists and nothing has been received: the place for `handleMessage`. */
  opened?(client: MqttClient): void;
  /** CONNACK came. Rejecting ends the connection with that reason. */
  connected(client: MqttClient, connack: IConnackPacket, url: string): Promise<void>;
  /** The connection is over, or never came about. Called once an attempt. */
  lost(reason: SluiceError, wasUp: boolean): void;
}

export class Link {
  readonly #options: ConnectionOptions;
  readonly #clock: Clock;
  readonly #handlers: LinkHandlers;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #client: MqttClient | null = null;
  #ready = false;
  #failure: SluiceError | null = null;
  #dropped: SluiceError | null = null;
  #renewing = false;

  constructor(options: ConnectionOptions, clock: Clock, handlers: LinkHandlers) {
    this.#options = options;
    this.#clock = clock;
    this.#handlers = handlers;
    this.#running = this.#run();
  }

  /** Why there is no connection; null while connected, or while the first attempt is still going on. */
  get failure(): SluiceError | null {
    return this.#failure;
  }

  health(): Health {
    if (this.#ready) return { ok: true };
    if (this.#failure) return { ok: false, reason: `${this.#failure.code}: ${this.#failure.message}` };
    return { ok: false, reason: `connecting to ${hostOf(this.#options.url[0])}` };
  }

  /** Ends the connection with this reason; the next attempt follows after the usual wait. */
  drop(reason: SluiceError): void {
    if (!this.#client) return;
    this.#dropped ??= reason;
    this.#ready = false;
    this.#client.stream.destroy();
  }

  /** Ends the connection cleanly and connects again at once, as after a change of certificates. */
  async renew(): Promise<void> {
    if (!this.#client || this.#renewing) return;
    this.#renewing = true;
    await endClient(this.#client, this.#clock);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    if (this.#client) await endClient(this.#client, this.#clock);
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    for (let turn = 0; !signal.aborted; ) {
      const url = this.#options.url[turn % this.#options.url.length];
      const lasted = await this.#connectOnce(url);
      if (lasted < 0) turn += 1;
      if (lasted > STABLE_MS || this.#renewing) failures = 0;
      if (!signal.aborted && !this.#renewing)
        await this.#clock.sleep(waitFor(failures, this.#options.reconnect), signal);
      failures += 1;
      this.#renewing = false;
    }
  }

  /** One connection from beginning to end; resolves to the ms it was up, -1 where it never was. */
  async #connectOnce(url: string): Promise<number> {
    let upSince = -1;
    let error: unknown = null;
    try {
      await new Promise<void>((resolve) => {
        const client = connect(url, this.#clientOptions());
        this.#client = client;
        const fail = (reason: unknown) => {
          error ??= reason;
          client.stream.destroy(); // mqtt.js does not hang up after every error it reports
        };
        client.on('error', fail);
        client.on('disconnect', ({ reasonCode = 0 }) =>
          fail(new Error(`the broker ended the connection (reason ${reasonCode})`)),
        );
        client.once('connect', (connack) => {
          upSince = performance.now();
          unbuffer(client);
          this.#setUp(client, connack, url).then(() => this.#becameReady(client), fail);
        });
        client.once('close', () => resolve());
        this.#handlers.opened?.(client);
      });
    } catch (e) {
      error = e; // a bad address, or certificates that do not load
    }
    this.#over(this.#dropped ?? connectionFailure(error, url), upSince >= 0);
    return upSince < 0 ? -1 : performance.now() - upSince;
  }

  /** Subscribing and the like, within the same time as connecting. */
  async #setUp(client: MqttClient, connack: IConnackPacket, url: string): Promise<void> {
    const done = new AbortController();
    const { connectTimeout } = this.#options;
    const late = this.#clock.sleep(connectTimeout, done.signal).then(() => {
      if (!done.signal.aborted) throw new Error(`the broker did not answer within ${connectTimeout} ms`);
    });
    try {
      await Promise.race([this.#handlers.connected(client, connack, url), late]);
    } finally {
      done.abort();
    }
  }

  #becameReady(client: MqttClient): void {
    if (this.#client !== client || !client.connected) return;
    this.#failure = null;
    this.#ready = true;
  }

  #over(reason: SluiceError, wasUp: boolean): void {
    const client = this.#client;
    this.#client = null;
    this.#ready = false;
    this.#dropped = null;
    this.#failure = this.#renewing ? null : reason;
    this.#handlers.lost(reason, wasUp);
    client?.end(true); // stops its timers
  }

  #clientOptions(): IClientOptions {
    const { user, password, version, keepalive, connectTimeout } = this.#options;
    return {
      ...(user === undefined ? {} : { username: user }),
      ...(password === undefined ? {} : { password }),
      protocolVersion: version,
      keepalive: Math.ceil(keepalive / 1_000),
      connectTimeout,
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      log: () => {},
      ...this.#handlers.settings(),
    };
  }
}

/** Waits of min, 2 min, 4 min … max, each shortened by a random part of up to half ("equal jitter"). */
function waitFor(failures: number, { min, max }: { readonly min: number; readonly max: number }): number {
  const ceiling = Math.min(max, min * 2 ** Math.min(failures, 30));
  return ceiling * (0.5 + Math.random() / 2);
}

/** Turns Nagle's algorithm off: it costs 20 ms a message. Web sockets do so by themselves. */
function unbuffer(client: MqttClient): void {
  const { stream } = client as { stream: { setNoDelay?: (on: boolean) => void } };
  stream.setNoDelay?.(true);
}

/** Sends DISCONNECT and closes; a broker that does not answer in time is hung up on. */
async function endClient(client: MqttClient, clock: Clock): Promise<void> {
  if (!client.connected) {
    client.stream.destroy();
    return;
  }
  const done = new AbortController();
  const closed = new Promise<void>((resolve) => client.stream.once('close', resolve));
  client.handleMessage = (_packet: IPublishPacket, callback) => callback(new Error('closing'));
  client.outgoing = {}; // otherwise `end` waits for every publish that is not confirmed
  client.end();
  await Promise.race([closed, clock.sleep(END_MS, done.signal)]);
  done.abort();
  client.stream.destroy();
}
