/**
 * Feedback to the gateway of a configuration over its HTTP, for sites without a broker. Promises that what is called sent
 * was taken, durably; labels of events that the gateway has not seen wait there. Refuses (USAGE) where the configuration has
 * no token, or a port that only the gateway knows.
 */
import type { Config } from '../../config.ts';
import type { Outgoing } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { showListen } from '../../web/listen.ts';
import type { Wire } from './wire.ts';

/** Bytes of feedback in one request; a gateway takes 64 KiB. */
const MOST = 48 * 1024;
const TIMEOUT_MS = 30_000;

export function openHttp({ http }: Config, task: string): Wire {
  const { listen, token } = http;
  if (token === undefined || listen.port === 0)
    throw new SluiceError(
      'USAGE',
      `no broker brings feedback to the task ${task}; over HTTP it needs \`http.token\` and a port in \`http.listen\``,
    );
  const any: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const url = `http://${showListen({ host: any[listen.host] ?? listen.host, port: listen.port })}/api/feedback`;
  const publish = async (batch: readonly Outgoing[]): Promise<void> => {
    for (const some of portions(batch.map(({ payload }) => Buffer.from(payload).toString('utf8'))))
      await post(url, token, `{"task":${JSON.stringify(task)},"feedback":[${some.join(',')}]}`);
  };
  return { name: 'http', topic: url, sink: { publish, close: async () => {} }, by: 'gateway' };
}

function* portions(payloads: readonly string[]): Generator<string[]> {
  let some: string[] = [];
  let bytes = 0;
  for (const payload of payloads) {
    const size = Buffer.byteLength(payload) + 1;
    if (some.length > 0 && bytes + size > MOST) {
      yield some;
      [some, bytes] = [[], 0];
    }
    some.push(payload);
    bytes += size;
  }
  if (some.length > 0) yield some;
}

/** Throws BROKER_UNREACHABLE, BROKER_AUTH, BROKER_REFUSED: the gateway stands where a broker would. */
async function post(url: string, token: string, body: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  let response: Response;
  try {
    response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    throw new SluiceError('BROKER_UNREACHABLE', `${url}: ${reasonOf(error)}; does the gateway run?`, {
      cause: error,
    });
  }
  const text = await response.text();
  if (response.ok) return;
  const code = [401, 403].includes(response.status)
    ? 'BROKER_AUTH'
    : response.status === 503
      ? 'BROKER_UNREACHABLE'
      : 'BROKER_REFUSED';
  throw new SluiceError(code, `${url} answers ${response.status}: ${text.slice(0, 200)}`);
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
}
