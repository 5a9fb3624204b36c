/**
 * A record as kafkajs decoded it, as a Message. Keeps nothing of the fetched block: a slice of it would hold all of it in
 * memory for as long as one message is unsettled.
 */
import type { IHeaders, KafkaMessage } from 'kafkajs';
import type { Message } from '../../contract.ts';

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));

/** `prefix` is `topic/partition/`; a tombstone has an empty payload. */
export function toMessage(raw: KafkaMessage, source: string, topic: string, prefix: string): Message {
  return {
    source,
    topic,
    key: raw.key ? raw.key.toString('utf8') : null,
    payload: raw.value ? Buffer.from(raw.value) : new Uint8Array(0),
    headers: readHeaders(raw.headers),
    at: Number(raw.timestamp),
    position: prefix + raw.offset,
  };
}

/** Names in lower case; of a repeated header the last; no prototype, so that no name can be special. */
function readHeaders(raw: IHeaders | undefined): Readonly<Record<string, string>> {
  let headers: Record<string, string> | null = null;
  for (const name in raw) {
    const value = raw[name];
    const last = Array.isArray(value) ? value[value.length - 1] : value;
    if (last === undefined || last === null) continue;
    headers ??= Object.create(null) as Record<string, string>;
    headers[name.toLowerCase()] = typeof last === 'string' ? last : last.toString('utf8');
  }
  return headers ?? NO_HEADERS;
}
