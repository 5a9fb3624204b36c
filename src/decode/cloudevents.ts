/**
 * CloudEvents 1.0 (CNCF) around the data of any decoder: structured mode and batches here, binary mode by headers in
 * identity.ts. Promises: each event brings its identity and its time, and its data as JSON (`data`) or as bytes
 * (`data_base64`, strict base64); what is no CloudEvent is the data itself. Refuses with DECODE_SHAPE an event without data,
 * with DECODE_TOO_LARGE more events than are allowed.
 */
import type { Message } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { cloudEventTime, type Identity, identify } from './identity.ts';
import { timeOf } from './reading.ts';

/** Data, taken out of what it came in. */
export interface Carried {
  /** Parsed JSON; undefined where it came as bytes. */
  readonly data: unknown;
  readonly bytes: Uint8Array | null;
  readonly identity: Identity;
  /** The CloudEvents time, ms; NaN where there is none. */
  readonly time: number;
}

/** The attributes that CloudEvents 1.0 requires, besides `type`, which nobody here reads. */
interface CloudEvent {
  readonly specversion: string;
  readonly source: string;
  readonly id: string;
  readonly time?: unknown;
  readonly data?: unknown;
  readonly data_base64?: unknown;
}

/** What parsed JSON carries: itself, the data of a CloudEvent, or of each of a batch. */
export function unwrap(root: unknown, message: Message, limit: number): readonly Carried[] {
  if (isCloudEvent(root)) return [carriedBy(root)];
  if (Array.isArray(root) && isBatch(root, message)) {
    checkNumber(root.length, limit);
    return root.map(carriedBy);
  }
  return [{ data: root, ...wrapping(message), bytes: null }];
}

/** What a message says of its data in headers, or by where it lay. */
export function wrapping(message: Message): Pick<Carried, 'identity' | 'time'> {
  return { identity: identify(message), time: timeOf(cloudEventTime(message)) };
}

const BATCH = 'application/cloudevents-batch+json';

/** An empty array is a batch only where its media type says so. */
function isBatch(root: readonly unknown[], message: Message): root is CloudEvent[] {
  if (root.length > 0) return root.every(isCloudEvent);
  return mediaType(message) === BATCH;
}

/** The media type of the payload in lower case, without parameters; '' where it is not said. */
export function mediaType({ headers }: Message): string {
  const text = headers['content-type'] ?? headers.ce_datacontenttype ?? headers['ce-datacontenttype'] ?? '';
  const end = text.indexOf(';');
  return (end < 0 ? text : text.slice(0, end)).trim().toLowerCase();
}

/** Throws DECODE_TOO_LARGE. */
export function checkNumber(count: number, limit: number): void {
  if (count > limit)
    throw new SluiceError('DECODE_TOO_LARGE', `${count} readings in a message; the limit is ${limit}`);
}

function isCloudEvent(value: unknown): value is CloudEvent {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'specversion')) return false;
  const { specversion, source, id } = value as Record<string, unknown>;
  return typeof specversion === 'string' && isName(source) && isName(id);
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

/** CloudEvents have an identity of their own, so an event of a batch needs no index. */
function carriedBy(event: CloudEvent): Carried {
  const identity = { id: `${event.source}/${event.id}`, weak: false };
  const time = timeOf(event.time);
  if (Object.hasOwn(event, 'data')) return { data: event.data, bytes: null, identity, time };
  const coded = Object.hasOwn(event, 'data_base64') ? event.data_base64 : undefined;
  if (typeof coded !== 'string') throw new SluiceError('DECODE_SHAPE', 'the CloudEvent carries no data');
  const bytes = fromBase64(coded);
  if (bytes === null) throw new SluiceError('DECODE_SHAPE', 'the data_base64 of the CloudEvent is no base64');
  return { data: undefined, bytes, identity, time };
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Null for what is no base64 (RFC 4648 section 4). */
function fromBase64(text: string): Buffer | null {
  return text.length % 4 === 0 && BASE64.test(text) ? Buffer.from(text, 'base64') : null;
}
