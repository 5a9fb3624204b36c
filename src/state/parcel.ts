/**
 * A parcel: a run of messages of one sink as one value of the outbox, so that a thousand messages cost one put.
 *
 *     first number f64 · appended at f64 · count u32 · per message: counted bytes u32, message
 */
import type { Outgoing } from '../contract.ts';
import { ByteReader, type ByteWriter, readOutgoing, skipOutgoing, writeOutgoing } from './codec.ts';

const BYTES = 256 * 1024;
const MESSAGES = 1_024;
/** What keeping a message costs beside its own bytes. */
const OVERHEAD = 16;

export interface ParcelHead {
  readonly first: number;
  readonly appendedAt: number;
  readonly count: number;
}

/** What a message counts against the limit. */
export function sizeOf(message: Outgoing): number {
  const { topic, key, payload, headers } = message;
  let bytes = OVERHEAD + topic.length + (key?.length ?? 0);
  bytes += typeof payload === 'string' ? Buffer.byteLength(payload, 'utf8') : payload.byteLength;
  for (const name in headers) bytes += name.length + headers[name].length;
  return bytes;
}

/** Where the parcel that begins at `from` ends; a single huge message is a parcel of its own. */
export function parcelEnd(sizes: readonly number[], from: number): number {
  let bytes = sizes[from];
  let to = from + 1;
  while (to < sizes.length && to - from < MESSAGES && bytes + sizes[to] <= BYTES) bytes += sizes[to++];
  return to;
}

export function encodeParcel(
  out: ByteWriter,
  { first, appendedAt, count }: ParcelHead,
  messages: readonly Outgoing[],
  sizes: readonly number[],
  from: number,
): Buffer {
  out.f64(first).f64(appendedAt).u32(count);
  for (let i = from; i < from + count; i++) writeOutgoing(out.u32(sizes[i]), messages[i]);
  return out.seal();
}

/** Throws STORE_CORRUPT. */
export function readParcelHead(value: Buffer): ParcelHead {
  return head(new ByteReader(value));
}

const head = (from: ByteReader): ParcelHead => ({
  first: from.f64(),
  appendedAt: from.f64(),
  count: from.u32(),
});

/** Calls `each` until it says false; messages it does not ask for are not decoded. Throws STORE_CORRUPT. */
export function walkParcel(
  value: Buffer,
  each: (number: number, bytes: number, message: () => Outgoing) => boolean,
): boolean {
  const from = new ByteReader(value);
  const { first, count } = head(from);
  for (let i = 0; i < count; i++) {
    let read = false;
    const message = () => {
      read = true;
      return readOutgoing(from);
    };
    if (!each(first + i, from.u32(), message)) return false;
    if (!read) skipOutgoing(from);
  }
  return true;
}
