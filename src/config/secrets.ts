/**
 * Hides what must not be shown: options marked secret in the schema, and user and password inside
 * any URL. What remains may go to logs, `doctor` and bug reports. As a second line of defence a
 * value whose option is named like a secret is hidden too, even if its schema forgot to say so, and so
 * is any other text that holds a value found secret.
 */
import type { z } from 'zod';
import { descend, isRecord, isSecret } from './shape.ts';

const HIDDEN = '***';
export const NAMED_LIKE_A_SECRET = /pass(word|phrase|wd)|secret|token|credential/i;

/** Shorter values would blot out half of what is shown. */
const SHORTEST = 8;

/** A copy of `value` that may be shown; `schema` is the one it was parsed with. */
export function hide(schema: z.core.$ZodType, value: unknown): unknown {
  const secrets: string[] = [];
  const hidden = hideUnder([schema], value, secrets);
  return secrets.length === 0 ? hidden : hideText(hidden, secrets);
}

function hideUnder(schemas: readonly z.core.$ZodType[], value: unknown, secrets: string[]): unknown {
  if (value === undefined || value === null) return value;
  if (schemas.some(isSecret)) return hideValue(value, secrets);
  if (typeof value === 'string') return hideUrlUser(value);
  if (Array.isArray(value))
    return value.map((item, i) =>
      hideUnder(
        schemas.flatMap((s) => descend(s, i, value)),
        item,
        secrets,
      ),
    );
  if (!isRecord(value)) return value;
  const entries = Object.entries(value).map(([key, item]) => {
    if (NAMED_LIKE_A_SECRET.test(key) && typeof item === 'string') return [key, hideValue(item, secrets)];
    return [
      key,
      hideUnder(
        schemas.flatMap((s) => descend(s, key, value)),
        item,
        secrets,
      ),
    ];
  });
  return Object.fromEntries(entries);
}

function hideValue(value: unknown, secrets: string[]): string {
  if (typeof value === 'string' && value.length >= SHORTEST) secrets.push(value);
  return HIDDEN;
}

function hideText(value: unknown, secrets: readonly string[]): unknown {
  if (typeof value === 'string')
    return secrets.reduce((text, secret) => text.replaceAll(secret, HIDDEN), value);
  if (Array.isArray(value)) return value.map((item) => hideText(item, secrets));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, hideText(item, secrets)]));
}

/** `mqtts://user:password@host` becomes `mqtts://***@host`, wherever in a text it stands. */
export function hideUrlUser(text: string): string {
  // Greedy up to the last @ before the path: a password may itself hold an @.
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/?#]*@/gi, `$1${HIDDEN}@`);
}
