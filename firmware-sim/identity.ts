/**
 * The identity that a gateway must give to a message of ours, worked out by the sender, so that every
 * answer finds its message: CloudEvents source and id where the message carries them, else SHA-256 over
 * topic NUL key NUL payload. Written apart from the gateway's code on purpose: it checks that one.
 */
import * as crypto from 'node:crypto';
import type { Outgoing } from '../src/contract.ts';

let scratch = Buffer.allocUnsafe(64 * 1024);

/** `sha256:` + 32 hex digits. A missing key counts as empty. */
export function digestIdentity(topic: string, key: string | null, payload: Uint8Array | string): string {
  const prefix = `${topic}\0${key ?? ''}\0`;
  const most = (prefix.length + payload.length) * 3;
  if (most > scratch.length) scratch = Buffer.allocUnsafe(most * 2);
  let length = scratch.write(prefix, 'utf8');
  if (typeof payload === 'string') length += scratch.write(payload, length, 'utf8');
  else {
    scratch.set(payload, length);
    length += payload.length;
  }
  const bytes = scratch.subarray(0, length);
  // crypto.hash (Node 20.12) costs half of createHash on small inputs.
  const hex = crypto.hash
    ? crypto.hash('sha256', bytes, 'hex')
    : crypto.createHash('sha256').update(bytes).digest('hex');
  return `sha256:${hex.slice(0, 32)}`;
}

/** The identity of a message by its headers, else by the CloudEvent that it is, else by its bytes. */
export function identityOf(message: Pick<Outgoing, 'topic' | 'key' | 'payload' | 'headers'>): string {
  const { headers, payload } = message;
  if (headers?.ce_source && headers.ce_id) return `${headers.ce_source}/${headers.ce_id}`;
  const text = typeof payload === 'string' ? payload : Buffer.from(payload).toString('utf8');
  if (text.startsWith('{"specversion"')) {
    try {
      const { source, id } = JSON.parse(text) as { source?: unknown; id?: unknown };
      if (typeof source === 'string' && typeof id === 'string') return `${source}/${id}`;
    } catch {
      // Truncated on purpose: then only its bytes name it.
    }
  }
  return digestIdentity(message.topic, message.key, payload);
}
