/**
 * JSON Pointer (RFC 6901), compiled once, read without a surprise. Promises: only own members are
 * found, so `__proto__`, `constructor` and `length` are names like any other. Refuses pointers that
 * are not valid by the RFC, when the options are parsed.
 */
import { z } from 'zod';

const VALID = /^(?:\/(?:[^~/]|~[01])*)*$/;

/** A pointer in options: '' (the whole) or `/a/b/0`, with ~0 for ~ and ~1 for /. */
export const pointerText = z
  .string()
  .regex(VALID, 'not a JSON Pointer (RFC 6901): write /a/b, with ~1 for / and ~0 for ~');

/** The reference tokens of a pointer. */
export function compilePointer(text: string): readonly string[] {
  if (text === '') return [];
  return text
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The pointer to the member `name` of the whole. */
export function pointerTo(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** RFC 6901 section 4: no sign, no leading zero. */
const INDEX = /^(?:0|[1-9]\d{0,9})$/;

/** The value there, undefined where there is none. */
export function readPointer(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const token of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value) ? !INDEX.test(token) : !Object.hasOwn(value, token)) return undefined;
    value = (value as Record<string, unknown>)[token];
  }
  return value;
}
