/**
 * `POST /api/feedback`, the label of an event, in two forms. As JSON (what the dashboard sends): the event by id or
 * Message-ID, or a device and a span, or feedback as a broker brings it (`sluice feedback` and `forget` send that). As a query with the label, and the message itself as body: the event is found by
 * the id or Message-ID given, by the digest of the body, or by the Message-ID in it, because on its way into a
 * mailbox a mail gets further header lines. Of a body no more than its header is kept, however long it is.
 */
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { pour } from './body.ts';
import type { ActionReply, FeedbackRequest } from './view.ts';

const JSON_LIMIT = 65_536;
/** Nothing of it is kept; it only has to end. */
const MESSAGE_LIMIT = 1024 ** 3;
const HEADER_LIMIT = 1024 ** 2;
const NAME_LIMIT = 512;
const LONG_NAME = 4_096;

/** A label for one event, named in as many ways as the sender has. */
export interface LabelRequest {
  /** '' where the only task is meant. */
  readonly task: string;
  /** null withdraws. */
  readonly label: string | null;
  readonly origin: string;
  readonly event?: string;
  readonly messageId?: string;
  /** SHA-256 of the whole message in hex, and its first bytes. */
  readonly raw?: { readonly digest: string; readonly head: Uint8Array };
}

export interface FeedbackActions {
  feedback?(request: FeedbackRequest): Promise<ActionReply>;
  label?(request: LabelRequest): Promise<ActionReply>;
  /** `feedback`: JSON as on a feedback topic. */
  take?(task: string, feedback: Uint8Array): Promise<ActionReply>;
  /** Called when the label of an event was taken. */
  given(task: string, event: string, label: string | null): void;
  touch(): void;
}

const name = z.string().min(1).max(NAME_LIMIT);
const longName = z.string().min(1).max(LONG_NAME);
const label = name.nullable();
const origin = z.string().max(256).default('http');
const known = z.union([
  z.strictObject({ task: name, event: name, label }),
  z
    .strictObject({ task: name, device: name, from: z.number(), to: z.number(), label })
    .refine(({ from, to }) => from <= to, { message: 'from must not be after to' }),
]);
const byMessageId = z.strictObject({ task: name, messageId: longName, label, origin });
const whole = z.strictObject({
  task: name,
  feedback: z.union([z.looseObject({}), z.array(z.looseObject({}))]),
});
const query = z
  .strictObject({
    task: name.default(''),
    label: name.optional(),
    withdraw: z.literal('1').optional(),
    event: longName.optional(),
    messageId: longName.optional(),
    origin,
  })
  .refine(({ label: given, withdraw }) => (given === undefined) !== (withdraw === undefined));

const FIELDS =
  'This needs { task, event | messageId, label }, { task, device, from, to, label } or { task, feedback } as JSON, or ?label= (or ?withdraw=1) with the message as body.';

/** Adds the route where there is anybody to take labels. */
export function addFeedback(server: FastifyInstance, actions: FeedbackActions): void {
  if (!actions.feedback && !actions.label) return;
  server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _body, done) => done(null));
    scope.post('/api/feedback', async (request, reply) => {
      const asked = request.query as Record<string, unknown>;
      const answer = Object.keys(asked).length > 0 ? byMessage(request, actions) : byJson(request, actions);
      return send(reply, await answer, actions);
    });
  });
}

function send(
  reply: FastifyReply,
  answer: ActionReply | { status: number; error: string },
  actions: FeedbackActions,
): FastifyReply {
  if ('error' in answer) return reply.code(answer.status).send({ error: answer.error });
  if (answer.ok) actions.touch();
  return reply.code(answer.ok ? (answer.waiting ? 202 : 200) : answer.retry ? 503 : 422).send(answer);
}

const bad = { status: 400, error: FIELDS };
const large = { status: 413, error: 'The body is too large.' };

async function byJson(request: FastifyRequest, actions: FeedbackActions) {
  const chunks: Buffer[] = [];
  let size = 0;
  const stopped = await pour(request.raw, (chunk) => {
    size += chunk.length;
    chunks.push(chunk);
    return size > JSON_LIMIT ? 'large' : null;
  });
  if (stopped !== null) return stopped === 'large' ? large : bad;
  const body = parse(Buffer.concat(chunks).toString('utf8'));
  const plain = known.safeParse(body);
  if (plain.success && actions.feedback) {
    const answer = await actions.feedback(plain.data);
    if (answer.ok && 'event' in plain.data)
      actions.given(plain.data.task, plain.data.event, plain.data.label);
    return answer;
  }
  const asOnTopic = whole.safeParse(body);
  if (asOnTopic.success && actions.take)
    return actions.take(asOnTopic.data.task, Buffer.from(JSON.stringify(asOnTopic.data.feedback)));
  const named = byMessageId.safeParse(body);
  return named.success && actions.label ? actions.label(named.data) : bad;
}

/** undefined where the text is no JSON; every schema refuses that. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function byMessage(request: FastifyRequest, actions: FeedbackActions) {
  const given = query.safeParse(request.query);
  if (!given.success || !actions.label) return bad;
  const hash = createHash('sha256');
  const head: Buffer[] = [];
  let size = 0;
  const stopped = await pour(request.raw, (chunk) => {
    if (size < HEADER_LIMIT) head.push(chunk);
    size += chunk.length;
    hash.update(chunk);
    return size > MESSAGE_LIMIT ? 'large' : null;
  });
  if (stopped !== null) return stopped === 'large' ? large : bad;
  const { task, label: text, event, messageId } = given.data;
  if (size === 0 && event === undefined && messageId === undefined) return bad;
  return actions.label({
    ...{ task, label: text ?? null, origin: given.data.origin },
    ...(event === undefined ? {} : { event }),
    ...(messageId === undefined ? {} : { messageId }),
    ...(size === 0 ? {} : { raw: { digest: hash.digest('hex'), head: headOf(Buffer.concat(head)) } }),
  });
}

/** The header of a mail, or as much of it as is looked at; the body says nothing about whose mail it is. */
function headOf(bytes: Buffer): Buffer {
  const [lf, crlf] = [bytes.indexOf('\n\n'), bytes.indexOf('\r\n\r\n')];
  const ends = [lf < 0 ? bytes.length : lf + 2, crlf < 0 ? bytes.length : crlf + 4, HEADER_LIMIT];
  return bytes.subarray(0, Math.min(...ends));
}
