/**
 * Reads what a gateway publishes: verdicts and dead letters, one or an array, CloudEvents or bare data.
 * What does not fit is null, never an exception: a broker may carry anything.
 */
import { identityOf } from './identity.ts';

export interface Answer {
  readonly event: string;
  /** null: the task is learning. Always null for dead letters. */
  readonly label: string | null;
  /** The site that the envelope names, or null. */
  readonly site: string | null;
}

/** What a gateway's task publishes that the simulator reads. */
export const ANSWERS = ['verdict', 'dead', 'drift'] as const;
export type AnswerKind = (typeof ANSWERS)[number];

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/** The answers in one message; null for each that cannot be read. */
export function readAnswers(payload: Uint8Array, what: 'verdict' | 'dead'): (Answer | null)[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'));
  } catch {
    return [null];
  }
  return (Array.isArray(parsed) ? parsed : [parsed]).map((item: unknown) => {
    const wrapped = isFields(item) && 'specversion' in item;
    const data = wrapped ? item.data : item;
    if (!isFields(data)) return null;
    const found = what === 'verdict' ? readVerdict(data) : readDead(data);
    return found && { ...found, site: wrapped ? siteOf(item.source) : null };
  });
}

/** `/sluice/<site>/<task>` */
function siteOf(source: unknown): string | null {
  const parts = typeof source === 'string' ? source.split('/') : [];
  return parts.length === 4 && parts[1] === 'sluice' ? parts[2] : null;
}

type Found = Omit<Answer, 'site'>;

function readVerdict({ event, label }: Fields): Found | null {
  if (typeof event !== 'string' || (typeof label !== 'string' && label !== null)) return null;
  return { event, label };
}

/** A dead letter may have no event: then its topic, key, headers and payload say which message it was. */
function readDead({ event, topic, key, headers, payload, truncated }: Fields): Found | null {
  if (typeof event === 'string') return { event, label: null };
  if (typeof topic !== 'string') return null;
  const ours = isFields(headers) ? (headers as Record<string, string>) : undefined;
  const named = ours?.ce_source !== undefined && ours.ce_id !== undefined;
  if (!named && (truncated === true || typeof payload !== 'string')) return null;
  const original = Buffer.from(typeof payload === 'string' ? payload : '', 'base64');
  const id = identityOf({
    topic,
    key: typeof key === 'string' ? key : null,
    payload: original,
    headers: ours,
  });
  return { event: id, label: null };
}
