/**
 * Our own payloads on the wire: CloudEvents 1.0 structured JSON (or the bare data), written by hand because
 * a verdict is built for every event; read back with zod. Payloads from outside are never trusted: what
 * does not fit is a FEEDBACK_INVALID, never an exception of another kind.
 *
 *   {"specversion":"1.0","id":…,"source":"/sluice/<site>/<task>","type":"dev.sluice.<what>.v1",
 *    "time":…,"subject":<device>,"datacontenttype":"application/json","data":{…}}
 *
 * Several verdicts in one message are a JSON array of such objects (CloudEvents JSON batch format).
 */
import { z } from 'zod';
import type { Decided, Event, Message } from './contract.ts';
import { SluiceError } from './errors.ts';

export type EnvelopeKind = 'cloudevents' | 'none';

/** Writes the payloads of one task. One per task and envelope kind. */
export class Envelope {
  readonly #kind: EnvelopeKind;
  readonly #site: string;
  readonly #task: string;
  readonly #source: string;

  constructor(kind: EnvelopeKind, site: string, task: string) {
    this.#kind = kind;
    this.#site = site;
    this.#task = task;
    this.#source = JSON.stringify(`/sluice/${site}/${task}`);
  }

  /** Who publishes. */
  get site(): string {
    return this.#site;
  }

  /** `data` is JSON text already; `id` names the happening (the same for a repetition of it). */
  wrap(what: string, id: string, subject: string, time: number, data: string): string {
    if (this.#kind === 'none') return data;
    return (
      `{"specversion":"1.0","id":${JSON.stringify(id)},"source":${this.#source},` +
      `"type":"dev.sluice.${what}.v1","time":"${isoTime(time)}","subject":${JSON.stringify(subject)},` +
      `"datacontenttype":"application/json","data":${data}}`
    );
  }

  verdict(verdict: Verdict): string {
    return this.wrap(
      'verdict',
      verdict.event.id,
      verdict.event.device,
      verdict.decidedAt,
      verdictData(verdict),
    );
  }

  dead(letter: DeadData, id: string, time: number): string {
    return this.wrap('dead', id, letter.source, time, JSON.stringify({ task: this.#task, ...letter }));
  }

  metrics(window: Readonly<Record<string, unknown>>, time: number): string {
    const id = `${this.#site}/${this.#task}/${time}`;
    return this.wrap(
      'metrics',
      id,
      this.#task,
      time,
      JSON.stringify({ site: this.#site, task: this.#task, ...window }),
    );
  }
}

/** What a verdict says; `label` null while the task has no sufficient model. */
export interface Verdict {
  readonly event: Event;
  readonly labels: readonly string[];
  /** Index of the label, -1 while learning. */
  readonly label: number;
  /** With two labels the probability of the positive one, else of the given label. */
  readonly score: number;
  /** Probabilities by label index, starting at `offset`. */
  readonly scores: Float32Array;
  readonly offset: number;
  readonly model: string;
  readonly backend: string;
  /** The share of earlier readings that were less unusual; left out where nothing says it. */
  readonly anomaly?: number;
  /** Left out where the task decides nothing beyond the label. */
  readonly decided?: Decided;
  /** What is wrong with values, by field; left out where nothing is. */
  readonly flags?: Readonly<Record<string, readonly string[]>>;
  readonly receivedAt: number;
  readonly decidedAt: number;
}

/** The `data` of a verdict as JSON text. */
export function verdictData(v: Verdict): string {
  let scores = '';
  for (let c = 0; c < v.labels.length; c++) {
    scores += `${c === 0 ? '' : ','}${JSON.stringify(v.labels[c])}:${six(v.scores[v.offset + c])}`;
  }
  const label = v.label < 0 ? 'null,"state":"learning"' : JSON.stringify(v.labels[v.label]);
  return (
    `{"event":${JSON.stringify(v.event.id)},"device":${JSON.stringify(v.event.device)},` +
    `"at":"${isoTime(v.event.at)}","label":${label}${decidedData(v.decided)},"score":${six(v.score)},"scores":{${scores}},` +
    `"model":${JSON.stringify(v.model)},"backend":${JSON.stringify(v.backend)},` +
    `"receivedAt":"${isoTime(v.receivedAt)}","tookMs":${Math.max(0, Math.round((v.decidedAt - v.receivedAt) * 1000) / 1000)}` +
    `${v.anomaly === undefined ? '' : `,"anomaly":${six(v.anomaly)}`}` +
    `${v.flags ? `,"flags":${JSON.stringify(v.flags)}` : ''}${v.event.weak ? ',"identity":"weak"' : ''}}`
  );
}

function decidedData(decided: Decided | undefined): string {
  if (!decided) return '';
  const reason = decided.reason ? `,"reason":"${decided.reason}"` : '';
  return `,"action":"${decided.action}"${reason}`;
}

/** Six decimals are more than a probability learned from data can mean. */
const six = (p: number): number => Math.round(p * 1e6) / 1e6;

/** A batch alternates between a few times (its own, its events'); formatting each costs more than this. */
const TIMES = 64;
const times = new Float64Array(TIMES).fill(Number.NaN);
const isoTexts = new Array<string>(TIMES).fill('');

/** RFC 3339 in UTC; what is no time is the epoch. */
export function isoTime(ms: number): string {
  const slot = (ms >>> 0) % TIMES;
  if (times[slot] !== ms) {
    const valid = Number.isFinite(ms) && Math.abs(ms) <= 8.64e15;
    isoTexts[slot] = new Date(valid ? ms : 0).toISOString();
    times[slot] = ms;
  }
  return isoTexts[slot];
}

// ---------------------------------------------------------------- dead letters

export interface DeadData {
  readonly code: string;
  readonly message: string;
  /** `<source>:<topic>` of the original. */
  readonly source: string;
  readonly topic: string;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly receivedAt: string;
  readonly event?: string;
  /** base64 of the whole original, or of its first 64 KiB where `truncated`. */
  readonly payload?: string;
  readonly truncated?: boolean;
  readonly size: number;
  readonly digest?: string;
}

const DEAD_PREVIEW = 64 * 1024;

/** The dead letter of a message; the payload is cut to its first 64 KiB where it would exceed `maxBytes`. */
export function deadData(
  original: Message,
  error: { readonly code: string; readonly message: string },
  receivedAt: number,
  maxBytes: number,
  digest: (bytes: Uint8Array) => string,
  withPayload: boolean,
): DeadData {
  const size = original.payload.byteLength;
  // base64 grows by 4/3; headers and envelope get 16 KiB.
  const whole = size * 1.34 + 16_384 <= maxBytes;
  const shown = whole
    ? original.payload
    : original.payload.subarray(0, Math.min(DEAD_PREVIEW, Math.floor(maxBytes / 2)));
  return {
    code: error.code,
    message: error.message.slice(0, 1_000),
    source: original.source,
    topic: original.topic,
    // They may name people too.
    key: withPayload ? original.key : null,
    headers: withPayload ? original.headers : {},
    receivedAt: isoTime(receivedAt),
    size,
    ...(withPayload
      ? { payload: Buffer.from(shown.buffer, shown.byteOffset, shown.byteLength).toString('base64') }
      : {}),
    ...(whole && withPayload ? {} : { truncated: true, digest: digest(original.payload) }),
  };
}

// ---------------------------------------------------------------- feedback

const feedbackFields = {
  label: z.union([z.string(), z.number().transform(String), z.boolean().transform(String), z.null()]),
  origin: z.string().max(256).optional(),
  weight: z.number().positive().max(1_000).optional(),
  at: z.union([z.string(), z.number()]).optional(),
  forget: z.boolean().optional(),
};

const feedbackSchema = z.union([
  z.object({ event: z.string().min(1).max(4_096), ...feedbackFields }),
  z.object({ messageId: z.string().min(1).max(4_096), ...feedbackFields }),
  z.object({ raw: z.string().min(1), ...feedbackFields }),
  z.object({
    device: z.string().min(1).max(4_096),
    from: z.union([z.string(), z.number()]),
    to: z.union([z.string(), z.number()]),
    ...feedbackFields,
  }),
]);

/** Which events a label is for. */
export type FeedbackTarget =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'span'; readonly device: string; readonly from: number; readonly to: number };

export interface Feedback {
  readonly target: FeedbackTarget;
  /** null withdraws. */
  readonly label: string | null;
  readonly origin: string;
  readonly weight: number;
  readonly at: number;
  /** With label null: the stored rows of the events are erased too. */
  readonly forget?: boolean;
}

/**
 * Feedback from the wire: a bare object, a CloudEvent around it, or an array of either.
 * `digestRaw` gives the `raw:` alias of a whole message. Throws FEEDBACK_INVALID.
 */
export function decodeFeedback(
  payload: Uint8Array,
  now: number,
  digestRaw: (bytes: Uint8Array) => string,
): Feedback[] {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8');
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new SluiceError('FEEDBACK_INVALID', 'the feedback is not JSON');
  }
  return (Array.isArray(parsed) ? parsed : [parsed]).map((item) => readFeedback(item, now, digestRaw));
}

function readFeedback(item: unknown, now: number, digestRaw: (bytes: Uint8Array) => string): Feedback {
  const data = isObject(item) && 'specversion' in item && 'data' in item ? item.data : item;
  const result = feedbackSchema.safeParse(data);
  if (!result.success) {
    const fields = 'label and one of event, messageId, raw, or device with from and to';
    throw new SluiceError('FEEDBACK_INVALID', `the feedback needs ${fields}`);
  }
  const given = result.data;
  return {
    target: targetOf(given, digestRaw),
    label: given.label,
    origin: given.origin ?? 'unknown',
    weight: given.weight ?? 1,
    at: given.at === undefined ? now : timeOf(given.at),
    ...(given.forget === true && given.label === null ? { forget: true } : {}),
  };
}

function targetOf(
  given: z.infer<typeof feedbackSchema>,
  digestRaw: (bytes: Uint8Array) => string,
): FeedbackTarget {
  if ('event' in given) return { kind: 'name', name: given.event };
  if ('messageId' in given)
    return { kind: 'name', name: `mid:${given.messageId.replace(/^\s*<|>\s*$/g, '')}` };
  if ('raw' in given) return { kind: 'name', name: `raw:${digestRaw(rawBytes(given.raw))}` };
  return { kind: 'span', device: given.device, from: timeOf(given.from), to: timeOf(given.to) };
}

/** base64, as the wire format says; the message itself as text is understood too (no mail is valid base64: it has a colon). */
function rawBytes(raw: string): Buffer {
  const packed = raw.replace(/\s+/g, '');
  const isBase64 = packed.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(packed);
  return Buffer.from(raw, isBase64 ? 'base64' : 'utf8');
}

function timeOf(value: string | number): number {
  const ms = typeof value === 'number' ? value : Date.parse(value);
  if (!Number.isFinite(ms))
    throw new SluiceError('FEEDBACK_INVALID', `not a time: ${String(value).slice(0, 64)}`);
  return ms;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Feedback as JSON text again, for the waiting list. */
export function feedbackText(feedback: Feedback): string {
  return JSON.stringify(feedback);
}

/** What `feedbackText` wrote. */
export function feedbackFromText(text: string): Feedback {
  return JSON.parse(text) as Feedback;
}
