/**
 * What a gateway publishes, read by an onlooker: a message from the broker becomes happenings (a verdict, a label,
 * a drift alarm …), whatever its envelope. Promises: never throws; what cannot be read is a happening
 * too, because an onlooker wants to know. Masks what people wrote unless told otherwise.
 */
import type { Message } from '../../contract.ts';

export const kinds = ['verdict', 'feedback', 'drift', 'dead', 'metrics'] as const;
export type Kind = (typeof kinds)[number];

export type Fields = Readonly<Record<string, unknown>>;

export interface Happening {
  readonly kind: Kind;
  readonly site: string;
  readonly task: string;
  /** When it was said to have happened, else when it was seen; ms since the epoch. */
  readonly at: number;
  /** The data inside the envelope; null where the message could not be read. */
  readonly data: Fields | null;
}

/** Where a topic belongs, by what was subscribed to, else by the usual form of the name. */
export interface Place {
  readonly kind: Kind;
  readonly site: string;
  readonly task: string;
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `sluice/<site>/<task>/<what>` as a place; null for other topics. */
export function usualPlace(topic: string): Place | null {
  const [root, site, task, what, ...rest] = topic.split('/');
  const kind = kinds.find((name) => name === what);
  return root === 'sluice' && kind !== undefined && rest.length === 0 ? { kind, site, task } : null;
}

/** The happenings in one message. */
export function readHappenings(message: Message, place: Place): Happening[] {
  const { payload, at } = message;
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'));
  } catch {
    return [{ ...place, at, data: null }];
  }
  return (Array.isArray(parsed) ? parsed : [parsed]).map((item: unknown) => {
    const event = isFields(item) && 'specversion' in item ? item : null;
    const data = event ? event.data : item;
    const said = Date.parse(String(event?.time ?? ''));
    return { ...place, at: Number.isFinite(said) ? said : at, data: isFields(data) ? data : null };
  });
}

// ---------------------------------------------------------------- masking

const ADDRESS = /[^\s<>"'(),;:]+@[^\s<>"'(),;:]+/g;
const MASKED = '‹masked›';
/** Raw bytes of events, in base64. */
const RAW = new Set(['payload', 'raw']);

/** Addresses become ‹masked›; everything else stays. */
export const maskAddresses = (text: string): string => text.replace(ADDRESS, MASKED);

/** A copy without addresses and without the bytes of the event. */
export function maskData(value: unknown, name = ''): unknown {
  if (typeof value === 'string')
    return RAW.has(name) ? `‹masked, ${value.length} characters›` : maskAddresses(value);
  if (Array.isArray(value)) return value.map((item) => maskData(item));
  if (!isFields(value)) return value;
  const masked = Object.entries(value).map(([key, inner]) => [maskAddresses(key), maskData(inner, key)]);
  return Object.fromEntries(masked) as Fields;
}
