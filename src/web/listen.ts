/**
 * The address an HTTP server listens on, as people write it: `127.0.0.1:8088`, `[::1]:8088`, `:8088` (every
 * address), `localhost:0` (a free port). Refuses anything that is not a host and a port from 0 to 65535.
 */
import { isIP } from 'node:net';

export interface Listen {
  readonly host: string;
  /** 0 asks the system for a free port. */
  readonly port: number;
}

/** Null where the text is not an address. */
export function parseListen(text: string): Listen | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/]*)):(\d{1,5})$/.exec(text.trim());
  if (!match) return null;
  const [, v6, name, digits] = match;
  const port = Number(digits);
  if (port > 65_535 || (v6 !== undefined && isIP(v6) !== 6)) return null;
  if (name && !/^[A-Za-z0-9.*_-]+$/.test(name)) return null;
  const host = v6 ?? name;
  return { host: host === '' || host === '*' ? '0.0.0.0' : host, port };
}

/** Whether only this machine can reach it. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** `host:port`, with brackets where the host is an IPv6 address. */
export function showListen({ host, port }: Listen): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
