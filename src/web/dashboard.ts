/**
 * The routes of the dashboard: `/`, its files, `/api/overview`, `/api/live`, `/api/find` and what can be done from the
 * page. What the application does not hand in is not here (404). Bodies are checked before they reach it; the token
 * was checked before that, by the server's guard.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Assets, loadAssets } from './assets.ts';
import { addFeedback, type LabelRequest } from './feedback.ts';
import { LiveStream } from './live.ts';
import { page, unbuilt } from './page.ts';
import type { FoundInput } from './recent.ts';
import type { DashboardState } from './state.ts';
import type {
  Abilities,
  ActionReply,
  FeedbackRequest,
  FindReply,
  ModelAction,
  Overview,
  Selection,
} from './view.ts';

const NAME_LIMIT = 512;
const MAX_LETTERS = 1_000;
const MAX_FOUND = 50;
const BODY_LIMIT = 65_536;

/** A question of the search box: a name (event, Message-ID, device), a time, or a device and a time. */
export interface FindQuery {
  /** '' for every task. */
  readonly task: string;
  /** '' where only a time was given. */
  readonly text: string;
  /** ms since the epoch. */
  readonly at: number | null;
  readonly limit: number;
}

/** What an operator asks about a model; by the person who holds the token. */
export interface ModelOrder {
  readonly task: string;
  /** '' where none is needed. */
  readonly digest: string;
  readonly reason: string;
}

/** What the page can do. Each is optional: absent, the page does not offer it. `ok: false` says in words why not. */
export interface DashboardActions {
  feedback?(request: FeedbackRequest): Promise<ActionReply>;
  /** For programs: the event is named by what they have of it. */
  label?(request: LabelRequest): Promise<ActionReply>;
  take?(task: string, feedback: Uint8Array): Promise<ActionReply>;
  replay?(ids: readonly string[]): Promise<ActionReply>;
  drop?(ids: readonly string[]): Promise<ActionReply>;
  model?(what: ModelAction, order: ModelOrder): Promise<ActionReply>;
  find?(query: FindQuery): Promise<{ readonly found: readonly FoundInput[]; readonly note?: string }>;
}

export interface DashboardOptions {
  readonly state: DashboardState;
  readonly actions?: DashboardActions;
  /** Where the compiled client lies; default beside this module. */
  readonly client?: string;
  readonly live?: { readonly maxClients?: number; readonly tickMs?: number };
}

const name = z.string().min(1).max(NAME_LIMIT);
const lettersBody = z.strictObject({ ids: z.array(name).min(1).max(MAX_LETTERS) });
const modelBody = z.strictObject({
  task: name,
  digest: z.string().regex(/^[0-9a-f]{0,64}$/),
  reason: z.string().max(NAME_LIMIT).default(''),
});
const modelAction = z.enum(['promote', 'reject', 'rollback', 'pause', 'resume', 'stop']);

/** Adds every route. The streams end with the server. */
export function addDashboard(server: FastifyInstance, options: DashboardOptions, token: boolean): void {
  const { state, actions = {} } = options;
  const abilities: Abilities = {
    token,
    feedback: actions.feedback !== undefined,
    dead: actions.replay !== undefined && actions.drop !== undefined,
    models: actions.model !== undefined,
    find: actions.find !== undefined,
  };
  const overview = (selection: Partial<Selection>, from: number | null): Overview =>
    state.overview(selection, abilities, from);
  addPage(server, loadAssets(options.client));
  server.get('/api/overview', (request) => overview(selectionOf(request), null));
  addLive(server, new LiveStream({ ...options.live, overview }), (request) =>
    state.select(selectionOf(request)),
  );
  if (actions.find) addFind(server, state, actions.find.bind(actions));
  addActions(server, state, actions);
}

function addPage(server: FastifyInstance, assets: Assets): void {
  server.get('/', (_request, reply) => reply.type('text/html; charset=utf-8').send(assets ? page : unbuilt));
  server.get('/client/:name', (request, reply) => {
    const asset = assets?.get((request.params as { name: string }).name);
    if (!asset) return reply.callNotFound();
    reply.headers({ 'cache-control': 'no-cache', etag: asset.etag, vary: 'accept-encoding' });
    if (request.headers['if-none-match'] === asset.etag) return reply.code(304).send();
    reply.type(asset.type);
    if (!/\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))) return reply.send(asset.body);
    return reply.header('content-encoding', 'gzip').send(asset.gzip);
  });
}

function addLive(
  server: FastifyInstance,
  live: LiveStream,
  select: (request: FastifyRequest) => Selection,
): void {
  server.get('/api/live', { exposeHeadRoute: false }, (request, reply) => {
    if (live.full)
      return reply
        .code(503)
        .header('retry-after', '10')
        .send({ error: 'Too many pages are open; close one, or ask /api/overview.' });
    const headers = Object.fromEntries(
      Object.entries(reply.getHeaders()).map(([key, value]) => [key, String(value)]),
    );
    reply.hijack();
    live.add(reply.raw, select(request), headers);
  });
  server.addHook('preClose', async () => live.close());
}

function addFind(
  server: FastifyInstance,
  state: DashboardState,
  find: NonNullable<DashboardActions['find']>,
): void {
  server.get('/api/find', async (request): Promise<FindReply> => {
    const { q = '', task = '', at = '' } = firstOf(request);
    const time = at === '' ? null : Number(at);
    if (
      q.length > NAME_LIMIT ||
      (time !== null && !Number.isFinite(time)) ||
      (q.trim() === '' && time === null)
    )
      return { found: [], note: 'Ask for an event, a Message-ID, a device or a time.' };
    const query = { task: task.slice(0, NAME_LIMIT), text: q.trim(), at: time, limit: MAX_FOUND };
    const { found, note = '' } = await find(query);
    return { found: state.found(found.slice(0, MAX_FOUND)), note };
  });
}

function addActions(server: FastifyInstance, state: DashboardState, actions: DashboardActions): void {
  const { replay, drop, model } = actions;
  const post = (
    path: string,
    handle: (body: unknown, request: FastifyRequest) => Promise<ActionReply | string>,
  ) =>
    server.post(path, { bodyLimit: BODY_LIMIT }, async (request, reply) => {
      const answer = await handle(jsonOf(request), request);
      if (typeof answer === 'string') return reply.code(400).send({ error: answer });
      if (answer.ok) state.touch();
      return reply.code(answer.ok ? 200 : 422).send(answer);
    });
  addFeedback(server, {
    ...(actions.feedback ? { feedback: actions.feedback.bind(actions) } : {}),
    ...(actions.label ? { label: actions.label.bind(actions) } : {}),
    ...(actions.take ? { take: actions.take.bind(actions) } : {}),
    given: (task, event, label) => state.given(task, event, label),
    touch: () => state.touch(),
  });
  for (const [path, act] of [
    ['/api/dead/replay', replay],
    ['/api/dead/drop', drop],
  ] as const)
    if (act)
      post(path, async (body) => {
        const parsed = lettersBody.safeParse(body);
        return parsed.success
          ? act.call(actions, parsed.data.ids)
          : `This needs { ids: […] }, at most ${MAX_LETTERS}.`;
      });
  if (model)
    post('/api/models/:action', async (body, request) => {
      const what = modelAction.safeParse((request.params as { action: string }).action);
      if (!what.success) return `Can be: ${modelAction.options.join(', ')}.`;
      const parsed = modelBody.safeParse(body);
      if (!parsed.success) return 'This needs { task, digest, reason? }.';
      return model.call(actions, what.data, parsed.data);
    });
}

// ---------------------------------------------------------------- reading requests

function firstOf(request: FastifyRequest): Record<string, string | undefined> {
  const query = request.query as Record<string, string | string[]>;
  return Object.fromEntries(Object.entries(query).map(([key, v]) => [key, Array.isArray(v) ? v[0] : v]));
}

function selectionOf(request: FastifyRequest): Partial<Selection> {
  const { task, site, range } = firstOf(request);
  return { task, site, range: range === 'day' ? 'day' : 'hour' };
}

/** undefined where the body is no JSON; every schema refuses that. */
function jsonOf(request: FastifyRequest): unknown {
  try {
    return JSON.parse(Buffer.isBuffer(request.body) ? request.body.toString('utf8') : '');
  } catch {
    return undefined;
  }
}
