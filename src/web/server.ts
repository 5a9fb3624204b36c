/**
 * The HTTP side of a gateway and a hub: `/ping`, `/ready`, `/metrics`, `/api/status`, the dashboard with its API,
 * and routes that the application adds. Promises: reading needs no token and shows no secret; everything that is not a
 * read needs `Authorization: Bearer <http.token>` and is refused where no token is configured; on a
 * loopback address only requests that name this machine are answered (against DNS rebinding);
 * bodies, times and connections are bounded. It is plain HTTP: put TLS in front where it leaves the machine.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { SluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import { addClassify, type ClassifyOptions } from './classify.ts';
import { addDashboard, type DashboardOptions } from './dashboard.ts';
import { isLoopback, type Listen, parseListen, showListen } from './listen.ts';
import { csp, plain } from './page.ts';

const BODY_LIMIT = 1024 ** 2;
const REQUEST_TIMEOUT_MS = 30_000;
const MAX_CONNECTIONS = 1_000;

export interface Readiness {
  readonly ok: boolean;
  /** In words, one for each part that is not ready; empty when ok. */
  readonly reasons: readonly string[];
}

/** What `/api/status` tells of a task; every field may be absent. */
export interface TaskStatus {
  /** `learning` until the model is sufficient, then `live`. */
  readonly state?: string;
  readonly verdicts?: number;
  /** Verdicts a second over the last window. */
  readonly rate?: number;
  /** Prequential, 0 to 1; absent or null before the first label. */
  readonly accuracy?: number | null;
  readonly latencyMs?: { readonly p50: number; readonly p95: number; readonly p99: number };
  /** Labels learned. */
  readonly learned?: number;
  /** Dead letters. */
  readonly dead?: number;
  /** Events taken and not settled. */
  readonly inFlight?: number;
}

/** The object behind `/api/status`; an application may add fields. */
export interface GatewayStatus {
  readonly site?: string;
  readonly version?: string;
  readonly backend?: string;
  readonly tasks?: Readonly<Record<string, TaskStatus>>;
  /** Taken and not settled, all tasks together. */
  readonly inFlight?: { readonly events: number; readonly bytes: number };
  readonly outbox?: Readonly<Record<string, { readonly messages: number; readonly bytes: number }>>;
}

export interface WebRequest {
  readonly params: Readonly<Record<string, string>>;
  /** The first value of each query parameter. */
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The whole body, at most the route's limit; empty where none was sent. */
  readonly body: Uint8Array;
}

export interface WebReply {
  /** Default 200. */
  readonly status?: number;
  /** Default JSON for objects, `text/plain` for text, `application/octet-stream` for bytes. */
  readonly type?: string;
  readonly body: object | string | Uint8Array;
}

/** A route of the application. Anything but GET needs the token before `handle` is called. */
export interface WebRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** As fastify writes it: `/api/tasks/:task`. */
  readonly path: string;
  /** Bytes, default 1 MiB. */
  readonly bodyLimit?: number;
  handle(request: WebRequest): WebReply | Promise<WebReply>;
}

export interface WebOptions {
  /** `{ host, port }` or text as `http.listen` takes it. */
  readonly listen: Listen | string;
  /** null or absent: nothing can be changed over HTTP. */
  readonly token?: string | null;
  readonly telemetry: Telemetry;
  readonly ready: () => Readiness;
  readonly status: () => GatewayStatus | Promise<GatewayStatus>;
  readonly routes?: readonly WebRoute[];
  /** Absent: `/` only names where the figures are. */
  readonly dashboard?: DashboardOptions;
  /** Absent: messages are not taken here. */
  readonly classify?: ClassifyOptions;
}

export interface Web {
  /** `http://127.0.0.1:8088`, with the port that was really taken. */
  readonly address: string;
  /** Ends open connections too. */
  close(): Promise<void>;
}

/** Starts listening. Throws LISTEN_FAILED where the address cannot be had. */
export async function startWeb(options: WebOptions): Promise<Web> {
  const listen = typeof options.listen === 'string' ? parseListen(options.listen) : options.listen;
  if (!listen) throw new SluiceError('LISTEN_FAILED', `${JSON.stringify(options.listen)} is not HOST:PORT`);
  const server = fastify({
    logger: false,
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 512 },
  });
  server.server.maxConnections = MAX_CONNECTIONS;
  guard(server, listen, options.token ?? null);
  addOwnRoutes(server, options);
  if (options.dashboard) addDashboard(server, options.dashboard, Boolean(options.token));
  else server.get('/', (_request, reply) => reply.type('text/html; charset=utf-8').send(plain));
  if (options.classify) addClassify(server, options.classify);
  for (const route of options.routes ?? []) addRoute(server, route);
  try {
    await server.listen({ host: listen.host, port: listen.port });
  } catch (error) {
    await server.close();
    throw new SluiceError('LISTEN_FAILED', `cannot listen on ${showListen(listen)}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  const { port } = server.server.address() as AddressInfo;
  return { address: `http://${showListen({ host: listen.host, port })}`, close: () => server.close() };
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return 'another process uses this port';
  if (code === 'EACCES') return 'this user may not use this port';
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return 'this machine has no such address';
  return message;
}

/** What holds for every request, known path or not. */
function guard(server: FastifyInstance, listen: Listen, token: string | null): void {
  // Bodies are the route's business: none is parsed before its route asked for bytes.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  server.addHook('onRequest', async (request, reply) => {
    setHeaders(reply);
    if (isLoopback(listen.host) && !namesThisMachine(request.headers.host))
      return refuse(
        reply,
        421,
        'This address serves only its own machine; ask for it as localhost or 127.0.0.1.',
      );
    if (request.method === 'GET' || request.method === 'HEAD') return;
    if (token === null)
      return refuse(reply, 403, 'Changing anything over HTTP is off; set http.token in the configuration.');
    if (!bears(request.headers.authorization, token)) {
      reply.header('www-authenticate', 'Bearer realm="sluice"');
      return refuse(reply, 401, 'This needs the header Authorization: Bearer <http.token>.');
    }
  });
  server.setNotFoundHandler((_request, reply) => refuse(reply, 404, 'There is nothing under this path.'));
  server.setErrorHandler((error: FastifyError, _request, reply) => {
    const status = error.statusCode ?? 500;
    // Our own errors are written for people; others may hold what is none of the caller's business.
    const known = error instanceof SluiceError ? error.message : null;
    return refuse(
      reply,
      status,
      known ?? (status < 500 ? error.message : 'The request failed inside; see the log.'),
    );
  });
}

function setHeaders(reply: FastifyReply): void {
  reply.headers({
    'content-security-policy': csp,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
  });
}

function refuse(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply.code(status).send({ error: message });
}

/** A page of another site can make a browser come here under a name it controls, but only under that name. */
function namesThisMachine(host: string | undefined): boolean {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::\d+)?$/.exec(host ?? '');
  return match !== null && isLoopback((match[1] ?? match[2]).toLowerCase());
}

/** Compares digests, so that neither time nor length tells anything about the token. */
function bears(header: string | undefined, token: string): boolean {
  const given = /^Bearer ([^\s]+)$/i.exec(header ?? '')?.[1] ?? '';
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token)) && given !== '';
}

function addOwnRoutes(server: FastifyInstance, { telemetry, ready, status }: WebOptions): void {
  const judge = (): Readiness => {
    const state = ready();
    telemetry.set('ready', {}, state.ok ? 1 : 0);
    return state;
  };
  server.get('/ping', () => ({ ok: true }));
  server.get('/ready', (_request, reply) => {
    const state = judge();
    return reply.code(state.ok ? 200 : 503).send(state);
  });
  server.get('/metrics', async (_request, reply) => {
    judge();
    return reply.type(telemetry.registry.contentType).send(await telemetry.registry.metrics());
  });
  server.get('/api/status', async () => ({ ready: ready(), ...(await status()) }));
}

function addRoute(server: FastifyInstance, route: WebRoute): void {
  server.route({
    method: route.method,
    url: route.path,
    bodyLimit: route.bodyLimit ?? BODY_LIMIT,
    handler: async (request, reply) => {
      const { status = 200, type, body } = await route.handle(toWebRequest(request));
      if (type) reply.type(type);
      return reply.code(status).send(body);
    },
  });
}

function toWebRequest(request: FastifyRequest): WebRequest {
  const query = Object.entries(request.query as Record<string, string | string[]>).map(([key, value]) => [
    key,
    Array.isArray(value) ? value[0] : value,
  ]);
  return {
    params: request.params as Record<string, string>,
    query: Object.fromEntries(query),
    headers: request.headers,
    body: Buffer.isBuffer(request.body) ? request.body : new Uint8Array(0),
  };
}
