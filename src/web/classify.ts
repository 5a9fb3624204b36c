/**
 * `POST /api/classify`: a raw message in, its verdict out. Promises: 200 only with a verdict that is safe; 503 means no
 * opinion and comes quickly, by the deadline at the latest; what cannot be used is told with its code, as a dead letter
 * carries it. Whatever is not 200 lets the mail pass. Memory is what the entrance granted; requests that are being
 * answered when the server closes get their answer.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Entrance, MOST_DEADLINE_MS, type NoOpinion, type Reply } from '../io/http.ts';
import { duration } from '../units.ts';
import { receive } from './body.ts';

/** Longest wait for answers that are on their way when the server closes. */
const FLUSH_MS = 1_000;
const MAX_KEY = 512;
/** Seconds after which trying again makes sense. */
const RETRY_AFTER: Readonly<Partial<Record<NoOpinion, string>>> = { busy: '1', failed: '5', stopped: '5' };
/** Where a dead letter's code has a status of its own; the others are 422. */
const STATUS: Readonly<Record<string, number>> = {
  DECODE_EMPTY: 400,
  DECODE_JSON: 400,
  DECODE_TOO_LARGE: 413,
  DECODE_HEADERS: 413,
  DECODE_MAIL: 415,
};

export interface Asked {
  /** '' where none was named. */
  readonly task: string;
  /** null: that of the source. */
  readonly deadlineMs: number | null;
}

export interface Admitted {
  readonly entrance: Entrance;
  /** Largest message that a decoder takes. */
  readonly maxBytes: number;
}

/** Why nobody is let in. */
export interface Turned {
  readonly status: number;
  readonly error: string;
  readonly why?: NoOpinion;
}

export interface ClassifyOptions {
  enter(asked: Asked): Admitted | Turned;
}

/** Adds the route. The token was checked by the server's guard, before anything of the body was read. */
export function addClassify(server: FastifyInstance, options: ClassifyOptions): void {
  const open = new Set<Promise<void>>();
  server.addHook('preClose', async () => {
    const late = new Promise<void>((resolve) => setTimeout(resolve, FLUSH_MS).unref());
    await Promise.race([Promise.all(open), late]);
  });
  server.register(async (scope) => {
    // The route reads the bytes itself.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _body, done) => done(null));
    scope.post('/api/classify', (request, reply) => {
      const flushed = new Promise<void>((resolve) => reply.raw.once('close', resolve));
      open.add(flushed);
      void flushed.then(() => open.delete(flushed));
      return classify(request, reply, options);
    });
  });
}

async function classify(
  request: FastifyRequest,
  reply: FastifyReply,
  { enter }: ClassifyOptions,
): Promise<FastifyReply> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity')
    return turn(reply, { status: 415, error: 'Send the message as it is, without Content-Encoding.' });
  const asked = askedOf(request);
  const admitted = 'error' in asked ? asked : enter(asked);
  if ('error' in admitted) return turn(reply, admitted);
  const { entrance, maxBytes } = admitted;
  reply.raw.once('close', () => entrance.leave());
  const intake = { most: maxBytes, claim: (bytes: number) => entrance.claim(bytes) };
  const body = await receive(request.raw, intake, entrance.reply);
  if (body === 'large') {
    entrance.leave('refused');
    return refuse(reply, 'DECODE_TOO_LARGE', `The message is larger than ${maxBytes} bytes.`);
  }
  if (body === 'ended') entrance.leave();
  else entrance.send({ payload: body, ...wordsOf(request) });
  return answer(reply, await entrance.reply);
}

function answer(reply: FastifyReply, said: Reply): FastifyReply {
  if (said.kind === 'refused') return refuse(reply, said.code, said.message);
  if (said.kind === 'none') return turn(reply, { status: 503, error: said.text, why: said.why });
  const { data } = said;
  const text = data.length === 1 ? data[0] : `[${data.join(',')}]`;
  return reply.type('application/json; charset=utf-8').send(text);
}

function refuse(reply: FastifyReply, code: string, error: string): FastifyReply {
  return reply.code(STATUS[code] ?? 422).send({ error, code });
}

function turn(reply: FastifyReply, { status, error, why }: Turned): FastifyReply {
  const after = why && RETRY_AFTER[why];
  if (after !== undefined) reply.header('retry-after', after);
  return reply.code(status).send({ error, ...(why ? { reason: why } : {}) });
}

// ---------------------------------------------------------------- reading requests

const first = (value: unknown): string | undefined => {
  const one = Array.isArray(value) ? value[0] : value;
  return typeof one === 'string' ? one : undefined;
};

function askedOf(request: FastifyRequest): Asked | Turned {
  const query = request.query as Record<string, unknown>;
  const task = first(query.task) ?? first(request.headers['sluice-task']) ?? '';
  const text = first(query.deadline) ?? first(request.headers['sluice-deadline-ms']);
  if (text === undefined) return { task, deadlineMs: null };
  const parsed = duration.safeParse(/^\d+$/.test(text) ? Number(text) : text);
  if (parsed.success && parsed.data >= 1 && parsed.data <= MOST_DEADLINE_MS)
    return { task, deadlineMs: parsed.data };
  return { status: 400, error: `The deadline must be milliseconds from 1 to ${MOST_DEADLINE_MS}.` };
}

/** What the decoder may look at: nothing that authorises, nothing that names the sender's machine. */
function wordsOf({ headers }: FastifyRequest): { key: string | null; headers: Record<string, string> } {
  const wanted = Object.entries(headers).filter(
    ([name]) =>
      name === 'content-type' ||
      /^ce[-_]/.test(name) ||
      (name.startsWith('sluice-') && name !== 'sluice-deadline-ms'),
  );
  const texts = wanted.map(([name, value]) => [name, String(value)] as const);
  const key = first(headers['sluice-key'])?.slice(0, MAX_KEY);
  return { key: key === undefined || key === '' ? null : key, headers: Object.fromEntries(texts) };
}
