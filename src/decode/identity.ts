/**
 * Who an event is and where it came from, as docs/payloads.md defines it. Promises: a redelivered
 * message gives the same identity; a digest identity is marked weak, because it cannot tell two equal
 * messages apart. Refuses nothing: every message has an identity and a device.
 *
 * In this order: CloudEvents source + id (in the payload or in headers), the
 * transport's position, else `sha256:` + 32 hex digits over topic NUL key NUL payload.
 */
import * as crypto from 'node:crypto';
import { z } from 'zod';
import type { Message } from '../contract.ts';
import { pointerText, readPointer } from './pointer.ts';

export interface Identity {
  readonly id: string;
  readonly weak: boolean;
}

/** Where the name of the device stands; the first that gives one wins, else the Kafka key, else the topic. */
export const deviceOptions = z
  .strictObject({
    pointer: pointerText.optional().describe('JSON Pointer (RFC 6901) into the reading; not for mail'),
    header: z
      .string()
      .min(1)
      .toLowerCase()
      .optional()
      .describe('name of a Kafka header or MQTT 5 user property'),
    topicLevel: z
      .number()
      .int()
      .optional()
      .describe('level of the topic between slashes, from 0; negative counts from the end'),
  })
  .describe('where the name of the device stands; without it the Kafka key, else the topic');

export type DeviceOptions = z.infer<typeof deviceOptions>;

/** A name longer than this is cut: it becomes a key in stores and a label in metrics. */
const MAX_NAME = 512;

/**
 * An attribute of a CloudEvent in binary mode, named as its binding does: Kafka `ce_id`, HTTP `ce-id` (percent-encoded,
 * 3.1.3.2), MQTT 5 plain `id`, where `specversion` says that it is one.
 */
function attribute({ headers }: Message, name: string): string | undefined {
  const kafka = headers[`ce_${name}`];
  if (kafka !== undefined) return kafka;
  const http = headers[`ce-${name}`];
  if (http !== undefined) return http.includes('%') ? unescaped(http) : http;
  return headers.specversion === undefined ? undefined : headers[name];
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The CloudEvents identity of binary mode, where both headers are there. */
export function cloudEventId(message: Message): string | null {
  const source = attribute(message, 'source');
  const id = attribute(message, 'id');
  return source && id ? `${source}/${id}` : null;
}

/** The time of binary mode, '' where absent. */
export function cloudEventTime(message: Message): string {
  return attribute(message, 'time') ?? '';
}

/** The identity of a whole message. */
export function identify(message: Message): Identity {
  const id = cloudEventId(message);
  if (id !== null) return { id, weak: false };
  if (message.position !== '') return { id: message.position, weak: false };
  return { id: `sha256:${digest(message).slice(0, 32)}`, weak: true };
}

/** The device of an event; `body` is the parsed reading, undefined for mail. */
export function deviceOf(
  message: Message,
  options: DeviceOptions | undefined,
  body?: unknown,
  path?: readonly string[],
): string {
  const name = path ? readPointer(body, path) : undefined;
  if (typeof name === 'string' && name !== '') return name.slice(0, MAX_NAME);
  if (typeof name === 'number') return String(name);
  if (options?.header) {
    const value = message.headers[options.header];
    if (value) return value.slice(0, MAX_NAME);
  }
  if (options?.topicLevel !== undefined) {
    const level = message.topic.split('/').at(options.topicLevel);
    if (level) return level.slice(0, MAX_NAME);
  }
  return (message.key || message.topic).slice(0, MAX_NAME);
}

// crypto.hash (Node 20.12) costs half of createHash on small inputs.
const SMALL = 64 * 1024;
const scratch = Buffer.allocUnsafe(SMALL);

/** SHA-256 of bytes, 64 hex digits. */
export function sha256(bytes: Uint8Array): string {
  return crypto.hash
    ? crypto.hash('sha256', bytes, 'hex')
    : crypto.createHash('sha256').update(bytes).digest('hex');
}

/** Over topic NUL key NUL payload; a missing key counts as empty. */
function digest(message: Message): string {
  const prefix = `${message.topic}\0${message.key ?? ''}\0`;
  const { payload } = message;
  if (prefix.length * 3 + payload.length > SMALL)
    return crypto.createHash('sha256').update(prefix).update(payload).digest('hex');
  const length = scratch.write(prefix, 'utf8');
  scratch.set(payload, length);
  return sha256(scratch.subarray(0, length + payload.length));
}
