/**
 * Reading what other processes of the fleet publish: a CloudEvent, its bare data, or a JSON array of either.
 * Promises: bounded before it is parsed, and whatever does not fit is the one error that the caller names.
 */
import type { z } from 'zod';
import { type ErrorCode, SluiceError } from '../errors.ts';

/** Objects in one message. */
const MAX_ITEMS = 10_000;

/** The data of one happening, and the site that its envelope names, or null. */
export interface Item {
  readonly data: unknown;
  readonly site: string | null;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Throws `code` for what is longer than `maxBytes`, no JSON, or no object. */
export function unwrap(payload: Uint8Array, maxBytes: number, code: ErrorCode): Item[] {
  if (payload.byteLength > maxBytes)
    throw new SluiceError(code, `the payload has ${payload.byteLength} bytes, at most ${maxBytes} are read`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'));
  } catch {
    throw new SluiceError(code, 'the payload is not JSON');
  }
  const items = Array.isArray(parsed) ? parsed : [parsed];
  if (items.length > MAX_ITEMS)
    throw new SluiceError(code, `the payload has ${items.length} items, at most ${MAX_ITEMS} are read`);
  return items.map((item: unknown) => {
    if (!isObject(item)) throw new SluiceError(code, 'the payload is not an object');
    return 'specversion' in item && 'data' in item
      ? { data: item.data, site: siteOf(item.source) }
      : { data: item, site: null };
  });
}

/** `/sluice/<site>/<task>` */
function siteOf(source: unknown): string | null {
  const parts = typeof source === 'string' ? source.split('/') : [];
  return parts.length === 4 && parts[1] === 'sluice' && parts[2] !== '' ? parts[2] : null;
}

/** What the schema makes of the data, or `code` with the first place that does not fit. */
export function demandShape<T>(schema: z.ZodType<T>, data: unknown, code: ErrorCode): T {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue.path.join('.') || 'the data';
  throw new SluiceError(code, `${place}: ${issue.message}`.slice(0, 300));
}
