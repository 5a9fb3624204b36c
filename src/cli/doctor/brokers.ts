/**
 * What `doctor` finds about brokers: each address of each source and sink is really connected to, with TLS where it is
 * configured, and certificates on both sides are looked at for their end. It does not log in: a second
 * client under the gateway's own id would end the gateway's connection. Never throws.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { isRecord } from '../../config/shape.ts';
import type { Config } from '../../config.ts';
import type { Finding } from './machine.ts';

const TIMEOUT_MS = 3_000;
const SOON_MS = 30 * 86_400_000;
const PORTS: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'wss:': 443 };

interface Endpoint {
  /** `sources.plant` */
  readonly user: string;
  readonly host: string;
  readonly port: number;
  /** null without TLS. */
  readonly tls: Readonly<Record<string, unknown>> | null;
}

export async function examineBrokers(config: Config, now: number): Promise<Finding[]> {
  const endpoints = [...endpointsOf('sources', config.sources), ...endpointsOf('sinks', config.sinks)];
  const reached = await Promise.all(endpoints.map((endpoint) => reach(endpoint, now)));
  const files = new Set(
    endpoints.flatMap(({ tls }) => [tls?.ca, tls?.cert]).filter((path) => typeof path === 'string'),
  );
  return [...reached.flat(), ...[...files].map((path) => certificateFile(path, now))];
}

/** By the words that transports share: `url` (one or several) or `brokers` (host:port), and `tls`. */
function endpointsOf(side: string, parts: Readonly<Record<string, unknown>>): Endpoint[] {
  return Object.entries(parts).flatMap(([name, options]) => {
    if (!isRecord(options)) return [];
    const user = `${side}.${name}`;
    const urls = [options.url ?? []].flat().map((url) => new URL(String(url)));
    const brokers = [options.brokers ?? []].flat().map((broker) => new URL(`kafka://${broker}`));
    return [...urls, ...brokers].map((url): Endpoint => {
      const secure =
        url.protocol === 'mqtts:' ||
        url.protocol === 'wss:' ||
        (url.protocol === 'kafka:' && Boolean(options.tls));
      const host = url.hostname.replace(/^\[|\]$/g, '');
      return {
        user,
        host,
        port: Number(url.port) || PORTS[url.protocol],
        tls: secure ? (isRecord(options.tls) ? options.tls : {}) : null,
      };
    });
  });
}

function reach(endpoint: Endpoint, now: number): Promise<Finding[]> {
  const { user, host, port, tls } = endpoint;
  const name = `broker ${host.includes(':') ? `[${host}]` : host}:${port}`;
  return new Promise((resolve) => {
    const began = performance.now();
    let socket: Socket | null = null;
    const done = (state: Finding['state'], detail: string, more: Finding[] = []) => {
      socket?.destroy();
      resolve([{ name, state, detail: `${user}: ${detail}` }, ...more]);
    };
    const connected = () => {
      const took = `reached in ${Math.round(performance.now() - began)} ms`;
      if (tls === null) done('ok', `${took}, not encrypted`);
      else judgePeer(socket as TLSSocket, name, took, now, done);
    };
    try {
      socket =
        tls === null
          ? connect({ host, port }, connected)
          : connectTls(tlsOptions(host, port, tls), connected);
      socket.setTimeout(TIMEOUT_MS, () => done('bad', `no answer within ${TIMEOUT_MS / 1000} s`));
      socket.on('error', (error: NodeJS.ErrnoException) => done('bad', reasonOf(error)));
    } catch (error) {
      done('bad', `cannot use the certificate files: ${(error as Error).message}`);
    }
  });
}

function tlsOptions(host: string, port: number, tls: Readonly<Record<string, unknown>>): ConnectionOptions {
  const read = (path: unknown) => (typeof path === 'string' ? readFileSync(path) : undefined);
  const servername = (tls.serverName ?? tls.servername) as string | undefined;
  return {
    host,
    port,
    // An untrusted certificate is reported, not merely refused.
    rejectUnauthorized: false,
    ca: read(tls.ca),
    cert: read(tls.cert),
    key: read(tls.key),
    passphrase: tls.passphrase as string | undefined,
    ...(servername ? { servername } : {}),
  };
}

function judgePeer(
  socket: TLSSocket,
  name: string,
  took: string,
  now: number,
  done: (state: Finding['state'], detail: string, more?: Finding[]) => void,
): void {
  const certificate = socket.getPeerX509Certificate();
  const more = certificate ? [expiry(`${name} certificate`, certificate, now)] : [];
  const why = String(socket.authorizationError ?? 'unknown reason');
  if (socket.authorized) done('ok', `${took}, ${socket.getProtocol()}, its certificate is trusted`, more);
  else done('bad', `${took}, but its certificate is not trusted: ${why}`, more);
}

function certificateFile(path: string, now: number): Finding {
  try {
    return expiry(`certificate ${path}`, new X509Certificate(readFileSync(path)), now);
  } catch (error) {
    return {
      name: `certificate ${path}`,
      state: 'bad',
      detail: `cannot be read: ${(error as Error).message}`,
    };
  }
}

function expiry(name: string, certificate: X509Certificate, now: number): Finding {
  const until = Date.parse(certificate.validTo);
  const days = Math.floor((until - now) / 86_400_000);
  const shown = new Date(until).toISOString().slice(0, 10);
  if (until < now) return { name, state: 'bad', detail: `expired on ${shown}` };
  if (Date.parse(certificate.validFrom) > now)
    return { name, state: 'bad', detail: `is valid only from ${certificate.validFrom}; is the clock right?` };
  return {
    name,
    state: until - now < SOON_MS ? 'warn' : 'ok',
    detail: `valid until ${shown} (${days} days)`,
  };
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'refused: nothing listens there',
    ENOTFOUND: 'no such host',
    EAI_AGAIN: 'the name cannot be resolved now',
    EHOSTUNREACH: 'no route to the host',
    ENETUNREACH: 'no route to the network',
    ETIMEDOUT: 'no answer',
    ECONNRESET: 'closed by the other side; is it really a TLS port?',
  };
  return words[code ?? ''] ?? message;
}
