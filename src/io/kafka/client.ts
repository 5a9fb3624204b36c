/**
 * One kafkajs client: the only place that makes one, so that its dangers are met once. Promises honest
 * liveness (it owns the sockets, so it knows when the last one closed), silence on the console, current
 * certificates on every new connection, and errors as our codes. No policy: when to connect again is
 * decided by source and sink.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import kafkajs, { type Kafka, type LogEntry } from 'kafkajs';
import { type ErrorCode, SluiceError } from '../../errors.ts';
import type { Certificates } from './certificates.ts';
import { installCodecs } from './compression.ts';
import type { ConnectionOptions } from './options.ts';

const KEEP_ALIVE_MS = 30_000;

export class KafkaClient {
  readonly kafka: Kafka;
  readonly #sockets = new Set<Socket>();
  readonly #certificates: Certificates | null;
  readonly #onLost: () => void;
  #lastError = '';
  #closing = false;

  /** `onLost` is called when the last open connection has closed. */
  constructor(
    options: ConnectionOptions,
    site: string,
    certificates: Certificates | null,
    onLost: () => void,
  ) {
    installCodecs();
    this.#certificates = certificates;
    this.#onLost = onLost;
    this.kafka = new kafkajs.Kafka({
      brokers: [...options.brokers],
      clientId: options.clientId ?? `sluice-${site}`,
      ssl: certificates !== null,
      ...(options.sasl ? { sasl: options.sasl as never } : {}),
      connectionTimeout: options.connectTimeout,
      authenticationTimeout: options.requestTimeout,
      requestTimeout: options.requestTimeout,
      // Few and short: the callers have supervisors that start afresh, which kafkajs sometimes needs.
      retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 4, multiplier: 1.7, factor: 0.3 },
      socketFactory: ({ host, port, onConnect }) => this.#open(host, port, onConnect),
      logLevel: kafkajs.logLevel.ERROR,
      logCreator: () => (entry) => this.#note(entry),
    });
  }

  /** Whether any connection stands. */
  get connected(): boolean {
    return this.#sockets.size > 0;
  }

  /** The last thing that went wrong, in words; '' when nothing did. */
  get lastError(): string {
    return this.#lastError;
  }

  /** Ends `work` (a disconnect) in bounded time: what has not closed by then is torn down. */
  async within(ms: number, work: Promise<unknown>): Promise<void> {
    this.#closing = true;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([work.catch(() => undefined), limit]);
    clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy(new Error('closed'));
  }

  #open(host: string, port: number, onConnect: () => void): Socket {
    const tls = this.#certificates?.current;
    const ready = () => {
      this.#sockets.add(socket);
      onConnect();
    };
    const socket: Socket = tls
      ? connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...tls }, ready)
      : connectTcp({ host, port }, ready);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.setNoDelay(true);
    socket.once('close', () => {
      if (this.#sockets.delete(socket) && this.#sockets.size === 0 && !this.#closing) this.#onLost();
    });
    return socket;
  }

  #note(entry: LogEntry): void {
    if (this.#closing) return;
    const error = typeof entry.log.error === 'string' ? entry.log.error : '';
    this.#lastError =
      error && !entry.log.message.includes(error) ? `${entry.log.message}: ${error}` : entry.log.message;
  }
}

/** An error of kafkajs's own (a rebalance, a closed connection), which its loop handles. */
export function isKafkaError(error: unknown): boolean {
  return error instanceof Error && error.name.startsWith('KafkaJS');
}

/** One of our errors (from a codec), however kafkajs has wrapped it. */
function ours(error: unknown): SluiceError | null {
  let at = error;
  for (let depth = 0; at instanceof Error && depth < 8; depth++) {
    if (at instanceof SluiceError) return at;
    at = at.cause;
  }
  return null;
}

/** kafkajs errors wrap each other; the innermost says what happened. */
function chain(error: unknown): { name: string; type: string; message: string; code: string }[] {
  const all = [];
  for (let at = error as Record<string, unknown> | undefined; at && all.length < 8; at = at.cause as never) {
    const text = (value: unknown) => (typeof value === 'string' ? value : '');
    all.push({ name: text(at.name), type: text(at.type), message: text(at.message), code: text(at.code) });
  }
  return all;
}

const AUTH = /SASL|AUTHORIZATION_FAILED|AUTHENTICATION|CERT|SSL|TLS|ALERT|SELF_SIGNED/i;
const REFUSED =
  /INVALID_RECORD|INVALID_TOPIC|POLICY_VIOLATION|UNSUPPORTED_COMPRESSION|INVALID_TIMESTAMP|INVALID_REQUIRED_ACKS/;
/** kafkajs decodes without looking: in a damaged batch it reads beyond the end. */
const OUT_OF_RANGE = /^ERR_(OUT_OF_RANGE|BUFFER_OUT_OF_BOUNDS)$/;
const UNREACHABLE =
  /^KafkaJS(Connection|NoBrokerAvailable|BrokerNotFound|RequestTimeout|GroupCoordinatorNotFound)/;

function codeOf(name: string, type: string, code: string): ErrorCode | null {
  if (type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE') return 'MESSAGE_TOO_LARGE';
  if (AUTH.test(type) || AUTH.test(code) || name === 'KafkaJSSASLAuthenticationError') return 'BROKER_AUTH';
  if (REFUSED.test(type)) return 'BROKER_REFUSED';
  if (name === 'KafkaJSNotImplemented') return 'COMPRESSION_UNSUPPORTED';
  if (OUT_OF_RANGE.test(code)) return 'BATCH_UNREADABLE';
  if (UNREACHABLE.test(name)) return 'BROKER_UNREACHABLE';
  return null;
}

/**
 * The same for a publish. A topic that this user may not write to is refused, the connection stands: trying again
 * would only hold up the messages to other topics.
 */
export function fromPublish(error: unknown): SluiceError {
  const known = fromKafka(error, 'PUBLISH_FAILED');
  if (error === known) return known;
  const about = chain(error).some(({ type }) => type === 'TOPIC_AUTHORIZATION_FAILED');
  return about ? new SluiceError('BROKER_REFUSED', known.message, { cause: error }) : known;
}

/** What kafkajs threw as one of our errors; `fallback` where it is none of the known kinds. */
export function fromKafka(error: unknown, fallback: ErrorCode): SluiceError {
  const own = ours(error);
  if (own) return own;
  const links = chain(error);
  const detail = links[0]?.message || String(error);
  for (const { name, type, code } of links) {
    const known = codeOf(name, type, code);
    const text = known === 'BATCH_UNREADABLE' ? `a batch is damaged: ${detail}` : detail;
    if (known) return new SluiceError(known, text, { cause: error });
  }
  return new SluiceError(fallback, detail, { cause: error });
}
