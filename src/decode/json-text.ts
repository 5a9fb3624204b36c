/**
 * JSON (RFC 8259) from outside, parsed within bounds. Promises: size, encoding and nesting are looked at before anything is
 * built; reasons name a place, never the payload. Refuses with DECODE_EMPTY, DECODE_TOO_LARGE, DECODE_JSON, DECODE_DEPTH.
 */
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { SluiceError } from '../errors.ts';
import { byteSize } from '../units.ts';
import { asBuffer } from './charset.ts';

/** The bounds of formats that are, or may come in, JSON. */
export const jsonBounds = {
  maxBytes: byteSize.default(1024 ** 2).describe('largest message; above it DECODE_TOO_LARGE'),
  maxDepth: z
    .number()
    .int()
    .min(1)
    .max(1_000)
    .default(64)
    .describe('nesting of arrays and objects; above it DECODE_DEPTH'),
  maxEvents: z
    .number()
    .int()
    .positive()
    .default(10_000)
    .describe('readings in one message; above it DECODE_TOO_LARGE'),
};

export interface JsonBounds {
  readonly maxBytes: number;
  readonly maxDepth: number;
}

/** Messages shorter than this are not looked through for depth: they could not nest dangerously. */
const SHALLOW_BYTES = 1_024;

/** Throws DECODE_EMPTY, DECODE_TOO_LARGE. */
export function checkSize(payload: Uint8Array, maxBytes: number): void {
  if (payload.length === 0) throw new SluiceError('DECODE_EMPTY', 'the payload is empty');
  if (payload.length > maxBytes)
    throw new SluiceError(
      'DECODE_TOO_LARGE',
      `a reading of ${payload.length} bytes; the limit is ${maxBytes}`,
    );
}

/** `what` names it in reasons. */
export function parseJson(payload: Uint8Array, bounds: JsonBounds, what = 'the payload'): unknown {
  checkSize(payload, bounds.maxBytes);
  if (!isUtf8(payload)) throw new SluiceError('DECODE_JSON', `${what} is not UTF-8`);
  if (payload.length > SHALLOW_BYTES) checkDepth(payload, bounds.maxDepth);
  // RFC 8259 section 8.1 lets a reader ignore a byte order mark.
  const bom = payload[0] === 0xef && payload[1] === 0xbb && payload[2] === 0xbf;
  try {
    return JSON.parse(asBuffer(payload).toString('utf8', bom ? 3 : 0));
  } catch (error) {
    throw new SluiceError('DECODE_JSON', `${what} is not valid JSON${whereIn(error)}`, { cause: error });
  }
}

/** The engine's text quotes the payload, which may be private: only the place is kept, where it names one. */
function whereIn(error: unknown): string {
  const text = error instanceof Error ? error.message : '';
  if (text.startsWith('Unexpected end')) return ': it ends too early';
  const position = /at position (\d+)/.exec(text)?.[1];
  return position === undefined ? '' : ` at character ${position}`;
}

/** Counts brackets outside of strings, before anything is built from them. */
function checkDepth(bytes: Uint8Array, limit: number): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i];
    if (inString) {
      if (byte === 0x5c) i += 1;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      if (depth > limit) throw new SluiceError('DECODE_DEPTH', `nested deeper than ${limit}`);
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
}
